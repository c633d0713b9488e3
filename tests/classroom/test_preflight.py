"""The check of a laptop: a line and a cure per check, one JSON file, and an exit code that says if it is ready."""

from __future__ import annotations

import json

import pytest

from instit_lite.classroom import preflight
from instit_lite.classroom.doctor import Check
from instit_lite.errors import NotebookError


@pytest.fixture
def laptop(made_up, monkeypatch, tmp_path):
    """A laptop on which the doctor finds one good thing, with a made-up notebook to time."""
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path / "build"))

    def fine(tell):
        tell(check := Check("memory", True, "plenty"))
        return [check]

    monkeypatch.setattr(preflight, "examine", fine)
    monkeypatch.setattr(preflight, "find_notebooks", lambda names: [made_up("x = 1")])
    return tmp_path / "build" / "workshop-check.json"


def test_ready_laptop_runs_a_notebook_and_leaves_a_file(laptop, capsys):
    assert preflight.main([]) == 0
    told = json.loads(laptop.read_text())
    assert told["ready"] and told["smoke_minutes"] > 0 and told["host"] and "cores" in told["machine"]
    assert [check["name"] for check in told["checks"]] == ["memory", "notebook run"]
    lines = capsys.readouterr().out
    assert "ok   memory: plenty" in lines and "this laptop is ready" in lines


def test_what_is_wrong_has_a_cure_and_a_page(laptop, monkeypatch, made_up, capsys):
    monkeypatch.setattr(preflight, "find_notebooks", lambda names: [made_up("1 / 0")])
    with pytest.raises(NotebookError, match="not ready: notebook run"):
        preflight.main([])
    told = json.loads(laptop.read_text())
    assert not told["ready"] and "ZeroDivisionError" in told["checks"][1]["found"]
    assert "FAIL notebook run: 00_made_up" in capsys.readouterr().out


def test_slow_laptop_is_told_which_profile_to_use(laptop, monkeypatch):
    rows = {"00_made_up": {"smoke": {"minutes": 1e-6}}}
    monkeypatch.setattr(preflight, "measured", lambda: rows)
    with pytest.raises(NotebookError):
        preflight.main([])
    check = json.loads(laptop.read_text())["checks"][1]
    assert "too slow" in check["found"] and "profile smoke" in check["cure"]
