"""One notebook, one process. In: a job file (JSON). Out: the executed notebook and a result file (JSON).

The runner starts this module in a process of its own and judges what it leaves behind; a result file that is
missing means that this process was ended from outside.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from ..profiles import atomic_write_text
from .findings import Finding, inspect_run, last_started
from .normalise import read

DEAD = (
    "the kernel died here; the likely cause is that the machine ran out of memory "
    "(close other programs or choose a smaller profile), else a crash in native code"
)


def unknown_parameters(path: str, parameters: dict) -> list[Finding]:
    """Return a finding for parameters that the tagged cell does not define (papermill itself only warns)."""
    known = papermill.inspect_notebook(path)
    unknown = sorted(set(parameters) - set(known))
    if not unknown:
        return []
    defined = ", ".join(sorted(known)) or "nothing"
    message = f"unknown parameter {', '.join(unknown)}; the cell tagged `parameters` defines {defined}"
    return [Finding("parameters", message)]


def transport() -> Config:
    """Return the kernel's transport: private sockets on Linux, where other users could read plain TCP."""
    return Config({"KernelManager": {"transport": "ipc"}} if sys.platform == "linux" else {})


def execute(job: dict) -> list[Finding]:
    """Execute the notebook of `job`; return findings, none where it ran cleanly."""
    stopped: tuple[str, str] | None = None
    try:
        papermill.execute_notebook(
            job["input"],
            job["output"],
            parameters=job["parameters"],
            kernel_name="python3",
            execution_timeout=job["cell_limit"],
            progress_bar=False,
            cwd=job["cwd"],
            config=transport(),
        )
    except PapermillExecutionError as error:
        stopped = ("error", f"{error.ename}: {error.evalue}")
    except DeadKernelError:
        stopped = ("dead kernel", DEAD)
    except CellTimeoutError:
        stopped = ("timeout", f"the cell ran longer than its limit of {job['cell_limit']:g} s")
    except Exception as error:
        stopped = ("runner", f"{type(error).__name__}: {error}")
    return findings(job, stopped)


def findings(job: dict, stopped: tuple[str, str] | None) -> list[Finding]:
    """Join what stopped the run, what the saved notebook shows and what its threads reported."""
    threads = thread_findings(job["thread_log"])
    if not Path(job["output"]).exists():
        return [Finding(*stopped)] if stopped else [Finding("runner", "no notebook was saved"), *threads]
    notebook = read(job["output"])
    found = inspect_run(notebook)
    if stopped is not None:
        where = last_started(notebook)
        if stopped[0] == "timeout":  # the interrupt that ended the cell is no error of its own
            found = [finding for finding in found if finding.cell != where[0]]
        found = [finding for finding in found if finding.kind != "coverage"]
        if stopped[0] not in {finding.kind for finding in found}:
            found.insert(0, Finding(*stopped, *where))
    return [*found, *threads]


def thread_findings(log: str) -> list[Finding]:
    """Return one finding for each uncaught thread error that the kernel kept."""
    path = Path(log)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Finding("thread", f"an error in a thread that stopped nothing: {line}") for line in lines]


def main(job_path: str) -> None:
    """Run the job described in the file `job_path` and write its result file."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    found = unknown_parameters(job["input"], job["parameters"])
    if not found:
        with tempfile.TemporaryDirectory(prefix="nb") as runtime:
            os.environ["JUPYTER_RUNTIME_DIR"] = runtime
            found = execute(job)
    atomic_write_text(job["result"], json.dumps([vars(finding) for finding in found]))


if __name__ == "__main__":
    main(sys.argv[1])
