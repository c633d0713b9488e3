"""COCO-style masks in. In: COCO or YouTube-VIS json. Out: detections per frame.

YouTube-VIS, OVIS and LVVIS share one layout: per instance one segmentation a frame, null where it is absent.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import supervision as sv

from ..errors import MaskMismatch, UnreadableInput
from .detections import from_masks, mark_ids, refuse_size
from .files import leads_out, load_json

PACKED = re.compile("(?:[P-o]{0,6}[0-O])*")  # run lengths of at most 35 bits
LONGEST = 1_000_000  # frames of a video
FAR = 1e6  # pixels from the corner: no vertex lies beyond


def from_coco(
    path: str | Path, image: int | str | None, shape: tuple[int, int], renumber: bool = False
) -> list[sv.Detections]:
    """Read one picture's instances from COCO json: polygons, compressed or plain run-length codes.

    `image` is an image id or file name (None where the file has one image), `shape` the frame's (height,
    width). The annotation id is the mark id; `renumber=True` gives 1, 2, … in file order instead. Returns a
    list of one. Raises `UnreadableInput` for a file that is not COCO, `MaskMismatch` for masks that do not
    fit.
    """
    _, marked = annotations_of("image", image, path, shape, renumber)
    masks = {i: decode(a.get("segmentation"), shape, i, path) for i, a in marked.items()}
    say_empty([masks], path)
    return [from_masks(masks, shape)]


def from_youtube_vis(
    path: str | Path, video: int | str | None, shape: tuple[int, int], indices: Sequence[int] | None = None,
    renumber: bool = False,
) -> list[sv.Detections]:  # fmt: skip
    """Read one video's instances from YouTube-VIS json; null means absent in that frame.

    `video` is a video id or the folder of its frames (None where the file has one video); `indices` are the
    frames to take, all without it. The rest is as in `from_coco`; ids here often run through the whole data set,
    so `renumber=True` is usual.
    """
    record, marked = annotations_of("video", video, path, shape, renumber)
    n = record.get("length") or len(names_of(record))
    if type(n) is not int or not 0 < n <= LONGEST:
        raise UnreadableInput(f"has a video of {n!r} frames", path=path, cure="write its length, a whole number")
    for i, a in marked.items():
        if not isinstance(a.get("segmentations"), list) or len(a["segmentations"]) != n:
            reason = f"instance {i} has not one segmentation for each of {n} frames"
            raise UnreadableInput(reason, path=path, cure="use null where the instance is absent")
    seen = []
    for t in pick(range(n), indices, "frames", path):
        codes = {i: a["segmentations"][t] for i, a in marked.items()}
        seen.append({i: decode(code, shape, i, path) for i, code in codes.items() if code is not None})
    say_empty(seen, path)
    return [from_masks(masks, shape) for masks in seen]


def annotations_of(
    kind: str, wanted: int | str | None, path: str | Path, shape: tuple[int, int], renumber: bool
) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """Return the record of one image or video (the `kind`) of a file, and its annotations by mark id."""
    table = load_json(path)
    for key in (f"{kind}s", "annotations"):
        if not isinstance(table.get(key), list) or not all(isinstance(row, dict) for row in table[key]):
            reason = f'has no list of objects "{key}"'
            raise UnreadableInput(reason, path=path, cure="give a COCO or YouTube-VIS file")
    records = [r for r in table[f"{kind}s"] if wanted in (None, r.get("id"), *called(r))]
    if len(records) != 1:
        reason = f"holds {len(records)} {kind}s, not one" + (f", for {wanted!r}" if wanted else "")
        raise UnreadableInput(reason, path=path, cure=f"name one {kind} of it")
    record = records[0]
    if out := [name for name in names_of(record) if leads_out(name)]:
        reason = f"names the file {out[0]!r}, which could lie outside its folder"
        raise UnreadableInput(reason, path=path, cure="write names relative to the folder, without ..")
    if record.get("height") and record.get("width"):
        refuse_size((record["height"], record["width"]), shape, "the annotated picture", path)
    marked = [a for a in table["annotations"] if a.get(f"{kind}_id") == record.get("id")]
    check_categories(table.get("categories"), marked, path)
    return record, dict(zip(mark_ids([a.get("id") for a in marked], path, renumber), marked))


def names_of(record: dict[str, Any]) -> list[Any]:
    """Return the file names of an image's or a video's record."""
    names = record.get("file_names")
    return names if isinstance(names, list) else [record["file_name"]] if "file_name" in record else []


def called(record: dict[str, Any]) -> list[str]:
    """Return what a record may be asked for by: its picture's name, or its frames' folder; with and without the rest."""
    first = PureWindowsPath(str(next(iter(names_of(record)), "")))  # which takes both kinds of slashes
    first = first.parent if "file_names" in record else first
    return [first.name, first.as_posix()] if first.name else []


def check_categories(categories: Any, marked: list[dict[str, Any]], path: str | Path) -> None:
    """Check that every annotation has a category of the file; where the file has none, annotations need none."""
    known = [row.get("id") for row in categories if isinstance(row, dict)] if isinstance(categories, list) else []
    for a in marked:
        if a.get("category_id") not in (known or [None]):
            reason = f"annotation {a.get('id')!r} has the category {a.get('category_id')!r}, which the file has not"
            raise UnreadableInput(reason, path=path, cure='add it to "categories", or leave all categories out')


def say_empty(frames: list[dict[int, np.ndarray]], path: str | Path) -> None:
    """Warn of instances with an empty mask: they keep their id, and bear no mark in that frame."""
    if empty := sorted({i for masks in frames for i, mask in masks.items() if not mask.any()}):
        warnings.warn(f"{path}: instances {empty} have empty masks: not visible, not drawn", stacklevel=4)


def pick(
    items: Sequence[Any], indices: Sequence[int] | None, what: str, path: str | Path | None
) -> list[Any]:
    """Return the items at `indices`, or all; raise `MaskMismatch` beyond the last."""
    indices = range(len(items)) if indices is None else indices
    if max(indices, default=-1) >= len(items):
        reason = f"there are {what} for {len(items)} frames; frame {max(indices) + 1} was asked for"
        raise MaskMismatch(reason, path=path, cure="use masks that cover the whole clip")
    return [items[i] for i in indices]


def decode(segmentation: Any, shape: tuple[int, int], mark_id: int, path: str | Path) -> np.ndarray:
    """Return the bool [H, W] mask of one segmentation: a run-length code or a list of polygons."""
    try:
        if isinstance(segmentation, dict):
            refuse_size(segmentation["size"], shape, "a mask", path)
            return decode_rle(segmentation["counts"], shape)
        if isinstance(segmentation, list) and segmentation:
            return np.any([fill_polygon(read_points(polygon), shape) for polygon in segmentation], axis=0)
        raise ValueError("it is neither a run-length code nor a list of polygons")
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as problem:
        reason = f"the segmentation of instance {mark_id} is damaged ({problem})"
        raise MaskMismatch(reason, path=path, cure="write the annotations again") from problem


def decode_rle(counts: str | list[int], shape: tuple[int, int]) -> np.ndarray:
    """Decode COCO's run lengths, compressed (a string) or plain (a list), column by column."""
    area = shape[0] * shape[1]
    if isinstance(counts, list) and not all(type(c) is int and 0 <= c <= area for c in counts):
        raise ValueError("run lengths must be whole numbers within the picture")
    if not isinstance(counts, list) and not PACKED.fullmatch(counts):
        raise ValueError("it is no run-length code")
    return sv.rle_to_mask(counts, (shape[1], shape[0])).astype(bool)


def read_points(polygon: Any) -> np.ndarray:
    """Turn a polygon [x0, y0, x1, y1, …] into points, float [N, 2]."""
    points = np.array(polygon, float).reshape(-1, 2)
    if len(points) < 3 or not (np.abs(points) < FAR).all():  # so it is where a number is not a number
        raise ValueError("a polygon needs three or more points of two finite numbers near the picture")
    return points


def fill_polygon(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill a polygon, float [N, 2] (x, y): the pixels whose centres lie inside (even-odd rule)."""
    height, width = shape
    crossings = np.zeros((height, width + 1), bool)
    for (xa, ya), (xb, yb) in zip(points, np.roll(points, -1, axis=0)):
        first, last = np.clip(np.ceil(np.sort([ya, yb]) - 0.5), 0, height).astype(int)
        if first < last:
            y = np.arange(first, last) + 0.5
            x = xa + (y - ya) * (xb - xa) / (yb - ya)
            column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
            crossings[np.arange(first, last), column] ^= True
    return np.logical_xor.accumulate(crossings, axis=1)[:, :width]
