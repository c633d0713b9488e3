"""What a stage costs. In: its name and the code in the `with`. Out: a row in `build/results/resources.json`.

    with Meter("fine-tuning", profile="micro") as meter:
        train()
    meter.seconds, meter.peak_mb
"""

from __future__ import annotations

import json
import os
import platform
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
SAMPLED_EVERY = 0.01  # seconds


def cores() -> int:
    """Return how many cores this process may use."""
    return len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count()


class Meter:
    """Measures wall seconds and peak resident memory of a stage and keeps them as a row.

    `stage` names the row; `folder` is where `resources.json` lies (default: `build/results`). After the
    `with`, `seconds` and `peak_mb` hold what was measured. A stage that fails leaves no row. Before the stage
    runs: `InstitError` without a name or for an unknown profile, `RecordError` for a table that is damaged.
    """

    def __init__(self, stage: str, *, profile: str = "micro", folder: Path | None = None) -> None:
        if not stage.strip():
            raise InstitError("a measured stage needs a name")
        self.stage, self.profile = stage.strip(), get_profile(profile).name
        self.path = Path(folder or build_dir("results")) / "resources.json"
        self.seconds = self.peak_mb = 0.0

    def __enter__(self) -> Meter:
        read_rows(self.path)
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._began = time.perf_counter()
        self._sampler.start()
        return self

    def _sample(self) -> None:
        process, ended = psutil.Process(), False
        while not ended:
            self.peak_mb = max(self.peak_mb, process.memory_info().rss / 2**20)
            ended = self._ended.wait(SAMPLED_EVERY)

    def __exit__(self, kind, error, trace) -> None:
        self.seconds = time.perf_counter() - self._began
        self._ended.set()
        self._sampler.join()
        if kind is None:
            self._keep()

    def _keep(self) -> None:
        rows = {tuple(row[:2]): row for row in read_rows(self.path)}
        row = [self.stage, self.profile, round(self.seconds, 2), round(self.peak_mb), cores()]
        rows[self.stage, self.profile] = row
        machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        note = f"{NOTE} Machine: {machine}."
        table = {"title": TITLE, "columns": COLUMNS, "rows": list(rows.values()), "note": note}
        atomic_write_text(self.path, json.dumps(table, indent=1) + "\n")


def read_rows(path: Path) -> list[list]:
    """Return the rows of the table at `path`, none without a file; raise `RecordError` for anything else."""
    if not path.exists():
        return []
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["columns"] == COLUMNS:
            return table["rows"]
    except (ValueError, KeyError, TypeError):
        pass
    raise RecordError("not a table of measured stages", path=path, cure="remove it and run again")
