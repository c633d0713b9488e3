"""Exercises of notebook 01: where a mark goes. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from .exercise import Exercise, Mistake

Box = tuple[int, int, int, int]  # x, y, width, height


def deepest(mask: np.ndarray) -> tuple[int, int]:
    """Row and column of the pixel farthest from everything that is not the instance; of equals the first."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), mask.shape)
    return int(row), int(column)


def unpadded(mask: np.ndarray) -> tuple[int, int]:
    depth = ndimage.distance_transform_edt(mask)
    return tuple(int(v) for v in np.unravel_index(depth.argmax(), mask.shape))


def centre_of_mass(mask: np.ndarray) -> tuple[int, int]:
    return tuple(int(round(v)) for v in ndimage.center_of_mass(mask))


def centre_of_box(mask: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    return int(rows.min() + rows.max()) // 2, int(columns.min() + columns.max()) // 2


def under(box: Box, mask: np.ndarray) -> bool:
    """Whether the box, as far as it lies in the frame, covers a pixel of the mask."""
    x, y, width, height = box
    return bool(mask[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)].any())


def others(index: int, masks: np.ndarray) -> np.ndarray:
    return np.delete(masks, index, axis=0).any(0)


def covers_other(box: Box, index: int, masks: np.ndarray) -> bool:
    """Whether the box covers a pixel of an instance other than number `index`."""
    return under(box, others(index, masks))


def covers_any(box: Box, index: int, masks: np.ndarray) -> bool:
    return under(box, masks.any(0))


def covers_turned(box: Box, index: int, masks: np.ndarray) -> bool:
    x, y, width, height = box
    return under((y, x, height, width), others(index, masks))


def covers_wrapped(box: Box, index: int, masks: np.ndarray) -> bool:
    x, y, width, height = box
    return bool(others(index, masks)[y : y + height, x : x + width].any())


def covers_at_centre(box: Box, index: int, masks: np.ndarray) -> bool:
    x, y, width, height = box
    return under((x + width // 2, y + height // 2, 1, 1), others(index, masks))


def needs_leader(mask: np.ndarray, width: int, height: int) -> bool:
    """Whether a box centred on the deepest point has a pixel that is not on the instance."""
    row, column = deepest(mask)
    top, left = row - height // 2, column - width // 2
    if top < 0 or left < 0:
        return True
    under = mask[top : top + height, left : left + width]
    return under.shape != (height, width) or not bool(under.all())


def by_area(mask: np.ndarray, width: int, height: int) -> bool:
    return bool(mask.sum() < width * height)


def by_extent(mask: np.ndarray, width: int, height: int) -> bool:
    rows, columns = np.nonzero(mask)
    return bool(np.ptp(rows) + 1 < height or np.ptp(columns) + 1 < width)


def by_centre(mask: np.ndarray, width: int, height: int) -> bool:
    return not bool(mask[centre_of_mass(mask)])


def blobs(rng: np.random.Generator, count: int, side: int = 20) -> np.ndarray:
    """`count` masks, bool [count, side, side]: two overlapping rectangles each, often bent, sometimes at the edge."""
    masks = np.zeros((count, side, side), bool)
    for mask in masks:
        y, x = rng.integers(0, side - 8, 2)
        mask[y : y + rng.integers(3, 12), x : x + rng.integers(2, 6)] = True
        mask[y : y + rng.integers(2, 5), x : x + rng.integers(3, 12)] = True
    return masks


def single(rng: np.random.Generator) -> Iterator[tuple]:
    corner = np.zeros((12, 12), bool)
    corner[:7, :7] = True
    yield (corner,)
    yield from ((mask,) for mask in blobs(rng, 12))


def boxes(rng: np.random.Generator) -> Iterator[tuple]:
    masks = np.zeros((2, 16, 16), bool)
    masks[0, :6, :6], masks[1, 10:, 3:9] = True, True
    yield (-3, 1, 5, 5), 0, masks
    yield (1, 10, 5, 3), 0, masks
    for _ in range(16):
        x, y = rng.integers(-4, 18, 2)
        yield (int(x), int(y), 5, 7), int(rng.integers(3)), blobs(rng, 3)


def sized(rng: np.random.Generator) -> Iterator[tuple]:
    for mask in blobs(rng, 16):
        yield mask, int(rng.integers(2, 7)), int(rng.integers(2, 7))


FULL = np.ones((5, 5), bool)
EXERCISES = (
    Exercise(
        "01-deepest", "deepest", "The most interior point", 8, 1, deepest, single,
        {
            "centre of mass": Mistake(centre_of_mass, "that is the centre of mass: on a bent instance it lies "
                                                      "outside. Ask how far each pixel is from the outside."),
            "centre of box": Mistake(centre_of_box, "that is the middle of the box around the instance, whose "
                                                    "pixels may belong to somebody else"),
            "no padding": Mistake(unpadded, "an instance at the frame's edge gets its mark at the edge: the frame's "
                                            "end must count as outside, so pad the mask by one first"),
        },
        ("Which pixel of a lake is farthest from the shore? Not its mean.",
         "scipy.ndimage.distance_transform_edt gives each pixel's distance to the nearest False.",
         "np.pad(mask, 1), transform, cut the padding off again, then np.unravel_index(depth.argmax(), mask.shape)."),
        ((FULL,),),
    ),
    Exercise(
        "01-covers", "covers_other", "Off every other instance", 8, 2, covers_other, boxes,
        {
            "own instance": Mistake(covers_any, "the mark's own instance counts as an other one: it is meant to lie "
                                                "on that, so leave masks[index] out"),
            "x for y": Mistake(covers_turned, "rows come first in an array: y and height cut rows, x and width columns"),
            "negative slice": Mistake(covers_wrapped, "for a box that begins left of the frame, a negative start "
                                                      "counts from the far end: cut it off at 0"),
            "centre only": Mistake(covers_at_centre, "the whole box must be free, not only its centre"),
        },
        ("Take the other instances together, then look at the pixels under the box.",
         "np.delete(masks, index, axis=0).any(0) is everybody else; the box is a slice of rows and one of columns.",
         "others[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)].any(), as a bool."),
        (((-9, -9, 3, 3), 0, np.stack([FULL, FULL])),),
    ),
    Exercise(
        "01-leader", "needs_leader", "When a leader line is due", 10, 2, needs_leader, sized,
        {
            "by area": Mistake(by_area, "area is not room: a long thin instance has many pixels and no place for a box"),
            "by extent": Mistake(by_extent, "the instance's extent is not its room: bent ones are wide and hollow. "
                                            "Look at the pixels under the box at the deepest point"),
            "by centre": Mistake(by_centre, "whether the centre of mass is on the instance says nothing about the box"),
        },
        ("Put the box on the deepest point and look at what is under it.",
         "Its top row is row - height // 2, its first column column - width // 2; it must not leave the frame.",
         "Cut the mask there: a leader line is due if the cut has another shape than (height, width), or is not all True."),
        ((FULL, 6, 6), (FULL, 5, 5)),
    ),
)  # fmt: skip
