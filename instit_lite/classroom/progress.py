"""What the runner says while it works. In: a label, a growing notebook. Out: printed lines."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import UnreadableInput
from .findings import code_cells, started
from .normalise import read


class Progress:
    """A line when a notebook begins and ends; between them one a minute, on a terminal one in ten seconds."""

    def __init__(self, label: str, output: Path) -> None:
        self.label, self.output = label, output
        self.every = self.next_tick = 10 if sys.stdout.isatty() else 60
        self.say("")

    def say(self, text: str) -> None:
        """Print the label with `text`."""
        print(f"{self.label} ... {text}", flush=True)

    def tick(self, seconds: float) -> None:
        """Say where the run is, if it is time to."""
        if seconds >= self.next_tick:
            self.next_tick += self.every
            self.say(f"{self.where()}, {seconds:.0f} s")

    def where(self) -> str:
        """Return which code cell is running, as far as the saved notebook tells."""
        try:
            notebook = read(self.output)
        except UnreadableInput:
            return "start-up"
        return f"code cell {len(started(notebook))} of {len(code_cells(notebook))}"
