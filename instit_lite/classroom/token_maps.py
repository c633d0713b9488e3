"""Maps over a frame's visual tokens. In: a matplotlib axis, values on the grid. Out: the axis, drawn on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from ..model.context import PAPER_CONTEXT
from .figures import PALETTE

ENCODERS = {"CLIP-336 (24 x 24)": 24, "SigLIP-384 (27 x 27)": 27, "micro (8 x 8)": 8}  # side of the grid
VICUNA = 4096  # positions of Vicuna 1.5


def frame_patch(axis: Axes, patch: tuple[int, int]) -> None:
    """Frame one patch (row, column) of a grid whose cells are 1 x 1, in white on black."""
    row, column = patch
    for colour, width in (("black", 3), ("white", 1.2)):
        axis.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=colour, linewidth=width))
    axis.set(xticks=[], yticks=[])


def similarity_map(axis: Axes, near: torch.Tensor, patch: tuple[int, int], title: str) -> AxesImage:
    """Draw cosines [g, g] with a patch framed; return the image, for a colour bar."""
    image = axis.imshow(near, extent=(0, len(near), len(near), 0), vmin=-0.2, vmax=0.6)
    frame_patch(axis, patch)
    axis.set_title(title, fontsize=10)
    return image


def grid_over(axis: Axes, frame: np.ndarray, side: int, title: str, alpha: float = 1.0) -> None:
    """Draw a frame under a grid of `side` x `side` cells of 1 x 1."""
    axis.imshow(frame, extent=(0, side, side, 0), alpha=alpha)
    axis.set(xticks=range(side + 1), yticks=range(side + 1), xticklabels=[], yticklabels=[], title=title)
    axis.tick_params(length=0)
    axis.grid(True, axis="both", color="white", linewidth=0.6)
    axis.set_axisbelow(False)


def word_map(axis: Axes, frame: np.ndarray, words: Sequence[str], title: str) -> None:
    """Write the word nearest to each visual token, row by row, over the frame; "nothing" is left out."""
    side = round(len(words) ** 0.5)
    grid_over(axis, frame, side, title, alpha=0.55)
    for i, word in enumerate(words):
        if word != "nothing":
            axis.text(i % side + 0.5, i // side + 0.5, word, ha="center", va="center", fontsize=7, weight="bold")


def draw_budget(frame: np.ndarray, state: dict, count: Callable[[int, int, int, bool], int]) -> Figure:
    """The grid of one frame, whole or pooled, and what a clip of such frames costs.

    `state` has encoder, frames and pooled; `count(frames, side, patch, pooled)` is the visual tokens of a clip.
    """
    frames, side = np.arange(1, 33), ENCODERS[state["encoder"]]
    each = count(1, side, 1, state["pooled"])
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.9), width_ratios=(1, 2))
    grid_over(left, frame, round(each**0.5), f"{each} tokens a frame")
    right.plot(frames, frames * each, color=PALETTE["blue"], linestyle="-")
    right.plot(state["frames"], state["frames"] * each, "o", color=PALETTE["orange"], markersize=9)
    for limit, name, line in ((PAPER_CONTEXT, f"{PAPER_CONTEXT:,}", "--"), (VICUNA, f"{VICUNA:,}, Vicuna", ":")):
        right.axhline(limit, color=PALETTE["black"], linestyle=line, linewidth=1, label=name)
    right.set(xlabel="frames", ylabel="visual tokens", ylim=(0, 20000))
    right.set_title(f"{state['frames']} frames: {state['frames'] * each:,} tokens")
    right.legend(loc="upper left")
    return fig
