"""What went wrong in an executed notebook. In: the notebook. Out: findings, also those a passing cell hides.

A callback of a widget may fail while its cell passes: the error then stands in the cell's outputs or in the
saved state of an Output widget. An error in a thread is only text on stderr. Cells tagged `raises-exception`
may fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nbformat import NotebookNode

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
TRACEBACK = re.compile(r"^\s*Traceback \(most recent call last\)", re.MULTILINE)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
IMAGE = re.compile(r"<img\b[^>]*>")
ALT, WIDTH = re.compile(r'\balt="[^"]*\w\s+\w[^"]*"'), re.compile(r'\bwidth="(\d+)"')
WIDEST = 980  # CSS pixels, ten inches with the margin: what a page shows without shrinking the letters much
ADDED = {"injected-parameters", "papermill-error-cell-tag"}


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


def output_error(output: dict) -> str | None:
    """Return what a single output says went wrong, or None."""
    if output["output_type"] == "error":
        return ANSI.sub("", f"{output['ename']}: {output['evalue']}")
    if output["output_type"] == "stream" and output["name"] == "stderr":
        text = ANSI.sub("", "".join(output["text"])).strip()
        if TRACEBACK.search(text):
            return f"a traceback on stderr that stopped nothing: {text.splitlines()[-1].strip()}"
    if any(kind.startswith("image/") for kind in output.get("data", {})):
        return "a picture without alt text: show figures with `show_figure`, which also closes them"
    for image in IMAGE.findall("".join(output.get("data", {}).get("text/html", ""))):
        width = WIDTH.search(image)
        if not ALT.search(image):
            return "an image without alt text in HTML"
        if width and int(width[1]) > WIDEST:
            return f"a picture {width[1]} pixels wide, more than {WIDEST}: its letters would shrink on the page"
    return None


def first_line(source: str) -> str:
    """Return the first line of a cell, at most 60 characters long."""
    return source.strip().partition("\n")[0][:60]


def code_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """Return the author's code cells with their 1-based positions, without those that papermill put in."""
    own = [c for c in notebook.cells if not ADDED & set(c.metadata.get("tags", []))]
    return [(position, cell) for position, cell in enumerate(own, 1) if cell.cell_type == "code"]


def started(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """Return those of the author's code cells that were started, as papermill noted in them."""
    cells = code_cells(notebook)
    return [(n, cell) for n, cell in cells if cell.metadata.get("papermill", {}).get("start_time")]


def executed(notebook: NotebookNode) -> int:
    """Return how many of the author's code cells were really executed."""
    return sum(cell.execution_count is not None for _, cell in code_cells(notebook))


def cell_findings(notebook: NotebookNode) -> list[Finding]:
    """Return the errors found cell by cell."""
    findings = []
    for position, cell in code_cells(notebook):
        if "raises-exception" not in cell.metadata.get("tags", []):
            problems = filter(None, map(output_error, cell.outputs))
            findings += [Finding("error", problem, position, first_line(cell.source)) for problem in problems]
    return findings


def widget_findings(notebook: NotebookNode) -> list[Finding]:
    """Return the errors that Output widgets swallowed."""
    models = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {}).values()
    outputs = [output for model in models for output in model["state"].get("outputs") or []]
    problems = filter(None, map(output_error, outputs))
    return [Finding("widget", f"an error inside a widget: {problem}") for problem in problems]


def inspect_run(notebook: NotebookNode) -> list[Finding]:
    """Return everything wrong with an executed notebook."""
    return [*cell_findings(notebook), *widget_findings(notebook)]
