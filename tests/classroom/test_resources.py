"""The meter: real seconds, real memory, one row per stage, and nothing kept of a stage that failed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from instit_lite.classroom import report
from instit_lite.classroom.resources import Meter
from instit_lite.errors import InstitError, RecordError


def rows(folder):
    return json.loads((folder / "resources.json").read_text())["rows"]


STAGES = """
import sys, time
import numpy as np
from instit_lite.classroom.resources import Meter
for name, size in (("idle", 1), ("large", 200 * 2**17)):  # 200 MB, written to
    with Meter(name, folder=sys.argv[1]):
        block = np.ones(size)
        time.sleep(0.05)  # long enough to be sampled
"""


def test_seconds_and_peak_memory_are_measured(tmp_path):
    # In a process of its own: what other tests left to be freed would hide the block.
    subprocess.run([sys.executable, "-c", STAGES, str(tmp_path)], check=True)
    idle, large = rows(tmp_path)
    assert [idle[0], large[0]] == ["idle", "large"]
    assert idle[2] >= 0.05
    assert large[3] - idle[3] > 150


def test_stage_run_again_replaces_its_row_and_profiles_stand_apart(tmp_path):
    for profile in ("smoke", "micro", "smoke"):
        with Meter("tuning", profile=profile, folder=tmp_path):
            pass
    assert [row[:2] for row in rows(tmp_path)] == [["tuning", "smoke"], ["tuning", "micro"]]


def test_failed_stage_leaves_no_row(tmp_path):
    with pytest.raises(ZeroDivisionError), Meter("broken", folder=tmp_path):
        1 / 0
    assert not list(tmp_path.iterdir())


def test_rows_make_a_table_of_the_report(tmp_path):
    with Meter("tuning", folder=tmp_path):
        pass
    (table,) = report.read_results(tmp_path)
    assert "tuning" in report.table_html(table) and table["name"] == report.RESOURCES


def test_bad_names_and_damaged_tables_are_refused_before_the_stage(tmp_path):
    with pytest.raises(InstitError, match="name"):
        Meter("  ", folder=tmp_path)
    with pytest.raises(InstitError, match="no profile"):
        Meter("tuning", profile="huge", folder=tmp_path)
    (tmp_path / "resources.json").write_text('{"columns": ["a"], "rows": [[1]]}')
    with pytest.raises(RecordError, match="resources.json"), Meter("tuning", folder=tmp_path):
        raise AssertionError("never reached")
