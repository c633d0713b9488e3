"""TensorBoard, for whoever asks for it. In: rows of the log of losses. Out: event files in a run's folder.

The package is optional: `losses.jsonl` holds the same numbers.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import PreflightError

FOLDER = "tensorboard"


class Board:
    """Writes rows to `out/tensorboard`; raises `PreflightError` where TensorBoard is not installed."""

    def __init__(self, out: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as problem:
            cure = "run `pip install tensorboard`, or train without it: `losses.jsonl` holds the same numbers"
            raise PreflightError("TensorBoard is not installed", path=out, cure=cure) from problem
        self.folder, self.open = out / FOLDER, SummaryWriter
        self.writer = None

    def begin(self, step: int) -> None:
        """Go on after `step`: what an earlier, killed run wrote beyond it is hidden."""
        self.writer = self.open(str(self.folder), purge_step=step + 1)

    def add(self, row: dict) -> None:
        """Add one step's numbers, each as a curve."""
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(f"train/{name}", value, row["step"])
        self.writer.flush()  # a kill would take along what is not on disk

    def end(self) -> None:
        if self.writer is not None:
            self.writer.close()
