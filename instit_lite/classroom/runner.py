"""The strict notebook runner. In: notebooks, a profile, a seed. Out: executed notebooks, a status file each.

A notebook passes only if every cell was executed and nothing failed, also in a widget's callback, within a
limit for each cell and for the whole, in a process of its own. The execution itself is papermill's.
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

import psutil

from .. import __version__
from ..errors import InstitError, NotebookError, UnreadableInput, end_with
from ..profiles import atomic_write_text, build_dir, get_profile, repo_root
from .findings import Finding, code_cells, executed
from .normalise import read
from .process import Ended, watch
from .progress import Progress
from .resources import cores
from .start import installed

HOUR = 3600  # seconds
LIMITS = {"smoke": (120, 300), "micro": (HOUR, 2 * HOUR), "gpu": (48 * HOUR, 60 * HOUR)}  # a cell, a notebook
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
    peak_rss_mb: float
    findings: list[Finding]
    finished: str
    executed_notebook: str
    versions: dict[str, str]
    cell_seconds: list[float] = field(default_factory=list)
    downloads_mb: int = 0  # by which the hub's cache grew
    dollars: float = 0.0  # a headless run has no key, so that nothing can be billed
    machine: str = ""


def find_notebooks(names: list[str], folder: Path | None = None) -> list[Path]:
    """Return the notebooks whose names begin with `names` ("03"), or all.

    Raises `UnreadableInput` where a name has no match.
    """
    folder = folder or repo_root() / "notebooks"
    every = sorted(folder.glob("[0-9]*.ipynb"))
    for name in names:
        if not any(path.name.startswith(name) for path in every):
            raise UnreadableInput(f"no notebook begins with {name!r}", path=folder)
    return [path for path in every if not names or path.name.startswith(tuple(names))]


def environment(profile: str) -> dict[str, str]:
    """Return the environment of a headless kernel: no key; outside profile gpu the hub stays untouched."""
    env = os.environ | {"INSTIT_HEADLESS": "1", "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUNBUFFERED": "1"}
    env.pop("OPENAI_API_KEY", None)
    return env if profile == "gpu" else env | {"HF_HUB_OFFLINE": "1"}


def run_notebook(
    path: Path, *, profile: str = "micro", seed: int = 0, parameters: dict | None = None,
    output_dir: Path | None = None, cell_limit: float | None = None, notebook_limit: float | None = None,
    label: str | None = None,
) -> Status:
    """Execute one notebook in a process of its own; return its status, also written beside the output.

    `parameters` come on top of `profile` and `seed`; unknown ones are refused. Limits are in seconds and
    default to the profile's. Failures are told in the status, never raised; a missing notebook raises
    `UnreadableInput`.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise UnreadableInput("there is no such notebook", path=path)
    limits = LIMITS[get_profile(profile).name]
    notebook_limit = notebook_limit or limits[1]
    output = Path(output_dir or build_dir("notebooks", profile)).resolve() / path.name
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    progress = Progress(label or path.stem, output)
    machine, cached = describe_machine(), hub_cache_mb()
    with tempfile.TemporaryDirectory(prefix="instit") as scratch:
        job_path, result, log_path = (Path(scratch) / name for name in ("job.json", "result.json", "log.txt"))
        job = {
            "input": str(path), "output": str(output), "cwd": scratch, "result": str(result),
            "parameters": {"profile": profile, "seed": seed, **(parameters or {})},
            "cell_limit": cell_limit or limits[0],
        }  # fmt: skip
        job_path.write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, "-m", "instit_lite.classroom.run_one", str(job_path)]
        with log_path.open("w", encoding="utf-8") as log:
            env = environment(profile)
            ended = watch(command, env=env, log=log, limit=notebook_limit, tick=progress.tick)
        found = judge(result, ended, notebook_limit, log_path, progress)
    cost = {"machine": machine, "downloads_mb": max(0, hub_cache_mb() - cached)}
    status = summarise(output, found, ended, profile, seed, cost)
    progress.say(f"{status.seconds:.1f} s {'ok' if status.ok else 'FAILED'}")
    for finding in found:
        print(f"      {finding}", flush=True)
    return status


