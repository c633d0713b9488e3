"""What a careful eye reads off pixels and masks alone: an oracle that shares no code with `scenes.facts`."""

from dataclasses import dataclass

import numpy as np
from instit_lite.scenes.world import COLOURS, PLACES

UNIT_AREA = {"circle": 3.1416, "square": 1.74**2, "triangle": 1.65 * 0.9526, "star": 5 * 0.46 * 0.5878}
FILLED = {"circle": 0.785, "square": 1.0, "triangle": 0.5, "star": 0.393}  # area over bounding box


@dataclass(frozen=True)
class Seen:
    """One thing that is visible whole; `clear` says that its size and place are not near a limit."""

    shape: str
    colour: str
    size: str
    place: str
    x: float
    y: float
    clear: bool


def look(picture, mask):
    """Name the thing under a mask, bool [side, side], that nothing covers and no border cuts."""
    side = mask.shape[0]
    rows, columns = np.nonzero(mask)
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    shape = min(FILLED, key=lambda name: abs(FILLED[name] - mask.sum() / box))
    radius = np.sqrt(mask.sum() / UNIT_AREA[shape]) / side
    pixels = picture[mask].astype(float)
    colour = min(COLOURS, key=lambda name: np.abs(pixels - COLOURS[name]).sum(1).min())
    x, y = (columns.mean() + 0.5) / side, (rows.mean() + 0.5) / side
    lines = min(abs(v - line) for v in (x, y) for line in (1 / 3, 2 / 3))
    place = PLACES[int(y * 3) * 3 + int(x * 3)]
    return Seen(shape, colour, "large" if radius > 0.13 else "small", place, x, y,
                lines > 0.025 and abs(radius - 0.13) > 0.01)  # fmt: skip
