"""Copies for students. In: the notebooks. Out: the same without solutions and hidden tests, in `build/student`.

nbgrader's own preprocessors do it, so that a copy goes through nbgrader as well. A copy that still holds a line of a
solution anywhere, in a cell, an output, metadata or an attachment, is not written.
"""

from __future__ import annotations

import argparse
import copy
import re
from pathlib import Path

from nbformat import NotebookNode

from ..errors import NotebookError, end_with
from ..profiles import atomic_write_text, build_dir
from .normalise import EXERCISE, GRADED, number_of, read, to_text
from .runner import find_notebooks

STUB = '# your code here\nraise NotImplementedError("write this function, then run the cell again")'
SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n(.*?)^### END HIDDEN TESTS", re.MULTILINE | re.DOTALL)
TELLING = 12  # a shorter line of a solution ("return x") may stand elsewhere


def student_copy(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook with stubs in place of solutions and without hidden tests.

    Raises `NotebookError` where nbgrader is missing, or where something of a solution is left.
    """
    try:
        from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions
    except ImportError:
        cure = "`make student` installs it; by hand: pip install -c constraints.txt -e '.[instructor]'"
        raise NotebookError("nbgrader is not installed", cure=cure) from None
    blank = copy.deepcopy(notebook)
    for step in (ClearSolutions(code_stub={"python": STUB}), ClearHiddenTests()):
        blank, _ = step.preprocess(blank, {})
    found = leaks(blank, notebook)
    if found:
        raise NotebookError(f"the copy still holds {found[0]!r}", cure="write that line otherwise outside the solution")
    return blank


def secrets(notebook: NotebookNode) -> list[str]:
    """The lines of solutions and hidden tests that must not be in a copy."""
    regions = [
        region for cell in notebook.cells for pattern in (SOLUTION, HIDDEN) for region in pattern.findall(cell.source)
    ]  # fmt: skip
    lines = [line.strip() for region in regions for line in region.splitlines()]
    return [line for line in lines if len(line) >= TELLING]


def leaks(blank: NotebookNode, notebook: NotebookNode) -> list[str]:
    """What a copy should not hold, wherever it stands."""
    text = "\n".join(strings(blank))
    return [line for line in (*secrets(notebook), "BEGIN SOLUTION", "BEGIN HIDDEN TESTS") if line in text]


def strings(value) -> list[str]:
    """Every string within a notebook: sources, outputs, metadata, attachments, keys included."""
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in strings(item))]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def build_copies(out: Path, names: list[str]) -> list[Path]:
    """Write the copies of all notebooks, or of those whose names begin with `names`."""
    written = []
    for path in find_notebooks(names):
        atomic_write_text(out / path.name, to_text(student_copy(read(path)), number_of(path)))
        written.append(out / path.name)
    return written


def main(argv: list[str] | None = None) -> int:
    """Command line of `make student`."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.student", description=__doc__)
    parser.add_argument("notebooks", nargs="*", help="numbers such as 03 (default: all)")
    parser.add_argument("--out", type=Path, help="default: build/student")
    args = parser.parse_args(argv)
    for path in build_copies(args.out or build_dir("student"), args.notebooks):
        cells = read(path).cells
        n = sum(EXERCISE in cell.metadata.get("tags", []) for cell in cells)
        print(f"wrote {path}: {n} exercises, {sum(GRADED in c.metadata.get('tags', []) for c in cells)} of them graded")
    return 0


if __name__ == "__main__":
    end_with(main)