def judge(result: Path, ended: Ended, limit: float, log: Path, progress: Progress) -> list[Finding]:
    """Return the findings of a run, also where its process left none."""
    if ended.returncode is None:
        message = f"stopped at the limit of {limit:g} s for a whole notebook, at {progress.where()}"
        return [Finding("timeout", message)]
    if result.exists():
        return [Finding(**item) for item in json.loads(result.read_text(encoding="utf-8"))]
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
    message = f"its process ended with code {ended.returncode} and left no result"
    if ended.returncode < 0:
        message += "; it was killed, most likely because the machine ran out of memory"
    return [Finding("runner", f"{message}. {said[-1]}".strip())]


def hub_cache_mb() -> int:
    """Return the size of what was downloaded from the hub, in MB; its snapshots are links to files counted once."""
    from huggingface_hub.constants import HF_HUB_CACHE

    files = (path for path in Path(HF_HUB_CACHE).rglob("*") if path.is_file() and not path.is_symlink())
    return round(sum(file.stat().st_size for file in files) / 1e6)


def describe_machine() -> str:
    """Return in words what a run has to itself: processors and memory, and whether others were at work before it."""
    memory = psutil.virtual_memory().total / 2**30
    used = psutil.cpu_percent(interval=0.2) / 100 * (psutil.cpu_count() or 1)  # a load average would count the run before
    busy = f", while other programs used {used:.1f} cores" if used > cores() / 4 else ""
    return f"{platform.system()} {platform.machine()}, {cores()} cores, {memory:.0f} GB{busy}"


def summarise(
    output: Path, found: list[Finding], ended: Ended, profile: str, seed: int, cost: dict | None = None
) -> Status:
    """Write and return the status of a run that was to write the notebook `output`; `cost` is what else was measured."""
    done, seconds = 0, []
    if output.exists():
        notebook = read(output)
        done = executed(notebook)
        cells = code_cells(notebook)
        seconds = [cell.metadata.get("papermill", {}).get("duration") or 0.0 for _, cell in cells]
    versions = {"instit_lite": __version__, "python": platform.python_version()}
    status = Status(
        notebook=output.stem, profile=profile, seed=seed, ok=not found, seconds=round(ended.seconds, 2),
        cells_executed=done, cell_seconds=[round(value, 3) for value in seconds],
        peak_rss_mb=round(ended.peak_rss_mb), findings=found, finished=time.strftime("%Y-%m-%d %H:%M:%S"),
        executed_notebook=output.name, versions=versions | {name: installed(name) for name in NAMED_VERSIONS},
        **(cost or {}),
    )  # fmt: skip
    atomic_write_text(output.with_suffix(".json"), json.dumps(asdict(status), indent=1) + "\n")
    return status


def parameters_of(pairs: list[str]) -> dict:
    """Read `name=value` pairs; a value that is JSON is taken as such, any other as text."""
    found = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise InstitError(f"{pair!r} has no value", cure="write --set name=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def main(argv: list[str] | None = None) -> int:
    """Command line: run notebooks by the beginnings of their names; a failed one raises `NotebookError`."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.runner", description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of notebook names, such as 03; default: all")
    parser.add_argument("--profile", default="micro")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cell-limit", type=float, help="seconds for one cell")
    parser.add_argument("--notebook-limit", type=float, help="seconds for one notebook")
    parser.add_argument("--folder", type=Path, help="where the notebooks are (default: notebooks)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another parameter")
    options = vars(parser.parse_args(argv))
    options["parameters"] = parameters_of(options.pop("set"))
    paths = find_notebooks(options.pop("names"), options.pop("folder"))
    labels = [f"[{position}/{len(paths)}] {path.stem}" for position, path in enumerate(paths, 1)]
    statuses = [run_notebook(path, label=label, **options) for path, label in zip(paths, labels)]
    failed = [status.notebook for status in statuses if not status.ok]
    total = sum(status.seconds for status in statuses)
    print(f"{len(statuses) - len(failed)} of {len(statuses)} notebooks passed in {total:.0f} s")
    if failed:
        folder = build_dir("notebooks", options["profile"])
        raise NotebookError(
            f"failed: {', '.join(failed)}", cure=f"open what was executed in {folder} at the named cell"
        )
    return 0


if __name__ == "__main__":
    end_with(main)
