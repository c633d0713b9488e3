"""The check of a laptop: a line and a cure per check, one JSON file, and an exit code that says if it is ready."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from instit_lite.classroom import preflight
from instit_lite.classroom.doctor import Check
from instit_lite.classroom.findings import Finding
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


def ran(monkeypatch, seconds: float, *findings: Finding) -> None:
    """Let the notebook have run in some seconds, with some findings."""
    status = SimpleNamespace(seconds=seconds, ok=not findings, findings=list(findings))
    monkeypatch.setattr(preflight, "run_notebook", lambda path, **options: status)


def test_what_is_wrong_has_a_cure_and_a_page(laptop, monkeypatch, capsys):
    ran(monkeypatch, 5.0, Finding("error", "ZeroDivisionError", 3, "1 / 0"))
    with pytest.raises(NotebookError, match="not ready: notebook run"):
        preflight.main([])
    told = json.loads(laptop.read_text())
    assert not told["ready"] and told["checks"][1]["found"] == "00_made_up: cell 3 (1 / 0): ZeroDivisionError"
    said = capsys.readouterr().out
    assert "FAIL notebook run: 00_made_up" in said and "docs/troubleshooting.md#notebook-run" in said


@pytest.mark.parametrize("seconds, ready", [(100, True), (200, False)])
def test_slow_laptop_is_told_which_profile_to_use(laptop, monkeypatch, seconds, ready):
    monkeypatch.setattr(preflight, "measured", lambda: {"00_made_up": {"smoke": {"minutes": 1.0}}})
    ran(monkeypatch, seconds)
    with nullcontext() if ready else pytest.raises(NotebookError):
        preflight.main([])
    check = json.loads(laptop.read_text())["checks"][1]
    assert check["ok"] == ready and ("too slow" in check["found"]) != ready and "profile smoke" in check["cure"] + check["found"]
