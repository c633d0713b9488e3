"""What the runner says while it works. In: a label, a growing notebook. Out: lines on the terminal or in a
log.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import UnreadableInput
from .findings import Finding, own_cells
from .normalise import read


class Progress:
    """One line per notebook; a terminal counts cells and seconds in it, a log gets a line once a minute."""

    def __init__(self, label: str, output: Path) -> None:
        self.label, self.output = label, output
        self.terminal = sys.stdout.isatty()
        self.every = 1.0 if self.terminal else 60.0
        self.next_tick = self.every
        self._say(f"{label} ...")

    def _say(self, text: str, *, last: bool = False) -> None:
        if self.terminal:
            print(f"\r{text}\x1b[K", end="\n" if last else "", flush=True)
        else:
            print(text, flush=True)

    def tick(self, seconds: float) -> None:
        """Say where the run is, if it is time to."""
        if seconds >= self.next_tick:
            self.next_tick = seconds + self.every
            self._say(f"{self.label} ... {self.where()}, {seconds:.0f} s")

    def where(self) -> str:
        """Return which code cell is running, as far as the saved notebook tells."""
        try:
            cells = [c for _, c in own_cells(read(self.output)) if c.cell_type == "code"]
        except UnreadableInput:
            return "start-up"
        started = sum("start_time" in c.metadata.get("papermill", {}) for c in cells)
        return f"code cell {started} of {len(cells)}"

    def done(self, ok: bool, seconds: float, findings: list[Finding]) -> None:
        """Say how the run ended, with everything found."""
        self._say(f"{self.label} ... {seconds:.1f} s {'ok' if ok else 'FAILED'}", last=True)
        for finding in findings:
            print(f"      {finding}", flush=True)
