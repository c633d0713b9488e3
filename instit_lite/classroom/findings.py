"""What went wrong in an executed notebook. In: the notebook. Out: findings, also those that a passing cell
hides.

A callback of a widget may fail while its cell passes: the error then stands in the cell's outputs or in the
saved state of an Output widget. An error in a thread is only text on stderr. Cells tagged `raises-exception`
may fail.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from nbformat import NotebookNode

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
TRACEBACK = re.compile(r"^\s*Traceback \(most recent call last\)", re.MULTILINE)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
ADDED = {"injected-parameters", "papermill-error-cell-tag"}
MIN_CELLS = 2
MAX_OUTPUT_BYTES = 12 * 2**20


@dataclass(frozen=True)
class Finding:
    """One thing wrong; `cell` is the 1-based position in the notebook, or None; `source` its first line."""

    kind: str
    message: str
    cell: int | None = None
    source: str = ""

    def __str__(self) -> str:
        where = f"cell {self.cell} ({self.source}): " if self.cell else ""
        return f"{where}{self.message}"


def output_error(output) -> str | None:
    """Return what a single output says went wrong, or None."""
    if output.get("output_type") == "error":
        return ANSI.sub("", f"{output.get('ename')}: {output.get('evalue')}")
    if output.get("output_type") == "stream" and output.get("name") == "stderr":
        text = ANSI.sub("", "".join(output.get("text", "")))
        if TRACEBACK.search(text):
            last = [line for line in text.strip().splitlines() if line.strip()][-1]
            return f"a traceback on stderr that stopped nothing: {last.strip()}"
    return None


def first_line(source: str) -> str:
    """Return the first line of a cell that says something, at most 60 characters long."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return lines[0][:60] if lines else ""


def own_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """Return the author's cells with their 1-based positions, without those that papermill put in."""
    cells = [c for c in notebook.cells if not ADDED & set(c.metadata.get("tags", []))]
    return list(enumerate(cells, 1))


def last_started(notebook: NotebookNode) -> tuple[int | None, str]:
    """Return position and first line of the last cell that was started, (None, "") if none was."""
    for position, cell in reversed(own_cells(notebook)):
        if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time"):
            return position, first_line(cell.source)
    return None, ""


def cell_findings(notebook: NotebookNode) -> list[Finding]:
    """Return the errors and outsized outputs found cell by cell."""
    findings = []
    for position, cell in own_cells(notebook):
        if cell.cell_type != "code" or "raises-exception" in cell.metadata.get("tags", []):
            continue
        line = first_line(cell.source)
        for output in cell.outputs:
            problem = output_error(output)
            if problem:
                findings.append(Finding("error", problem, position, line))
        size = len(json.dumps(cell.outputs))
        if size > MAX_OUTPUT_BYTES:
            findings.append(Finding("size", f"its output is {size / 2**20:.0f} MB", position, line))
    return findings


def widget_findings(notebook: NotebookNode) -> list[Finding]:
    """Return the errors that Output widgets swallowed."""
    states = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    findings = []
    for model in states.values():
        for output in model.get("state", {}).get("outputs", None) or []:
            problem = output_error(output)
            if problem:
                findings.append(Finding("widget", f"an error inside a widget: {problem}"))
    return findings


def executed(notebook: NotebookNode) -> int:
    """Return how many of the author's code cells were really executed."""
    return sum(
        c.cell_type == "code" and c.execution_count is not None for _, c in own_cells(notebook)
    )


def coverage_findings(notebook: NotebookNode) -> list[Finding]:
    """Return a finding where cells were left out, or where the notebook does next to nothing."""
    cells = [c for _, c in own_cells(notebook) if c.cell_type == "code" and c.source.strip()]
    done = executed(notebook)
    if done < len(cells):
        return [Finding("coverage", f"only {done} of {len(cells)} code cells were executed")]
    if done < MIN_CELLS:
        return [Finding("coverage", f"{done} code cells were executed, which is no notebook")]
    return []


def inspect_run(notebook: NotebookNode) -> list[Finding]:
    """Return everything wrong with an executed notebook, worst first: errors, then what was left out."""
    return [*cell_findings(notebook), *widget_findings(notebook), *coverage_findings(notebook)]
