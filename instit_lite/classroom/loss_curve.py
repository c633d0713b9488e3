"""The loss, while it falls and afterwards. In: the losses of a run, or the run itself. Out: a figure that grows.

The growing figure is one output that is replaced in place: it needs no widget, and its last state stays in the notebook.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from transformers import TrainerCallback

from ..profiles import read_lines
from .display import publish
from .figures import PALETTE, figure_html

EVERY = 3.0  # seconds between two drawings: one takes a tenth


def running_mean(losses: Sequence[float], window: int) -> np.ndarray:
    """Means of `window` losses in a row, or of all where there are fewer."""
    window = min(window, len(losses))
    return np.convolve(losses, np.ones(window) / window, mode="valid")


def usual_window(steps: int) -> int:
    """Over how many of a run's steps the mean is taken, unless somebody chooses."""
    return max(1, steps // 20)


def loss_controls(steps: int) -> dict[str, Sequence[int]]:
    """What can be chosen of a finished run: the window of the mean, and up to which step, the last among them."""
    some = max(1, steps // 8)
    windows = {max(1, steps // 100), usual_window(steps), min(steps, max(2, steps // 5))}
    return {"mean_of": sorted(windows), "steps": range(steps - (steps - 1) // some * some, steps + 1, some)}


def draw_loss(losses: Sequence[float], steps: int, window: int) -> Figure:
    """Draw the losses so far on an axis of `steps` steps: grey each one, the line a running mean."""
    smooth = running_mean(losses, window)
    fig, axis = plt.subplots(figsize=(7, 3))
    axis.plot(range(1, len(losses) + 1), losses, color=PALETTE["grey"], linewidth=0.8, linestyle="-", alpha=0.6,
              label="one step")  # fmt: skip
    axis.plot(np.arange(len(smooth)) + len(losses) - len(smooth) + 1, smooth, color=PALETTE["blue"], linestyle="-",
              marker="o" if len(smooth) == 1 else None, label=f"mean of {window}")  # fmt: skip
    axis.set(xlabel="optimiser step", ylabel="loss per answer token", xlim=(0, steps), ylim=(0, None))
    axis.legend(loc="upper right")
    return fig


def loss_alt(losses: Sequence[float], steps: int, window: int) -> str:
    """What the curve shows, in words."""
    return (f"Training loss over {len(losses)} of {steps} steps, from {losses[0]:.2f} to "
            f"{running_mean(losses, window)[-1]:.2f} on a running mean of {window}.")  # fmt: skip


class LiveLoss(TrainerCallback):
    """Show the loss curve of a running SFT and let it grow; `log` is the run's `losses.jsonl`.

    A run that is only loaded shows nothing: its curve is whole already.
    """

    def __init__(self, log: Path) -> None:
        self.log, self.shown, self.drawn = log, None, 0.0

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if state.is_world_process_zero and time.perf_counter() - self.drawn >= EVERY:
            self.show(state.max_steps)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        if state.is_world_process_zero:
            self.show(state.max_steps)

    def show(self, steps: int) -> None:
        losses, window = [row["loss"] for row in read_lines(self.log)], usual_window(steps)
        if losses:
            alt = loss_alt(losses, steps, window)
            picture = figure_html(draw_loss(losses, steps, window), alt=alt)
            self.shown = publish(picture, alt, update=self.shown)
            self.drawn = time.perf_counter()
