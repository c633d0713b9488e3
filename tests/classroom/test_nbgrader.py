"""The round trip through nbgrader itself: source, release, submitted, autograded, points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from instit_lite.classroom.grade import tagged
from instit_lite.classroom.normalise import read, to_text

pytest.importorskip("nbgrader")
SOURCE = next((Path(__file__).resolve().parents[2] / "notebooks").glob("03_*.ipynb"))


def run(course: Path, *words: str) -> None:
    command = [sys.executable, "-m", "nbgrader", *words, "--log-level=ERROR"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls alembic by name
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stderr[-2000:]


def one_exercise() -> str:
    """Notebook 03 cut down to an exercise that needs nothing else."""
    cells = read(SOURCE).cells
    own = [c for c in cells if (tagged(c, "exercise") or tagged(c, "graded")) and "03-general" in c.source]
    first = new_code_cell("from instit_lite.classroom.exercises import catch_up, check")
    return to_text(new_notebook(cells=[first, *own]), "03")


def test_round_trip(tmp_path):
    from nbgrader.api import Gradebook

    config = 'c = get_config()\nc.CourseDirectory.course_id = "instit"\nc.ExecutePreprocessor.timeout = 600\n'  # imports on a busy machine
    (tmp_path / "nbgrader_config.py").write_text(config)
    source = tmp_path / "source" / "week3" / "short.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(one_exercise())
    run(tmp_path, "generate_assignment", "week3")
    released = tmp_path / "release" / "week3" / "short.ipynb"
    text = released.read_text()
    assert "examine" not in text and "share / (1" not in text and "NotImplementedError" in text
    for student, handed_in in {"ann": source.read_text(), "cy": text}.items():
        path = tmp_path / "submitted" / student / "week3" / "short.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(handed_in)
    run(tmp_path, "autograde", "week3")
    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        points = {s: book.find_submission("week3", s).score for s in ("ann", "cy")}
    assert points == {"ann": 1.0, "cy": 0.0}
