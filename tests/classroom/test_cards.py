"""The cards at the head of the notebooks say what was measured, and nothing where nothing was."""

from __future__ import annotations

import json
import shutil

import pytest

from instit_lite.classroom import cards
from instit_lite.classroom.measured import measured
from instit_lite.classroom.normalise import normalise_files, read
from instit_lite.classroom.runner import find_notebooks
from instit_lite.errors import InstitError

ROW = {"minutes": 2.84, "peak_mb": 4249, "downloads_mb": 12, "dollars": 0.5, "date": "2026-01-02", "machine": "2 cores"}


@pytest.fixture
def notebook(tmp_path):
    return shutil.copy(find_notebooks(["01"])[0], tmp_path)


@pytest.mark.parametrize("path", find_notebooks([]), ids=lambda path: path.stem)
def test_the_card_of_a_notebook_is_what_was_measured(path):
    source = read(path).cells[0].source
    assert cards.card(measured().get(path.stem, {})) in source, "run `python -m instit_lite.classroom.cards`"


def test_a_card_holds_each_profile_and_guesses_none():
    lines = cards.card({"micro": ROW}).splitlines()
    assert lines[3] == "| `micro` | 2.8 | 4.2 GB | 12 MB | 0.50 | 2026-01-02, 2 cores |"
    assert [line for line in lines if "not measured" in line] == [lines[2], lines[4]]
    assert all(line.count("|") == 7 for line in lines)


def test_cards_are_renewed_once_and_only_they(notebook, tmp_path):
    path, file = cards.Path(notebook), tmp_path / "measured.json"
    before = read(path)
    file.write_text(json.dumps({path.stem: {"micro": ROW}}))
    assert cards.write_cards([path], file) == [path] and cards.write_cards([path], file) == []
    after = read(path)
    assert "2026-01-02" in after.cells[0].source and normalise_files([path], check=True) == []
    assert [cell.id for cell in after.cells] == [cell.id for cell in before.cells]
    assert after.cells[1:] == before.cells[1:]
    file.write_text("{}")
    cards.write_cards([path], file)
    assert "2026-01-02" not in read(path).cells[0].source


def test_a_card_that_lost_its_end_is_not_written_over(notebook, tmp_path):
    path = cards.Path(notebook)
    path.write_text(path.read_text("utf-8").replace(cards.END, ""), "utf-8")
    with pytest.raises(InstitError, match="comments"):
        cards.write_cards([path], tmp_path / "none.json")
