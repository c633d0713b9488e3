"""Resuming after a kill. In: a run's folder. Out: its newest whole checkpoint, its log cut back to there.

The HF `Trainer` writes a checkpoint straight into its final folder and takes the newest folder for
the last checkpoint, whole or not. Here a checkpoint is written beside its place, sealed and moved
there, and counts only when every file is the one that its seal names: `seal.json` holds their
hashes, and where the run stood (`training.proof`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ..model.adapter import file_hash, swap_in
from ..profiles import atomic_write_text, read_lines

SEAL = "seal.json"
PART = ".checkpoints.part"  # where a checkpoint is while it is being written
KEPT = 2


def checkpoints(folder: str | Path) -> list[Path]:
    """List the `checkpoint-<step>` folders of a run, newest first."""
    found = (p for p in Path(folder).glob("checkpoint-*") if p.is_dir())
    return sorted((p for p in found if p.name.split("-")[1].isdigit()), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def seal(written: Path, folder: Path, standing: dict, processes: int) -> None:
    """Name all files of a finished checkpoint with their hashes, move it to `folder`, and delete
    all but the newest `KEPT` there.
    """
    files = {p.name: file_hash(p) for p in sorted(written.iterdir())}
    sealed = {"format": 1, "standing": standing, "processes": processes, "files": files}
    atomic_write_text(written / SEAL, json.dumps(sealed, indent=1) + "\n")
    swap_in(written, folder / written.name)
    shutil.rmtree(written.parent)
    for old in checkpoints(folder)[KEPT:]:
        shutil.rmtree(old)


def read_seal(checkpoint: Path) -> dict:
    """Read what a checkpoint says of itself; raises `OSError` or `ValueError`."""
    sealed = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
    if not isinstance(sealed, dict) or not {"standing", "processes", "files"} <= sealed.keys():
        raise ValueError("not a seal")
    return sealed


def damage(checkpoint: Path) -> str:
    """Say what is wrong with a checkpoint; an empty text means that it is whole."""
    try:
        sealed = read_seal(checkpoint)
    except (OSError, ValueError) as problem:
        return f"{SEAL} cannot be read ({problem})"
    if sealed["standing"].get("step") != step_of(checkpoint):
        return f"its state is of step {sealed['standing'].get('step')}"
    files = [(checkpoint / name, expected) for name, expected in sealed["files"].items()]
    broken = [path.name for path, hash in files if not path.is_file() or file_hash(path) != hash]
    return f"{', '.join(broken)} missing or damaged" if broken else ""


def newest_whole_checkpoint(folder: str | Path) -> tuple[Path | None, list[str]]:
    """Find the newest checkpoint that can be resumed from; also return a note for each newer, damaged one."""
    notes = []
    for checkpoint in checkpoints(folder):
        reason = damage(checkpoint)
        if not reason:
            return checkpoint, notes
        notes.append(f"{checkpoint.name} is ignored: {reason}")
    return None, notes


def remove_checkpoints(folder: str | Path) -> None:
    """Delete a run's checkpoints: whole ones, damaged ones, and what a kill left of one being written."""
    torn = [*Path(folder).glob(".*.part"), *Path(folder).glob(".*.old")]
    for checkpoint in checkpoints(folder) + torn:
        shutil.rmtree(checkpoint)


def cut_log(path: Path, step: int) -> list[dict]:
    """Drop the lines after `step`, which a resumed run writes again; return those that stay."""
    rows = [row for row in read_lines(path) if row["step"] <= step]
    atomic_write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return rows
