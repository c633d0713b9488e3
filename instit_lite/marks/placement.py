"""Where a mark goes. In: masks by mark id and the size of each mark's box. Out: an `Anchor` per mark id.

INST-IT puts the id at the centre of each instance (paper A.1); its frames show the most interior point of
the mask. So does this: the point deepest inside the visible region, where the mark's box covers no other
instance and no other mark. Where no such box leaves enough of the instance in view, the mark goes to free
background beside it, and a leader line ties the two. A mark keeps its place within the instance from frame
to frame while that is nearly as good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import supervision as sv

from .field import Field, Region

MAX_COVER = 0.55  # share of an instance that its own mark may hide
SLACK = 0.1  # by which MAX_COVER yields to keep a mark as it was: in place, or beside
KEEP = 0.8  # a place is kept while its depth is at least this share of the best
FAR = 200  # free places beside an instance whose leader line is tried


@dataclass(frozen=True)
class Anchor:
    """Where one mark is: the box of `width` x `height` pixels whose top left pixel is (x, y).

    `leader` is the point (x, y) on the instance that a line ties the box to, or None where the box's centre
    is on the instance. `place` is that point, or the centre, within the box around the visible region, both
    in [0, 1]. `covers` counts the pixels of other instances and marks under the box: 0 unless the frame is
    too crowded.
    """

    x: int
    y: int
    width: int
    height: int
    leader: tuple[int, int] | None = None
    place: tuple[float, float] = (0.5, 0.5)
    covers: int = 0

    @property
    def centre(self) -> tuple[int, int]:
        """The pixel (x, y) at the box's centre."""
        return self.x + self.width // 2, self.y + self.height // 2

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as rows and columns of a frame."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def place_marks(
    detections: sv.Detections, sizes: Mapping[int, tuple[int, int]],
    previous: Mapping[int, Anchor] | None = None, field: Field | None = None,
) -> dict[int, Anchor]:  # fmt: skip
    """Place the mark of every instance of one frame.

    `detections` has `mask` bool [n, H, W] and `tracker_id`; `sizes` gives (width, height) in pixels by mark
    id; `previous` is what this returned for the frame before; `field` is the frame's, if it is made already.
    Where masks overlap, as boxes do, the smaller instance is in front, so every instance has a visible
    region. Marks that fit in place go first, small instances before large.
    """
    if not len(detections):
        return {}
    field, previous = field or Field(detections.mask, detections.tracker_id), previous or {}
    anchors: dict[int, Anchor] = {}
    regions = sorted(field.regions, key=lambda r: (r.mark_id not in previous, r.area, r.mark_id))
    for region in regions:
        found = in_place(field, region, sizes[region.mark_id], previous.get(region.mark_id))
        if found is not None:
            anchors[region.mark_id] = settle(field, found)
    for region in regions:
        if region.mark_id not in anchors:
            size, before = sizes[region.mark_id], previous.get(region.mark_id)
            found = beside(field, region, size, before) or in_place(field, region, size, before, 1.0)
            anchors[region.mark_id] = settle(field, found or least_bad(field, region, size))
    return anchors


def settle(field: Field, anchor: Anchor) -> Anchor:
    """Reserve a mark's pixels and a gap around them, so that two marks never read as one number."""
    gap = anchor.height // 5
    x0, y0 = anchor.x - gap, anchor.y - gap
    field.marks[field.clip(x0, y0, x0 + anchor.width + 2 * gap, y0 + anchor.height + 2 * gap)] = True
    if anchor.leader is not None:
        x, y = leader_pixels(anchor)
        field.marks[y, x] = True
    return anchor


def in_place(
    field: Field, region: Region, size: tuple[int, int], before: Anchor | None, limit: float | None = None
) -> Anchor | None:
    """Find the deepest point of the region where the box fits, or return None.

    The box fits where it lies inside the frame, covers no other instance and no other mark, and hides no
    more than the share `limit` of its own instance.
    """
    if limit is None:
        limit = MAX_COVER if before is None else MAX_COVER + (SLACK if before.leader is None else -SLACK)
    most = limit * region.area
    best = region.deepest()
    if not fits(field, region, size, best, most):
        best = search(field, region, size, most)
    kept = region.at_place(before.place) if before is not None and before.leader is None else None
    if kept and fits(field, region, size, kept, most):
        if best is None or region.depth_at(kept) >= KEEP * region.depth_at(best):
            best = kept
    return anchored(region, size, best) if best else None


def anchored(region: Region, size: tuple[int, int], centre: tuple[int, int]) -> Anchor:
    x, y = centre[0] - size[0] // 2, centre[1] - size[1] // 2
    return Anchor(x, y, *size, None, region.place_of(centre))


