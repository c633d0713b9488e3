"""What a frame holds, for placing marks. In: masks by mark id. Out: who is visible where, and how deep.

Work is done on each instance's own box, and on every k-th pixel of large ones: a 720p frame takes
milliseconds.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import ndimage

CELLS = 56  # grid points a side at which a region's depth is measured
NEARLY = 0.95  # depths this close to the largest count as equal; the most central wins
OUTSIDE = np.iinfo(np.int64).max  # cost of a box that leaves the frame

Window = tuple[slice, slice]


class Region:
    """The visible part of an instance: bool `visible` on its box, (x, y) from `start` up to `stop`."""

    def __init__(
        self, mark_id: int, key: int, start: tuple[int, int], visible: np.ndarray, cells: int = CELLS
    ) -> None:
        self.mark_id, self.key, self.start, self.visible = mark_id, key, start, visible
        self.stop = start[0] + visible.shape[1], start[1] + visible.shape[0]
        self.area = int(np.count_nonzero(visible))
        self.step = max(1, -(-max(visible.shape) // cells))
        if not visible[self.step // 2 :: self.step, self.step // 2 :: self.step].any():
            self.step = 1
        half = self.step // 2
        sub = visible[half :: self.step, half :: self.step]
        self.depth = ndimage.distance_transform_edt(np.pad(sub, 1))[1:-1, 1:-1] * self.step
        self.xs = np.arange(start[0] + half, self.stop[0], self.step)
        self.ys = np.arange(start[1] + half, self.stop[1], self.step)

    def finest(self) -> Region:
        """Return the same with depth, xs and ys for every pixel of the box."""
        return Region(self.mark_id, self.key, self.start, self.visible, max(self.visible.shape))

    @cached_property
    def centroid(self) -> tuple[float, float]:
        """The mean column and row of the visible grid points."""
        seen = self.depth > 0
        columns, rows = seen.sum(0), seen.sum(1)
        n = max(1, int(columns.sum()))
        return float(columns @ np.arange(len(columns))) / n, float(rows @ np.arange(len(rows))) / n

    def deepest(self) -> tuple[int, int]:
        """Return the most interior visible point (x, y); of equals, the one nearest to the centroid."""
        rows, columns = np.nonzero(self.depth >= NEARLY * self.depth.max())
        k = np.argmin((columns - self.centroid[0]) ** 2 + (rows - self.centroid[1]) ** 2)
        return int(self.xs[columns[k]]), int(self.ys[rows[k]])

    def depth_at(self, point: tuple[int, int]) -> float:
        """Return the depth in pixels at the grid point nearest to (x, y)."""
        column = min((point[0] - self.start[0]) // self.step, self.depth.shape[1] - 1)
        row = min((point[1] - self.start[1]) // self.step, self.depth.shape[0] - 1)
        return float(self.depth[row, column])

    def place_of(self, point: tuple[int, int]) -> tuple[float, float]:
        """Return where the pixel's centre lies within the box, (0, 0) to (1, 1)."""
        return tuple((p + 0.5 - a) / (b - a) for p, a, b in zip(point, self.start, self.stop))

    def at_place(self, place: tuple[float, float]) -> tuple[int, int] | None:
        """Return the pixel at a place within the box, or None where the instance is not visible there."""
        (x0, y0), (x1, y1) = self.start, self.stop
        x = min(int(place[0] * (x1 - x0)), x1 - x0 - 1)
        y = min(int(place[1] * (y1 - y0)), y1 - y0 - 1)
        return (x0 + x, y0 + y) if self.visible[y, x] else None


class Field:
    """One frame: `owner` int16 [H, W], 0 for background; `marks` bool [H, W], what marks cover.

    `windows` holds each mask's box, None for an empty mask; `regions` what is visible of the others.
    """

    def __init__(self, masks: np.ndarray, mark_ids: np.ndarray) -> None:
        self.height, self.width = masks.shape[1:]
        self.owner = np.zeros(masks.shape[1:], np.int16)
        self.marks = np.zeros(masks.shape[1:], bool)
        self.windows = windows = [box_of(mask) for mask in masks]
        areas = [0 if w is None else np.count_nonzero(m[w]) for m, w in zip(masks, windows)]
        for k in sorted(range(len(masks)), key=lambda k: -areas[k]):
            if areas[k]:
                np.copyto(self.owner[windows[k]], k + 1, where=masks[k][windows[k]])
        self.regions = [
            self.region(int(mark_ids[k]), k + 1, masks[k], windows[k]) for k in range(len(masks)) if areas[k]
        ]

    def region(self, mark_id: int, key: int, mask: np.ndarray, window: Window) -> Region:
        """Cut out one instance; where smaller ones hide all of it, its whole mask counts as visible."""
        visible = self.owner[window] == key
        inner = box_of(visible)
        if inner is None:
            visible = mask[window]
            inner = tuple(slice(0, n) for n in visible.shape)
        start = window[1].start + inner[1].start, window[0].start + inner[0].start
        return Region(mark_id, key, start, visible[inner])

    def clip(self, x0: int, y0: int, x1: int, y1: int) -> Window:
        """Return the part of a box that lies inside the frame, as rows and columns."""
        rows = slice(max(0, int(y0)), max(0, min(self.height, int(y1))))
        return rows, slice(max(0, int(x0)), max(0, min(self.width, int(x1))))

    def window_of(self, lefts: np.ndarray, tops: np.ndarray, size: tuple[int, int]) -> Window:
        """Return the part of the frame under boxes of (width, height) at ascending places."""
        return self.clip(lefts[0], tops[0], lefts[-1] + size[0], tops[-1] + size[1])

    def holds(self, x: int, y: int, size: tuple[int, int]) -> bool:
        """Say whether a box of (width, height) lies inside the frame."""
        return x >= 0 and y >= 0 and x + size[0] <= self.width and y + size[1] <= self.height

    def taken(self, window: Window) -> np.ndarray:
        """Return bool [h, w]: pixels of a window that are not free background."""
        return (self.owner[window] != 0) | self.marks[window]

    def blocked(self, region: Region, window: Window) -> np.ndarray:
        """Return bool [h, w]: pixels of a window that belong to another instance or to a mark."""
        owner = self.owner[window]
        return ((owner != 0) & (owner != region.key)) | self.marks[window]

    def box_sums(
        self, values: np.ndarray, window: Window, size: tuple[int, int], lefts: np.ndarray, tops: np.ndarray
    ) -> np.ndarray:
        """Sum `values` [h, w] of a window under every box of (width, height); int64 [len(tops), len(lefts)].

        `lefts` and `tops` are frame coordinates; boxes that leave the frame cost `OUTSIDE`.
        """
        table = np.zeros((values.shape[0] + 1, values.shape[1] + 1), np.int64)
        np.cumsum(np.cumsum(values, 0, dtype=np.int32), 1, out=table[1:, 1:])
        (rows, columns), (h, w) = window, values.shape
        x0, x1 = (np.clip(lefts + d - columns.start, 0, w) for d in (0, size[0]))
        y0, y1 = (np.clip(tops + d - rows.start, 0, h) for d in (0, size[1]))
        sums = table[np.ix_(y1, x1)] - table[np.ix_(y0, x1)] - table[np.ix_(y1, x0)] + table[np.ix_(y0, x0)]
        sums[(tops < 0) | (tops + size[1] > self.height)] = OUTSIDE
        sums[:, (lefts < 0) | (lefts + size[0] > self.width)] = OUTSIDE
        return sums


def box_of(mask: np.ndarray) -> Window | None:
    """Return the rows and columns that hold all of a mask, or None for an empty one."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
