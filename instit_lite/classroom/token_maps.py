"""Maps over a frame's visual tokens. In: a matplotlib axis, values on the grid. Out: the axis, drawn on."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle


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
