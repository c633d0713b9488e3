"""Who sees whom in a packed sequence. In: the sequence, and the lengths of its parts. Out: a figure of its mask."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ..training.packing import IGNORE, Packed, visible
from .figures import PALETTE

COLOURS = ("sky", "amber", "green", "pink", "orange", "blue")  # of the prefix and the branches, in turn


def draw_packing(row: Packed, parts: dict[str, int], title: str) -> Figure:
    """Draw the mask of a sequence of S tokens whose `parts` are named with their lengths, the prefix first.

    A cell has the colour of the part that is seen; dots stand for the tokens whose loss counts, numbers for positions.
    """
    owner = np.repeat(np.arange(len(parts)), list(parts.values()))
    colours = np.array([to_rgb(PALETTE[COLOURS[i % len(COLOURS)]]) for i in owner])
    fig, axis = plt.subplots(figsize=(4.2, 4.4))
    axis.imshow(np.where(visible(row.segments)[..., None], colours[None], 1.0))
    edges = np.cumsum([0, *parts.values()])
    for edge in edges[1:-1] - 0.5:
        axis.axhline(edge, color="black", linestyle="-", linewidth=0.6)
        axis.axvline(edge, color="black", linestyle="-", linewidth=0.6)
    for i, (position, label) in enumerate(zip(row.position_ids.tolist(), row.labels.tolist())):
        axis.text(i, -0.9, str(position), ha="center", fontsize=6 if len(row) > 20 else 8)
        axis.plot(i, i, "o" if label != IGNORE else "", color="black", markersize=3)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    axis.set_xticks(middles, list(parts), fontsize=10)
    axis.set_yticks(middles, list(parts), fontsize=10)
    axis.set(xlabel="token that is seen", ylabel="token that looks")
    axis.set_title(title, fontsize=11, pad=18)
    axis.grid(False)
    return fig
