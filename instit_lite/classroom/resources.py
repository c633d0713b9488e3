"""What a stage costs. In: a stage's name and the code inside the `with`. Out: a row in
`build/results/resources.json`.

    with Meter("fine-tuning", profile="micro") as meter:
        train()
    meter.seconds, meter.peak_mb
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from pathlib import Path

import psutil

from ..errors import InstitError, RecordError
from ..profiles import atomic_write_text, build_dir, get_profile

COLUMNS = ["stage", "profile", "seconds", "peak memory (MB)", "cores"]
TITLE = "Measured time and memory by stage"
NOTE = (
    "Seconds are wall-clock; peak memory is the resident memory of the whole process while the stage ran, "
    "with what earlier stages left in it. A stage that is run again replaces its row."
)
SAMPLED_EVERY = 0.05


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def high_water_mb() -> float:
    """Return the highest resident memory of this process so far in MB, 0.0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class Meter:
    """Measures wall seconds and peak resident memory of a stage and keeps them as a row.

    `stage` names the row; `folder` is where `resources.json` lies (default: `build/results`). After the
    `with`, `seconds` and `peak_mb` hold what was measured. A stage that fails leaves no row. Raises
    `InstitError` for a stage without a name or an unknown profile, `RecordError` for a table that cannot be
    read; both before the stage runs.
    """

    def __init__(self, stage: str, *, profile: str = "micro", folder: Path | None = None) -> None:
        if not stage.strip():
            raise InstitError("a measured stage needs a name")
        self.stage, self.profile = stage.strip(), get_profile(profile).name
        self.path = Path(folder or build_dir("results")) / "resources.json"
        self.seconds = self.peak_mb = 0.0

    def __enter__(self) -> Meter:
        read_table(self.path)
        self._process = psutil.Process()
        self._before = high_water_mb()
        self.peak_mb = self._rss_mb()
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._began = time.perf_counter()
        self._sampler.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.seconds = time.perf_counter() - self._began
        self._ended.set()
        self._sampler.join()
        self.peak_mb = max(self.peak_mb, self._rss_mb())
        highest = high_water_mb()
        if highest > self._before:  # a record that this stage set, perhaps between two samples
            self.peak_mb = max(self.peak_mb, highest)
        if kind is None:
            self._keep()

    def _rss_mb(self) -> float:
        return self._process.memory_info().rss / 2**20

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLED_EVERY):
            self.peak_mb = max(self.peak_mb, self._rss_mb())

    def _keep(self) -> None:
        row = [self.stage, self.profile, round(self.seconds, 2), round(self.peak_mb), cores()]
        table = read_table(self.path)
        rows, place = table["rows"], [old[:2] for old in table["rows"]]
        if row[:2] in place:
            rows[place.index(row[:2])] = row
        else:
            rows.append(row)
        machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        note = f"{NOTE} Machine: {machine}."
        table = {"title": TITLE, "columns": COLUMNS, "rows": rows, "note": note}
        atomic_write_text(self.path, json.dumps(table, indent=1) + "\n")


def read_table(path: Path) -> dict:
    """Return the table at `path`, an empty one where there is none; raise `RecordError` for anything else."""
    if not path.exists():
        return {"title": TITLE, "columns": COLUMNS, "rows": [], "note": NOTE}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        fits = table["columns"] == COLUMNS and all(len(row) == len(COLUMNS) for row in table["rows"])
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise RecordError("not a table of measured stages", path=path, cure="remove it and run again")
    return table
