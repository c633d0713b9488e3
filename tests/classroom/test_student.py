"""The copies for students, and the grading: nothing leaks, all solved is full marks, all blank is none."""

from __future__ import annotations

import ast
import csv
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from instit_lite.classroom import grade
from instit_lite.classroom.exercises.catalogue import all_exercises, exercises_of
from instit_lite.classroom.normalise import normalise, read, to_text
from instit_lite.classroom.student import leaks, student_copy
from instit_lite.errors import NotebookError, UnreadableInput

EXERCISES = all_exercises()
NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("0[1-8]*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
SOLVED = '''def deepest(mask):
    """Row and column."""
    ### BEGIN SOLUTION
    depth_of_all_pixels = 1
    ### END SOLUTION'''


def points(master, handed_in) -> list[grade.Grade]:
    """Run what `grade` runs, in this process and without a kernel."""
    names, found = {}, []
    for cell in grade.graded_notebook(master, handed_in).cells:
        try:
            exec(compile(cell.source, "<cell>", "exec"), names)
            said, right = "right", True
        except BaseException as error:  # noqa: BLE001 - a kernel would go on as well
            said, right = str(error), False
        if "exercise" in cell.metadata:
            found.append(grade.Grade("s", cell.metadata["exercise"], right, said))
    return found


@EACH
def test_all_solved_is_full_marks(path):
    notebook = read(path)
    found = points(notebook, notebook)
    assert [g.exercise for g in found if g.right] == [g.exercise for g in found]
    assert sorted(g.exercise for g in found) == sorted(exercises_of(path.stem[:2])) and len(found) >= 3


@EACH
def test_a_copy_leaks_nothing_and_is_no_mark_at_all(path):
    notebook = read(path)
    blank = student_copy(notebook)
    assert not leaks(blank, notebook)
    assert [cell.id for cell in blank.cells] == [cell.id for cell in notebook.cells]
    found = points(notebook, blank)
    assert not any(g.right for g in found) and all("not written yet" in g.said for g in found)


@EACH
def test_one_left_out_costs_one_point(path):
    notebook, blank = read(path), student_copy(read(path))
    written = [k for k, cell in enumerate(notebook.cells) if grade.tagged(cell, "exercise")]
    for k in written:
        handed_in = read(path)
        handed_in.cells[k] = blank.cells[k]
        assert sum(not g.right for g in points(notebook, handed_in)) == 1


@EACH
def test_stub_and_solution_are_the_same_function(path):
    """The signature and the docstring that a student sees are those of the solution, and the key is checked."""
    for cell in read(path).cells:
        if grade.tagged(cell, "exercise"):
            function = ast.parse(cell.source).body[0]
            key = next(k for k in exercises_of(path.stem[:2]) if f'"{k}"' in cell.source)
            assert function.name == EXERCISES[key].name and ast.get_docstring(function)


@EACH
def test_what_an_exercise_tells_to_call_is_imported(path):
    """The prose of every exercise offers `hint(…)`."""
    names = {}
    exec("\n".join(line for line in grade.imports(read(path)) if "exercises" in line), names)
    assert {"catch_up", "check", "hint"} <= names.keys()


@pytest.mark.parametrize("place", ["source", "output", "metadata", "attachment", "key"])
def test_a_leak_is_found_wherever_it_is(place):
    line = "depth_of_all_pixels = 1"
    other = new_markdown_cell("nothing") if place in ("attachment", "metadata") else new_code_cell("1")
    if place == "source":
        other.source = f"# {line}"
    elif place == "output":
        other.outputs = [new_output("stream", text=line)]
    elif place == "attachment":
        other.attachments = {"a.txt": {"text/plain": line}}
    else:
        other.metadata["note"] = {line: 1} if place == "key" else line
    master = normalise(new_notebook(cells=[new_code_cell(SOLVED, metadata={"tags": ["exercise"]})]), "09")
    assert "raise NotImplementedError" in student_copy(master).cells[0].source
    master.cells.append(other)
    with pytest.raises(NotebookError, match="still holds"):
        student_copy(master)


def test_a_class_is_graded(tmp_path, capsys):
    """Real kernels: one right, one with known mistakes, one blank, one that is no notebook."""
    path = next(p for p in NOTEBOOKS if p.stem.startswith("03"))
    notebook, folder = read(path), tmp_path / "handed in"
    wrong = read(path)
    for cell in wrong.cells:
        if grade.tagged(cell, "graded"):
            cell.source = "assert True  # a student who changes the test changes nothing"
        if grade.tagged(cell, "exercise") and "def leaking" in cell.source:
            cell.source = "def leaking(train, test):\n    return sorted(set(train) & set(test))"
    texts = {"ann": to_text(notebook, "03"), "bob": nbformat.writes(wrong), "cy": to_text(student_copy(notebook), "03"), "dee": "{"}
    for name, text in texts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / path.name).write_text(text)
    grade.grade_folder(folder, tmp_path / "out")
    rows = list(csv.DictReader(open(tmp_path / "out" / "grades.csv")))
    assert [(row["student"], row["points"], row["of"]) for row in rows] == [
        ("ann", "3", "3"), ("bob", "2", "3"), ("cy", "0", "3"), ("dee", "0", "3")]  # fmt: skip
    assert EXERCISES["03-leaking"].mistakes["whole paths"].hint in (tmp_path / "out" / "bob.html").read_text()
    assert "not a notebook" in (tmp_path / "out" / "dee.html").read_text()


def test_a_cell_that_ends_the_kernel_is_wrong_and_said():
    cells = [new_code_cell("def deepest(mask): import os; os._exit(1)", metadata={"tags": ["exercise"]}),
             new_code_cell('deepest = catch_up("01-deepest", globals())\n### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS',
                           metadata={"tags": ["graded"]})]  # fmt: skip
    first = new_code_cell("from instit_lite.classroom.exercises import catch_up")
    master = normalise(new_notebook(cells=[first, *cells]), "09")
    (found,) = grade.grade_one("eve", master, master)
    assert not found.right and "ended the kernel" in found.said


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UnreadableInput, match="no submissions"):
        grade.grade_folder(tmp_path, tmp_path / "out")


def test_feedback_shows_markup_as_text():
    page = grade.feedback("<script>1</script>", [grade.Grade("x", "01-deepest", False, "<img src=x onerror=1>")])
    assert "<script>1" not in page and "<img" not in page


def test_nbgrader_finds_its_cells():
    """nbgrader's own validation of the metadata, and unique grade ids."""
    pytest.importorskip("nbgrader")
    from nbgrader.nbgraderformat import MetadataValidator

    for path in NOTEBOOKS:
        MetadataValidator().validate_nb(nbformat.read(path, as_version=4))


def test_the_first_three_notebooks_start_without_torch():
    """Their kernels, blank copies and grading would wait for it, several seconds each."""
    lines = [line for path in NOTEBOOKS[:3] for line in grade.imports(read(path))]
    asked = 'import sys; check("01-deepest", 0), check("02-map", 0), check("03-mended", 0); print("torch" in sys.modules)'
    done = subprocess.run([sys.executable, "-c", "\n".join([*lines, asked])], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["False"], done.stdout + done.stderr
