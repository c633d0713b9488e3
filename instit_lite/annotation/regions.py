"""What a mask can tell. In: a frame, one instance's mask. Out: size, place, main colour, edges, as measured.

Nothing here knows what an instance is: a mask has an area, a middle and pixels, and no name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import supervision as sv

from ..scenes.facts import direction
from ..scenes.world import place_of

SMALL, LARGE = 0.02, 0.12  # shares of the frame below and from which a region is called small, large
GROWN = 1.25  # a change of area that counts
MAX_PIXELS = 4000
NAMES = (
    "black", "grey", "white", "red", "orange", "brown", "yellow", "green", "cyan", "blue", "purple", "pink",
)  # fmt: skip
HUES = (  # upper end in degrees, name
    (15, "red"), (42, "orange"), (70, "yellow"), (165, "green"), (200, "cyan"), (255, "blue"),
    (295, "purple"), (340, "pink"), (360, "red"),
)  # fmt: skip


@dataclass(frozen=True)
class Region:
    """One instance in one frame; lengths are shares of the frame's width and height, areas of the frame."""

    mark_id: int
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


def measure_regions(detections: sv.Detections, frame: np.ndarray | None = None) -> dict[int, Region]:
    """Measure every instance of one frame, uint8 [H, W, 3], by mark id in ascending order.

    Without the frame, colours stay unknown. Instances with an empty mask are left out.
    """
    if not len(detections):
        return {}
    found = {}
    for mark_id, mask in zip(detections.tracker_id, detections.mask):
        if mask.any():
            found[int(mark_id)] = measure_region(int(mark_id), np.asarray(mask), frame)
    return dict(sorted(found.items()))


def measure_region(mark_id: int, mask: np.ndarray, frame: np.ndarray | None = None) -> Region:
    """Measure one mask, bool [H, W], that is not empty."""
    height, width = mask.shape
    columns, rows = mask.sum(0), mask.sum(1)
    area = int(columns.sum())
    xs, ys = np.flatnonzero(columns), np.flatnonzero(rows)
    x = ((np.arange(width) + 0.5) @ columns) / area / width
    y = ((np.arange(height) + 0.5) @ rows) / area / height
    colours = () if frame is None else common_colours(frame[mask])
    return Region(
        mark_id, area / mask.size, float(x), float(y), xs[0] / width, ys[0] / height,
        (xs[-1] + 1) / width, (ys[-1] + 1) / height, colours,
    )  # fmt: skip


def common_colours(pixels: np.ndarray) -> tuple[str, ...]:
    """Name the commonest colour of pixels, uint8 [n, 3]; the second too where that is less than half."""
    pixels = pixels[:: max(1, len(pixels) // MAX_PIXELS)]
    counts = np.bincount(name_colours(pixels), minlength=len(NAMES))
    first, second = np.argsort(-counts, kind="stable")[:2]
    alone = counts[first] * 2 >= len(pixels) or not counts[second]
    return (NAMES[first],) if alone else (NAMES[first], NAMES[second])


def name_colours(pixels: np.ndarray) -> np.ndarray:
    """Name each pixel, uint8 [n, 3]: an index into `NAMES`, int64 [n], by hue, saturation and brightness."""
    rgb = pixels.astype(np.float32) / 255
    high, low = rgb.max(1), rgb.min(1)
    spread = high - low
    saturation = np.divide(spread, high, out=np.zeros_like(high), where=high > 0)
    hue = hue_of(rgb, high, spread)
    ends = np.array([end for end, _ in HUES])
    index = np.array([NAMES.index(name) for _, name in HUES])
    names = index[np.searchsorted(ends, hue, side="left").clip(0, len(ends) - 1)]
    warm = (hue >= 10) & (hue < 50)
    names[warm & (high < 0.65)] = NAMES.index("brown")
    dull = (saturation < 0.15) | (spread < 0.06)
    greys = np.array([NAMES.index(n) for n in ("black", "grey", "white")])
    names[dull] = greys[np.searchsorted([0.2, 0.82], high[dull])]
    names[high < 0.13] = NAMES.index("black")
    return names


def hue_of(rgb: np.ndarray, high: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the hue in degrees, float32 [n], 0 where there is none."""
    r, g, b = rgb.T
    safe = np.where(spread > 0, spread, 1)
    hue = np.select(
        [spread == 0, high == r, high == g], [0, ((g - b) / safe) % 6, (b - r) / safe + 2], (r - g) / safe + 4
    )
    return (hue * 60).astype(np.float32)


def describe(region: Region) -> str:
    """Say what was measured: "small region, mostly brown, at the left"."""
    colours = f"mostly {region.colours[0]}" if len(region.colours) == 1 else " and ".join(region.colours)
    return f"{region.size} region, {colours}, at the {region.place}"


@dataclass(frozen=True)
class Step:
    """What one region did between two frames: `kind` as a verb phrase that follows "[1] "."""

    mark_id: int
    kind: str  # "moves", "enters", "appears", "leaves", "disappears", "grows", "shrinks"
    words: str
    detail: str = ""


def compare_regions(before: dict[int, Region], after: dict[int, Region]) -> list[Step]:
    """Compare two frames' regions by mark id, in ascending id."""
    steps = []
    for mark_id in sorted(before.keys() | after.keys()):
        old, new = before.get(mark_id), after.get(mark_id)
        if old is None:
            steps.append(came(new))
        elif new is None:
            steps.append(went(old))
        else:
            steps.extend(shift(old, new))
    return steps


def came(new: Region) -> Step:
    if new.edge:
        return Step(new.mark_id, "enters", f"enters at the {new.edge} edge", new.edge)
    return Step(new.mark_id, "appears", "appears")


def went(old: Region) -> Step:
    if old.edge:
        return Step(old.mark_id, "leaves", f"leaves at the {old.edge} edge", old.edge)
    return Step(old.mark_id, "disappears", "disappears")


def shift(old: Region, new: Region) -> list[Step]:
    """Compare one region that is there in both frames."""
    steps = []
    if way := direction(new.x - old.x, new.y - old.y):
        steps.append(Step(new.mark_id, "moves", f"moves {way}", way))
    if new.area > old.area * GROWN:
        steps.append(Step(new.mark_id, "grows", "covers more of the frame"))
    elif new.area * GROWN < old.area:
        steps.append(Step(new.mark_id, "shrinks", "covers less of the frame"))
    return steps
