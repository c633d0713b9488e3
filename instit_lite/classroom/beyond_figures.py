"""Figures of notebook 08. In: means with intervals, findings of the bias audit. Out: axes drawn on, figures."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation.bias import Finding
from .figures import PALETTE

Row = tuple[str, float, float, float, str, str]  # label, mean, low, high, colour of `PALETTE`, marker


def forest(axis: Axes, rows: Sequence[Row], zero: float = 0.0) -> None:
    """Draw a point and its interval for each row, from top to bottom, and a line at `zero`."""
    for y, (_, mean, low, high, colour, marker) in enumerate(rows):
        axis.plot([low, high], [-y, -y], color=PALETTE[colour], linestyle="-")
        axis.plot(mean, -y, marker, color=PALETTE[colour])
    axis.axvline(zero, color=PALETTE["grey"], linewidth=1, linestyle="--")
    axis.set(yticks=[-y for y in range(len(rows))], ylim=(-len(rows) + 0.5, 0.5))
    axis.set_yticklabels([row[0] for row in rows], fontsize=9)
    axis.grid(axis="x")


def bias_figure(findings: Sequence[Finding], label: str) -> Figure:
    """One panel for each attribute, in percent or points; what stands after the correction has a filled diamond."""
    groups = list(dict.fromkeys(f.attribute for f in findings))
    most = max(sum(f.attribute == group for f in findings) for group in groups)
    columns = len(groups) if len(groups) <= 4 else 3
    size = (1.3 + 2.1 * columns, (0.28 * most + 1) * -(-len(groups) // columns))
    fig, axes = plt.subplots(-(-len(groups) // columns), columns, figsize=size, squeeze=False)
    for axis, group in zip(axes.flat, groups):
        own = [f for f in findings if f.attribute == group]
        looks = [("orange", "D") if f.plain else ("grey", "|") for f in own]
        rows = [(f.value, *(100 * np.array(f.found)), *look) for f, look in zip(own, looks)]
        forest(axis, rows, 100 * own[0].expected)
        axis.set(title=group, xlabel=label)
    return fig


def plainly(findings: Sequence[Finding]) -> str:
    """In words what stands after the correction: "place: top 4, ..."."""
    return ", ".join(f"{f.attribute} {f.value} {100 * f.found.mean:+.0f}" for f in findings if f.plain) or "none"
