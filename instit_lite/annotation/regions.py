"""What a mask can tell. In: a frame, one instance's mask. Out: size, place, main colour, edges, as measured.

Nothing here knows what an instance is: a mask has an area, a middle and pixels, and no name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import supervision as sv
from PIL import Image

from ..marks.detections import check_frame
from ..scenes.facts import direction
from ..scenes.world import place_of

SMALL, LARGE = 0.02, 0.12  # shares of the frame below and from which a region is called small, large
GROWN = 1.25  # a change of area that counts
HUES = (  # upper end in degrees, name
    (15, "red"), (42, "orange"), (70, "yellow"), (165, "green"), (200, "cyan"), (255, "blue"),
    (295, "purple"), (340, "pink"), (360, "red"),
)
NAMES = ("black", "grey", "white", "brown", *dict(HUES).values())
BLACK, GREY, WHITE, BROWN, FIRST_HUE = range(5)
Step = tuple[int, str]  # a mark id, and what it did between two frames: a verb phrase that follows "[1] "


@dataclass(frozen=True)
class Region:
    """One instance in one frame; lengths are shares of the frame's width and height, areas of the frame."""

    area: float
    x: float  # centre of mass
    y: float
    left: float  # bounding box
    top: float
    right: float
    bottom: float
    colours: tuple[str, ...] = ()  # the commonest colour, and a second where the first is less than half

    @property
    def place(self) -> str:
        return place_of(self.x, self.y)

    @property
    def size(self) -> str:
        return "small" if self.area < SMALL else "large" if self.area >= LARGE else "medium-sized"

    @property
    def edge(self) -> str:
        """The side of the frame that the region touches, or ""."""
        if self.left <= 0 or self.right >= 1:
            return "left" if self.left <= 0 else "right"
        return "top" if self.top <= 0 else "bottom" if self.bottom >= 1 else ""

    @property
    def words(self) -> str:
        """What was measured: "small region, mostly brown, at the left"."""
        return f"{self.size} region, {say_colours(self.colours)}, at the {self.place}"


def say_colours(colours: tuple[str, ...]) -> str:
    return f"mostly {colours[0]}" if len(colours) == 1 else " and ".join(colours)


def measure_regions(
    detections: sv.Detections, frame: np.ndarray | None = None, timestamp: int = 1
) -> dict[int, Region]:
    """Measure every instance of one frame, uint8 [H, W, 3], by mark id in ascending order.

    Without the frame, colours stay unknown. Instances with an empty mask are left out. Raises `MaskMismatch`
    where masks do not fit the frame.
    """
    if not len(detections):
        return {}
    if frame is not None:
        check_frame(detections, frame.shape[:2], timestamp)
    masks = {int(i): mask for i, mask in zip(detections.tracker_id, detections.mask) if mask.any()}
    return {i: measure_region(masks[i], frame) for i in sorted(masks)}


def measure_region(mask: np.ndarray, frame: np.ndarray | None) -> Region:
    """Measure one mask, bool [H, W], that is not empty."""
    height, width = mask.shape
    ys, xs = np.nonzero(mask)
    return Region(
        float(mask.mean()), float(xs.mean() + 0.5) / width, float(ys.mean() + 0.5) / height,
        xs.min() / width, ys.min() / height, (xs.max() + 1) / width, (ys.max() + 1) / height,
        () if frame is None else common_colours(frame[mask]),
    )


def common_colours(pixels: np.ndarray) -> tuple[str, ...]:
    """Name the commonest colour of pixels, uint8 [n, 3]; the second too where that is less than half."""
    commonest = Counter(NAMES[index] for index in name_colours(pixels).tolist()).most_common(2)
    alone = commonest[0][1] * 2 >= len(pixels)
    return tuple(name for name, _ in commonest[: 1 if alone else 2])


def name_colours(pixels: np.ndarray) -> np.ndarray:
    """Name each pixel, uint8 [n, 3]: an index into `NAMES`, int64 [n], by hue, saturation and brightness."""
    hsv = np.asarray(Image.fromarray(pixels[None]).convert("HSV"), dtype=float)[0]
    hue, saturation, value = (hsv[:, 0] + 0.5) * 360 / 255, hsv[:, 1] / 255, hsv[:, 2] / 255
    names = FIRST_HUE + np.searchsorted([end for end, _ in HUES], hue)
    names[(hue >= 10) & (hue < 50) & (value < 0.65)] = BROWN
    dull = (saturation < 0.15) | (saturation * value < 0.06)
    names[dull] = np.where(value[dull] > 0.82, WHITE, GREY)
    names[(value < 0.13) | (dull & (value < 0.2))] = BLACK
    return names


def compare_regions(before: dict[int, Region], after: dict[int, Region]) -> list[Step]:
    """Compare two frames' regions by mark id, in ascending id."""
    steps = []
    for mark_id in sorted(before.keys() | after.keys()):
        old, new = before.get(mark_id), after.get(mark_id)
        if old is None:
            steps.append((mark_id, f"enters at the {new.edge} edge" if new.edge else "appears"))
            continue
        if new is None:
            steps.append((mark_id, f"leaves at the {old.edge} edge" if old.edge else "disappears"))
            continue
        if way := direction(new.x - old.x, new.y - old.y):
            steps.append((mark_id, f"moves {way}"))
        if new.area > old.area * GROWN:
            steps.append((mark_id, "covers more of the frame"))
        if new.area * GROWN < old.area:
            steps.append((mark_id, "covers less of the frame"))
    return steps
