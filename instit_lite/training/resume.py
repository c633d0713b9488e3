"""Resuming after a kill. In: a run's folder. Out: its newest whole checkpoint, its log cut back to
there.

The HF `Trainer` writes a checkpoint straight into its final folder and takes the newest folder for
the last checkpoint, whole or not. Here a checkpoint counts only when everything it needs can be
opened.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from ..errors import ModelError
from ..model.adapter import read_card
from ..profiles import atomic_write_text

STATE_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def checkpoints(folder: str | Path) -> list[Path]:
    """List the `checkpoint-<step>` folders of a run, newest first."""
    found = (p for p in Path(folder).glob("checkpoint-*") if p.is_dir())
    return sorted((p for p in found if p.name.split("-")[1].isdigit()), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def damage(checkpoint: Path) -> str:
    """Say what is wrong with a checkpoint; an empty text means that it is whole."""
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        read_card(checkpoint)
    except (OSError, ValueError) as problem:
        return f"trainer_state.json cannot be read ({problem})"
    except ModelError as problem:
        return problem.reason
    if state.get("global_step") != step_of(checkpoint):
        return f"its state is of step {state.get('global_step')}"
    broken = [name for name in STATE_FILES if not zipfile.is_zipfile(checkpoint / name)]
    return f"{', '.join(broken)} missing or cut short" if broken else ""


def newest_whole_checkpoint(folder: str | Path) -> tuple[Path | None, list[str]]:
    """Find the newest checkpoint that can be resumed from; also return a note for each newer,
    damaged one.
    """
    notes = []
    for checkpoint in checkpoints(folder):
        reason = damage(checkpoint)
        if not reason:
            return checkpoint, notes
        notes.append(f"{checkpoint.name} is ignored: {reason}")
    return None, notes


def remove_checkpoints(folder: str | Path) -> None:
    """Delete a run's checkpoints: whole ones, damaged ones, and what a kill left of one being
    written.
    """
    torn = [*Path(folder).glob(".*.part"), *Path(folder).glob(".*.old")]
    for checkpoint in checkpoints(folder) + torn:
        shutil.rmtree(checkpoint)


def read_log(path: Path) -> list[dict]:
    """Read a run's log of losses, one object a step; a last line cut short by a kill is left out.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def cut_log(path: Path, step: int) -> list[dict]:
    """Drop the lines after `step`, which a resumed run writes again; return those that stay."""
    rows = [row for row in read_log(path) if row["step"] <= step]
    atomic_write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return rows
