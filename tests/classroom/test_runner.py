"""The runner on made-up notebooks: a good one passes, each kind of failure fails with its own message."""

from __future__ import annotations

import json
import os
import sys

import nbformat
import pytest

from instit_lite.classroom import run_one, runner
from instit_lite.classroom.process import watch
from instit_lite.errors import InstitError, NotebookError, UnreadableInput

SWALLOWING_WIDGET = """
import ipywidgets
out, button = ipywidgets.Output(), ipywidgets.Button()
def fail(_):
    with out:
        raise KeyError("swallowed")
button.on_click(fail)
"""
EXPLORER = """
from instit_lite.classroom import explorer
from matplotlib.figure import Figure
def draw(state):
    assert state["n"] < 3, "too high"
    return Figure(figsize=(1, 1))
explorer(draw, {"n": range(4)}, [{"n": 0}], alt="an empty white square")
"""
PROCESSES = "import os\nprint(os.getppid(), os.getpid())"
CALLBACK = """
import ipywidgets
button = ipywidgets.Button()
button.on_click(lambda _: [][3])
button.click()
"""
FAILURES = {
    "raising cell": (["1 / 0", "never = 1"], "cell 3 (1 / 0): ZeroDivisionError"),
    "widget callback": ([CALLBACK], "IndexError: list index out of range"),
    "explorer callback": ([EXPLORER], "AssertionError: too high"),
    "thread": (
        ["import threading\nthread = threading.Thread(target=lambda: 1 / 0)\nthread.start(); thread.join()"],
        "traceback on stderr that stopped nothing: ZeroDivisionError",
    ),
    "killed kernel": (["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"], "ran out of memory"),
}


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Run a notebook as the child process does, inside this one, and return the findings' texts."""

    def run(path, cell_limit=100.0, **parameters):
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))  # restored afterwards
        for name, value in runner.environment("smoke").items():
            monkeypatch.setenv(name, value)
        job = {
            "input": str(path), "output": str(tmp_path / "executed.ipynb"), "cwd": str(tmp_path),
            "cell_limit": cell_limit, "parameters": {"profile": "smoke", "seed": 0, **parameters},
            "result": str(tmp_path / "result.json"),
        }
        (tmp_path / "job.json").write_text(json.dumps(job))
        run_one.main(str(tmp_path / "job.json"))
        found = json.loads((tmp_path / "result.json").read_text())
        return [str(runner.Finding(**item)) for item in found]

    return run


@pytest.mark.parametrize("case", FAILURES)
def test_failure_is_reported(case, made_up, execute):
    cells, message = FAILURES[case]
    found = execute(made_up(*cells))
    assert any(message in text for text in found), found


def test_slow_cell_is_stopped_and_named(made_up, execute):
    (found,) = execute(made_up("import time\ntime.sleep(600)"), cell_limit=2)
    assert found == "cell 3 (import time): the cell ran longer than its limit of 2 s"


def test_unknown_parameter_is_refused_before_anything_runs(made_up, execute, tmp_path):
    (found,) = execute(made_up("x = 1"), sed=3)
    assert "unknown parameter sed" in found and "profile, seed" in found
    assert not (tmp_path / "executed.ipynb").exists()


def test_error_that_a_widget_swallows_fails_the_run(made_up, tmp_path):
    path = made_up(SWALLOWING_WIDGET, "button.click()\nout")
    status = runner.run_notebook(path, profile="smoke", output_dir=tmp_path / "out")
    told = json.loads((tmp_path / "out" / "00_made_up.json").read_text())
    assert not status.ok and not told["ok"]
    assert [finding["kind"] for finding in told["findings"]] == ["widget"]
    assert "error inside a widget: KeyError: 'swallowed'" in told["findings"][0]["message"]


def test_good_notebook_passes_and_its_status_tells(made_up, tmp_path, capsys):
    received = f"assert (profile, seed) == ('smoke', 7)\n{PROCESSES}"
    path = made_up(received, "open('left_behind.txt', 'w').close()")
    out = tmp_path / "out"
    status = runner.run_notebook(path, profile="smoke", seed=7, output_dir=out, label="[1/1] made_up")
    told = json.loads((tmp_path / "out" / "00_made_up.json").read_text())
    assert status.ok and told["ok"] and told["findings"] == []
    assert told["cells_executed"] == len(told["cell_seconds"]) == 3
    assert told["peak_rss_mb"] > 30 and told["seconds"] > 0 and told["versions"]["papermill"]
    assert (tmp_path / "out" / "00_made_up.ipynb").exists() and not (tmp_path / "left_behind.txt").exists()
    cells = nbformat.read(out / "00_made_up.ipynb", as_version=4).cells
    (printed,) = [output["text"] for cell in cells for output in cell.get("outputs", [])]
    assert str(os.getpid()) not in printed.split()  # neither this process nor a kernel that it started
    assert "[1/1] made_up ..." in capsys.readouterr().out


def test_command_line_fails_and_names_the_notebook(made_up, monkeypatch, capsys):
    monkeypatch.setattr(runner, "find_notebooks", lambda *_: [made_up("import time\ntime.sleep(60)")])
    with pytest.raises(NotebookError, match="00_made_up"):
        runner.main(["--profile", "smoke", "--notebook-limit", "0.5"])
    assert "stopped at the limit of 0.5 s for a whole notebook" in capsys.readouterr().out


def test_process_without_a_result_is_reported(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("MemoryError\n")
    progress = runner.Progress("made up", tmp_path / "none.ipynb")
    (found,) = runner.judge(tmp_path / "none.json", runner.Ended(-9, 1.0, 10.0), 5, log, progress)
    assert "out of memory" in found.message and "MemoryError" in found.message


def test_watch_ends_the_whole_tree(tmp_path):
    script = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "child = subprocess.Popen(command, start_new_session=True)\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with (tmp_path / "log.txt").open("w") as log:
        ended = watch([sys.executable, "-c", script], env=dict(os.environ), log=log, limit=1.0)
    grandchild = int((tmp_path / "log.txt").read_text())
    assert ended.returncode is None and ended.seconds < 10
    with pytest.raises(ProcessLookupError):
        os.kill(grandchild, 0)


def test_notebooks_are_found_by_number(made_up, tmp_path):
    made_up(name="00_a")
    made_up(name="03_b")
    assert [path.stem for path in runner.find_notebooks(["03"], tmp_path)] == ["03_b"]
    assert len(runner.find_notebooks([], tmp_path)) == 2
    with pytest.raises(UnreadableInput, match="no notebook begins with '07'"):
        runner.find_notebooks(["07"], tmp_path)


def test_missing_notebook_and_unknown_profile_are_refused(made_up, tmp_path):
    with pytest.raises(UnreadableInput):
        runner.run_notebook(tmp_path / "none.ipynb", profile="smoke")
    with pytest.raises(InstitError, match="no profile"):
        runner.run_notebook(made_up("x = 1"), profile="huge")
