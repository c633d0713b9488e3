"""What a class predicted, from files that students hand in."""

from __future__ import annotations

import json

import pytest

from instit_lite.classroom.histogram import main, read_guesses
from instit_lite.errors import UnreadableInput


def guesses(guess: str) -> str:
    return json.dumps({"01-centre": {"question": "Where?", "options": ["on the U", "outside"], "guess": guess}})


def test_a_class_is_counted_and_what_cannot_be_read_is_named(tmp_path, capsys):
    (tmp_path / "ann.json").write_text(guesses("outside"))
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "predictions.json").write_text(guesses("outside"))
    (tmp_path / "cy.json").write_text(guesses("on the U"))
    (tmp_path / "dee.json").write_text("[1")
    (tmp_path / "eve.json").write_text('{"x": 1}')
    found, left_out = read_guesses(tmp_path)
    assert found["01-centre"]["counts"] == {"outside": 2, "on the U": 1} and len(left_out) == 2
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.index("on the U") < said.index("outside") and "2" in said and "dee.json" in said


def test_an_empty_folder_is_an_error_with_a_cure(tmp_path):
    with pytest.raises(UnreadableInput, match="no predictions"):
        read_guesses(tmp_path)
