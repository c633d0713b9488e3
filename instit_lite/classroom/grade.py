"""Grade submissions. In: a folder `<student>/<notebook>.ipynb`. Out: `grades.csv`, and a feedback page per student.

Of each notebook only what an exercise needs is run: imports, cells tagged `given`, the student's exercise cells, and
the hidden tests of the instructor's notebook. So a class takes minutes, and a deleted or changed test changes nothing.
Students' code runs on this machine: use one that may run it.
"""

from __future__ import annotations

import argparse
import ast
import csv
import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from ..errors import InstitError, UnreadableInput, end_with
from ..profiles import atomic_write_text, build_dir
from .normalise import EXERCISE, GRADED, read
from .runner import find_notebooks
from .student import HIDDEN

GIVEN = "given"  # the tag of a cell that exercises build upon
LIMIT = 60  # seconds of a cell
IMPORTS = "imports"  # in the metadata of the first cell that is run


@dataclass(frozen=True)
class Grade:
    """One exercise of one student: the point, and what the hidden test said."""

    student: str
    exercise: str
    right: bool
    said: str


def tagged(cell: NotebookNode, tag: str) -> bool:
    return cell.cell_type == "code" and tag in cell.metadata.get("tags", [])


def graded_notebook(master: NotebookNode, handed_in: NotebookNode) -> NotebookNode:
    """What is run for a submission: the master's imports, given cells and tests around the student's cells."""
    own = {cell.get("id"): cell.source for cell in handed_in.cells}
    cells = [new_code_cell("\n".join(imports(master)), metadata={IMPORTS: True})]
    for cell in master.cells:
        if tagged(cell, GIVEN):
            cells.append(new_code_cell(cell.source))
        elif tagged(cell, EXERCISE):
            cells.append(new_code_cell(own.get(cell.id, "")))
        elif tagged(cell, GRADED):
            catch_up, test = cell.source.splitlines()[0], HIDDEN.search(cell.source)[1]
            cells.append(new_code_cell(f"{catch_up}\n{test}", metadata={"exercise": key_of(catch_up)}))
    return new_notebook(cells=cells, metadata=master.metadata)


def imports(notebook: NotebookNode) -> Iterator[str]:
    """Every import statement of the notebook's ordinary cells."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and not tagged(cell, GRADED):
            for node in ast.parse(cell.source).body:
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    yield ast.unparse(node)


def key_of(catch_up: str) -> str:
    """The exercise's key in a line such as `deepest = catch_up("01-deepest", globals())`."""
    return ast.literal_eval(ast.parse(catch_up).body[0].value.args[0])


def grade_one(student: str, master: NotebookNode, handed_in: NotebookNode) -> list[Grade]:
    """Run one submission in a kernel of its own; a cell that hangs or kills the kernel is wrong, and so is the rest."""
    notebook = graded_notebook(master, handed_in)
    try:
        NotebookClient(notebook, timeout_func=limit_of, kernel_name="python3", allow_errors=True).execute()
        ended = ""
    except CellTimeoutError:
        ended = f"a cell ran longer than {LIMIT} s, and nothing after it was run"
    except DeadKernelError:
        ended = "a cell ended the kernel, and nothing after it was run"
    began = [cell for cell in notebook.cells if cell.execution_count is not None]
    through = began[:-1] if ended else began  # the last one to begin is the one that ended it
    found = []
    for cell in notebook.cells:
        if "exercise" in cell.metadata:
            error = next((o for o in cell.outputs if o.output_type == "error"), None)
            ran = any(cell is one for one in through)
            said = error.evalue if error else "right" if ran else ended
            found.append(Grade(student, cell.metadata["exercise"], ran and error is None, said))
    return found


def grade_folder(folder: Path, out: Path) -> list[Grade]:
    """Grade `<student>/<notebook>.ipynb`; a notebook that cannot be read counts as blank, and says so."""
    masters = {path.name: read(path) for path in find_notebooks([])}
    submissions = [path for path in sorted(folder.glob("*/*.ipynb")) if path.name in masters]
    if not submissions:
        cure = "make a folder per student with notebooks named as in notebooks/"
        raise UnreadableInput("there are no submissions", path=folder, cure=cure)
    grades = []
    for n, path in enumerate(submissions, start=1):
        try:
            handed_in, note = read(path), ""
        except InstitError as problem:
            handed_in, note = nbformat.v4.new_notebook(), str(problem)
        own = grade_one(path.parent.name, masters[path.name], handed_in)
        grades += [Grade(g.student, g.exercise, g.right, note or g.said) for g in own]
        print(f"[{n}/{len(submissions)}] {path.parent.name} {path.stem}: {sum(g.right for g in own)} of {len(own)}", flush=True)
    write_table(grades, out / "grades.csv")
    for student in dict.fromkeys(g.student for g in grades):
        atomic_write_text(out / f"{student}.html", feedback(student, [g for g in grades if g.student == student]))
    return grades


def limit_of(cell: NotebookNode) -> int | None:
    """Seconds for a cell; imports, which are not the student's, may take as long as the machine needs."""
    return None if IMPORTS in cell.metadata else LIMIT


def write_table(grades: list[Grade], path: Path) -> None:
    """One row per student: a column per exercise with 1, 0, or nothing where the notebook was not handed in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = sorted({g.exercise for g in grades})
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["student", *keys, "points", "of"])
        for student in dict.fromkeys(g.student for g in grades):
            own = {g.exercise: int(g.right) for g in grades if g.student == student}
            writer.writerow([student, *(own.get(key, "") for key in keys), sum(own.values()), len(own)])


def feedback(student: str, grades: list[Grade]) -> str:
    """A page for one student: every exercise with what its test said."""
    rows = "".join(
        f"<tr><td>{html.escape(g.exercise)}</td><td>{int(g.right)}</td><td>{html.escape(g.said)}</td></tr>"
        for g in grades
    )
    name, points = html.escape(student), f"{sum(g.right for g in grades)} of {len(grades)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><h1>{name}: {points}</h1>'
        f"<table><tr><th>exercise</th><th>point</th><th>what the test said</th></tr>{rows}</table></html>\n"
    )


def main(argv: list[str] | None = None) -> int:
    """Command line of `make grade`."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.grade", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds a folder per student")
    parser.add_argument("--out", type=Path, help="default: build/grades")
    args = parser.parse_args(argv)
    out = args.out or build_dir("grades")
    grade_folder(args.folder, out)
    print(f"wrote {out / 'grades.csv'} and a page of feedback per student")
    return 0


if __name__ == "__main__":
    end_with(main)
