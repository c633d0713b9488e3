"""What notebooks cost: kept from clean runs only, beside other profiles; the committed file says it of real notebooks."""

from __future__ import annotations

import json
import os

import pytest

from instit_lite.classroom import measured, runner
from instit_lite.errors import RecordError
from instit_lite.profiles import PROFILES


def write_status(folder, notebook, **changes):
    status = {
        "notebook": notebook, "profile": "smoke", "seed": 0, "ok": True, "seconds": 90.0, "cells_executed": 3,
        "peak_rss_mb": 700.4, "findings": [], "finished": "2026-01-02 03:04:05", "executed_notebook": "x.ipynb",
        "versions": dict.fromkeys(measured.SHOWN_VERSIONS, "1"), "machine": "Linux, 2 cores",
    } | changes  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / f"{notebook}.json").write_text(json.dumps(status))


def test_clean_runs_are_kept_beside_other_profiles(tmp_path):
    write_status(tmp_path / "runs", "00_start_here")
    write_status(tmp_path / "runs", "01_set_of_marks", ok=False)
    write_status(tmp_path / "runs", "02_three_equations", machine="")
    path = tmp_path / "measured.json"
    path.write_text(json.dumps({"00_start_here": {"micro": {"minutes": 7}}}))
    kept, left = measured.record("smoke", tmp_path / "runs", path)
    assert (kept, left) == (["00_start_here"], ["01_set_of_marks", "02_three_equations"])
    row = measured.measured(path)["00_start_here"]
    assert row["micro"] == {"minutes": 7} and list(measured.measured(path)) == ["00_start_here"]
    assert row["smoke"]["minutes"] == 1.5 and row["smoke"]["peak_mb"] == 700 and row["smoke"]["date"] == "2026-01-02"


def test_damaged_file_is_named(tmp_path):
    (tmp_path / "measured.json").write_text("{")
    with pytest.raises(RecordError, match="measured.json: not JSON"):
        measured.measured(tmp_path / "measured.json")
    assert measured.measured(tmp_path / "none.json") == {}


def test_committed_file_covers_the_notebooks_in_both_laptop_profiles():
    names = [path.stem for path in runner.find_notebooks([])]
    for notebook, rows in measured.measured().items():
        assert notebook in names and set(rows) <= set(PROFILES)
        for row in rows.values():
            assert row["minutes"] > 0 and row["peak_mb"] > 100 and row["dollars"] == 0.0 and row["machine"]
            assert row["downloads_mb"] >= 0 and len(row["date"]) == 10
    for name in names:
        assert {"smoke", "micro"} <= set(measured.measured()[name]), f"{name}: run `make measure-notebooks`"


def test_run_says_its_machine_and_gets_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never")
    assert "OPENAI_API_KEY" not in runner.environment("gpu") and os.environ["OPENAI_API_KEY"]
    monkeypatch.setattr(runner.psutil, "cpu_count", lambda: 64)
    monkeypatch.setattr(runner.psutil, "cpu_percent", lambda interval: 0.1)
    assert "cores" in runner.describe_machine() and "other programs" not in runner.describe_machine()
    monkeypatch.setattr(runner.psutil, "cpu_percent", lambda interval: 100.0)
    assert "other programs used 64.0 cores" in runner.describe_machine()


def test_downloads_are_what_the_cache_grew_by(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert runner.hub_cache_mb() == 0
    (tmp_path / "hub" / "blobs").mkdir(parents=True)
    (tmp_path / "hub" / "blobs" / "a").write_bytes(bytes(3_000_000))
    (tmp_path / "hub" / "named").symlink_to(tmp_path / "hub" / "blobs" / "a")  # as the hub's snapshots are
    assert runner.hub_cache_mb() == 3
