"""The strict notebook runner. In: notebooks, a profile, a seed. Out: executed notebooks, a status file each,
pass or fail.

A notebook passes only if every cell was executed and nothing failed, also in a widget's callback or in a
thread, within a limit for each cell and for the whole, in a process of its own. The execution itself is
papermill's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .. import __version__
from ..errors import InstitError, NotebookError, UnreadableInput
from ..profiles import atomic_write_text, build_dir, get_profile, repo_root
from .findings import Finding, executed, own_cells
from .normalise import read
from .process import Ended, watch
from .progress import Progress
from .start import installed

HOUR = 3600
LIMITS = {"smoke": (120, 300), "micro": (1200, 1800), "gpu": (48 * HOUR, 60 * HOUR)}
NAMED_VERSIONS = ("torch", "transformers", "peft", "bitsandbytes", "supervision", "openai", "papermill")


@dataclass
class Status:
    """What the status file of a notebook says; seconds per cell are in the order of its code cells."""

    notebook: str
    profile: str
    seed: int
    ok: bool
    seconds: float
    cells_executed: int
    cell_seconds: list[float]
    peak_rss_mb: float
    findings: list[Finding]
    finished: str
    executed_notebook: str
    versions: dict[str, str] = field(default_factory=dict)


def find_notebooks(names: list[str], folder: Path | None = None) -> list[Path]:
    """Return the notebooks whose names begin with `names` ("03"), or all; raise `UnreadableInput` for no
    match.
    """
    folder = folder or repo_root() / "notebooks"
    every = sorted(folder.glob("[0-9]*.ipynb"))
    if not names:
        if not every:
            raise UnreadableInput("there are no notebooks", path=folder)
        return every
    chosen = []
    for name in names:
        matches = [path for path in every if path.stem.startswith(name.removesuffix(".ipynb"))]
        if Path(name).is_file():
            matches = [Path(name)]
        if not matches:
            raise UnreadableInput(f"no notebook begins with {name!r}", path=folder)
        chosen += [path for path in matches if path not in chosen]
    return chosen


def environment(thread_log: Path, profile: str) -> dict[str, str]:
    """Return the environment of a headless kernel; outside profile gpu the hub stays untouched."""
    env = os.environ | {
        "INSTIT_HEADLESS": "1",
        "INSTIT_THREAD_LOG": str(thread_log),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONSTARTUP": str(Path(__file__).with_name("kernel_watch.py")),
        "PYTHONUNBUFFERED": "1",
    }
    return env if profile == "gpu" else env | {"HF_HUB_OFFLINE": "1"}


def run_notebook(
    path: Path, *, profile: str = "micro", seed: int = 0, parameters: dict | None = None,
    output_dir: Path | None = None, cell_limit: float | None = None, notebook_limit: float | None = None,
    label: str | None = None,
) -> Status:
    """Execute one notebook in a process of its own; return its status, which is also written beside the
    output.

    `parameters` come on top of `profile` and `seed`; unknown ones are refused. Limits are in seconds and
    default to the profile's. Failures are told in the status, never raised; a missing notebook raises
    `UnreadableInput`.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise UnreadableInput("there is no such notebook", path=path)
    limits = LIMITS[get_profile(profile).name]
    cell_limit = cell_limit or limits[0]
    notebook_limit = notebook_limit or limits[1]
    output_dir = Path(output_dir or build_dir("notebooks", profile)).resolve()
    output_dir.mkdir(parents=True, exist_ok=True)
    output = output_dir / path.name
    output.unlink(missing_ok=True)
    progress = Progress(label or path.stem, output)
    with tempfile.TemporaryDirectory(prefix="instit") as scratch:
        job = {
            "input": str(path),
            "output": str(output),
            "parameters": {"profile": profile, "seed": seed, **(parameters or {})},
            "cell_limit": cell_limit,
            "cwd": scratch,
            "result": str(Path(scratch) / "result.json"),
            "thread_log": str(Path(scratch) / "threads.txt"),
        }
        job_path = Path(scratch) / "job.json"
        job_path.write_text(json.dumps(job), encoding="utf-8")
        log_path = Path(scratch) / "log.txt"
        with log_path.open("w", encoding="utf-8") as log:
            ended = watch(
                [sys.executable, "-m", "instit_lite.classroom.run_one", str(job_path)],
                env=environment(Path(job["thread_log"]), profile), log=log, limit=notebook_limit,
                tick=progress.tick,
            )
        found = judge(Path(job["result"]), ended, notebook_limit, log_path, progress)
    status = summarise(path, output, found, ended, profile, seed)
    progress.done(status.ok, status.seconds, status.findings)
    return status