def fits(field: Field, region: Region, size: tuple[int, int], centre: tuple[int, int], most: float) -> bool:
    """Say whether a box centred on a pixel is free and hides at most `most` pixels of its instance."""
    box = anchored(region, size, centre)
    if not field.holds(box.x, box.y, size):
        return False
    own = field.owner[box.window] == region.key
    return not field.blocked(region, box.window).any() and own.sum() <= most


def search(field: Field, region: Region, size: tuple[int, int], most: float) -> tuple[int, int] | None:
    """Try centres on the visible region, on a grid and then on every pixel; return the deepest fit."""
    for every_pixel in (False, True):
        grid = region.finest() if every_pixel else region
        lefts, tops = grid.xs - size[0] // 2, grid.ys - size[1] // 2
        window = field.window_of(lefts, tops, size)
        taken = field.box_sums(field.blocked(region, window), window, size, lefts, tops)
        own = field.box_sums(field.owner[window] == region.key, window, size, lefts, tops)
        score = np.where((taken == 0) & (own <= most), grid.depth, 0)
        row, column = np.unravel_index(score.argmax(), score.shape)
        if score[row, column] > 0:
            return int(grid.xs[column]), int(grid.ys[row])
    return None


def beside(field: Field, region: Region, size: tuple[int, int], before: Anchor | None) -> Anchor | None:
    """Find free background near the region whose leader line crosses nothing, or else the fewest pixels.

    Returns None where no background is free.
    """
    end = region.deepest()
    if before is not None and before.leader is not None:
        steady = region.at_place(before.place)
        end = steady if steady and region.depth_at(steady) >= KEEP * region.depth_at(end) else end
        x, y = before.x + end[0] - before.leader[0], before.y + end[1] - before.leader[1]
        kept = Anchor(x, y, *size, end, region.place_of(end))
        free = field.holds(x, y, size) and not field.taken(kept.window).any()
        if free and not crossed(field, region, kept):
            return kept
    place = region.place_of(end)
    for reach in (1.5, 4.0, 1e4):
        lefts, tops = corners(field, region, size, reach)
        window = field.window_of(lefts, tops, size)
        rows, columns = np.nonzero(field.box_sums(field.taken(window), window, size, lefts, tops) == 0)
        x, y = lefts[columns], tops[rows]
        order = np.argsort(np.hypot(x + size[0] / 2 - end[0], y + size[1] / 2 - end[1]), kind="stable")
        order = order[:: max(1, len(order) // FAR)]
        tries = [Anchor(int(x[k]), int(y[k]), *size, end, place) for k in order]
        if tries:
            clear = (anchor for anchor in tries if not crossed(field, region, anchor))
            return next(clear, None) or min(tries, key=lambda anchor: crossed(field, region, anchor))
    return None


def corners(
    field: Field, region: Region, size: tuple[int, int], reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the box positions to try, int [columns] and [rows]: `reach` box heights around the region."""
    margin = int(min(reach * max(size), field.width + field.height))
    (x0, y0), (x1, y1) = region.start, region.stop
    x0, x1 = max(0, x0 - margin - size[0]), min(field.width - size[0], x1 + margin)
    y0, y1 = max(0, y0 - margin - size[1]), min(field.height - size[1], y1 + margin)
    step = max(1, max(x1 - x0, y1 - y0) // 128)
    return np.arange(x0, x1 + 1, step), np.arange(y0, y1 + 1, step)


def crossed(field: Field, region: Region, anchor: Anchor) -> int:
    """Count the pixels of other instances and other marks that the leader line crosses."""
    x, y = leader_pixels(anchor)
    return int(np.count_nonzero(field.blocked(region, (y, x))))


def leader_pixels(anchor: Anchor) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels x and y, int [k], of the line from the box's nearest edge to the leader's end."""
    ex, ey = anchor.leader
    sx = min(max(ex, anchor.x), anchor.x + anchor.width - 1)
    sy = min(max(ey, anchor.y), anchor.y + anchor.height - 1)
    n = max(abs(ex - sx), abs(ey - sy)) + 1
    return np.linspace(sx, ex, n).round().astype(int), np.linspace(sy, ey, n).round().astype(int)


def least_bad(field: Field, region: Region, size: tuple[int, int]) -> Anchor:
    """In a crowded frame, take the box that covers the least of others, with a leader to its instance."""
    whole = slice(0, field.height), slice(0, field.width)
    cost = field.blocked(region, whole) + 8 * field.marks  # an unreadable mark is worse
    lefts, tops = corners(field, region, size, 1e4)
    sums = field.box_sums(cost, whole, size, lefts, tops)
    row, column = np.unravel_index(sums.argmin(), sums.shape)
    end, x, y = region.deepest(), int(lefts[column]), int(tops[row])
    return Anchor(x, y, *size, end, region.place_of(end), int(sums[row, column]))
