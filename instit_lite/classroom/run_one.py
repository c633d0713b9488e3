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
from .findings import Finding, first_line, inspect_run, started
from .normalise import read

DEAD = (
    "the kernel died here; the likely cause is that the machine ran out of memory "
    "(close other programs or choose a smaller profile), else a crash in native code"
)


def unknown_parameters(path: str, parameters: dict) -> list[Finding]:
    """Return a finding for parameters that the tagged cell does not define (papermill itself only warns)."""
    known = papermill.inspect_notebook(path)
    unknown = ", ".join(sorted(set(parameters) - set(known)))
    defined = ", ".join(sorted(known)) or "nothing"
    message = f"unknown parameter {unknown}; the cell tagged `parameters` defines {defined}"
    return [Finding("parameters", message)] if unknown else []


def execute(job: dict) -> tuple[str, str] | None:
    """Execute the notebook of `job`; return kind and message of what stopped it, None where nothing did."""
    # Private sockets where there are some: other users could read plain TCP.
    transport = {"KernelManager": {"transport": "ipc"}} if sys.platform == "linux" else {}
    try:
        papermill.execute_notebook(
            job["input"], job["output"], parameters=job["parameters"], kernel_name="python3",
            execution_timeout=job["cell_limit"], progress_bar=False, cwd=job["cwd"], config=Config(transport),
        )
    except PapermillExecutionError as error:
        return "error", f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        return "dead kernel", DEAD
    except CellTimeoutError:
        return "timeout", f"the cell ran longer than its limit of {job['cell_limit']:g} s"
    except Exception as error:
        return "runner", f"{type(error).__name__}: {error}"
    return None


def findings(output: Path, stopped: tuple[str, str] | None) -> list[Finding]:
    """Join what stopped the run with what the saved notebook shows."""
    if stopped is None:
        return inspect_run(read(output))
    if not output.exists():
        return [Finding(*stopped)]
    notebook = read(output)
    last = started(notebook)[-1:]
    where = (last[0][0], first_line(last[0][1].source)) if last else (None, "")
    found = inspect_run(notebook)
    if stopped[0] == "timeout":  # the interrupt that ended the cell is no error of its own
        found = [finding for finding in found if finding.cell != where[0]]
    if stopped[0] not in {finding.kind for finding in found}:
        found.insert(0, Finding(*stopped, *where))
    return found


def main(job_path: str) -> None:
    """Run the job described in the file `job_path` and write its result file."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    found = unknown_parameters(job["input"], job["parameters"])
    if not found:
        with tempfile.TemporaryDirectory(prefix="nb") as runtime:
            os.environ["JUPYTER_RUNTIME_DIR"] = runtime
            found = findings(Path(job["output"]), execute(job))
    atomic_write_text(job["result"], json.dumps([vars(finding) for finding in found]))


if __name__ == "__main__":
    main(sys.argv[1])