def judge(result: Path, ended: Ended, limit: float, log: Path, progress: Progress) -> list[Finding]:
    """Return the findings of a run, also where its process left none."""
    if ended.returncode is None:
        message = f"stopped at the limit of {limit:g} s for a whole notebook, at {progress.where()}"
        return [Finding("timeout", message)]
    if not result.exists():
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        message = f"its process ended with code {ended.returncode} and left no result"
        if ended.returncode < 0:
            message += "; it was killed, most likely because the machine ran out of memory"
        return [Finding("runner", f"{message}. {said[-1] if said else ''}".strip())]
    return [Finding(**item) for item in json.loads(result.read_text(encoding="utf-8"))]


def summarise(
    path: Path, output: Path, found: list[Finding], ended: Ended, profile: str, seed: int
) -> Status:
    """Write and return the status of a run."""
    cells = []
    done = 0
    if output.exists():
        notebook = read(output)
        done = executed(notebook)
        cells = [c for _, c in own_cells(notebook) if c.cell_type == "code"]
    status = Status(
        notebook=path.stem,
        profile=profile,
        seed=seed,
        ok=not found,
        seconds=round(ended.seconds, 2),
        cells_executed=done,
        cell_seconds=[round(c.metadata.get("papermill", {}).get("duration") or 0.0, 3) for c in cells],
        peak_rss_mb=round(ended.peak_rss_mb),
        findings=found,
        finished=time.strftime("%Y-%m-%d %H:%M:%S"),
        executed_notebook=output.name,
        versions={"instit_lite": __version__, "python": platform.python_version()}
        | {name: installed(name) for name in NAMED_VERSIONS},
    )
    atomic_write_text(output.with_suffix(".json"), json.dumps(asdict(status), indent=1) + "\n")
    return status


def run_all(paths: list[Path], *, profile: str, seed: int = 0, **limits) -> list[Status]:
    """Execute notebooks one after the other, printing progress; return their statuses in the same order."""
    statuses = []
    for position, path in enumerate(paths, 1):
        label = f"[{position}/{len(paths)}] {path.stem}"
        statuses.append(run_notebook(path, profile=profile, seed=seed, label=label, **limits))
    return statuses


def main(argv: list[str] | None = None) -> int:
    """Command line: run notebooks by the beginnings of their names; exit code 1 where one fails."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.runner", description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of notebook names, such as 03; default: all")
    parser.add_argument("--profile", default="micro")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cell-limit", type=float, help="seconds for one cell")
    parser.add_argument("--notebook-limit", type=float, help="seconds for one notebook")
    args = parser.parse_args(argv)
    paths = find_notebooks(args.names)
    statuses = run_all(
        paths, profile=args.profile, seed=args.seed, cell_limit=args.cell_limit,
        notebook_limit=args.notebook_limit,
    )
    failed = [status.notebook for status in statuses if not status.ok]
    total = sum(status.seconds for status in statuses)
    print(f"{len(statuses) - len(failed)} of {len(statuses)} notebooks passed in {total:.0f} s")
    if failed:
        raise NotebookError(
            f"failed: {', '.join(failed)}",
            cure=f"open what was executed in {build_dir('notebooks', args.profile)} at the named cell",
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InstitError as error:
        sys.exit(f"error: {error}")
