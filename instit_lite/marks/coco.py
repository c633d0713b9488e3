"""COCO-style masks in. In: COCO or YouTube-VIS json. Out: detections per frame.

YouTube-VIS, OVIS and LVVIS share one layout: per instance one segmentation a frame, null where it
is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from ..errors import MaskMismatch, UnreadableInput
from .detections import from_masks, mark_ids, refuse_size
from .files import load_json


def from_coco(
    path: str | Path, image: int | str | None, shape: tuple[int, int], renumber: bool = False
) -> list[sv.Detections]:
    """Read one picture's instances from COCO json: polygons, compressed or plain run-length codes.

    `image` is an image id or file name (None where the file has one image), `shape` the frame's
    (height, width). The annotation id is the mark id; `renumber=True` gives 1, 2, … in file order
    instead. Returns a list of one. Raises `UnreadableInput` for a file that is not COCO,
    `MaskMismatch` for masks that do not fit.
    """
    table = load_json(path)
    record = find(rows(table, "images", path), image, ("id", "file_name"), "image", path)
    refuse_declared(record, shape, path)
    marked = [a for a in rows(table, "annotations", path) if a.get("image_id") == record.get("id")]
    ids = mark_ids([a.get("id") for a in marked], path, renumber)
    masks = {i: decode(a.get("segmentation"), shape, i, path) for i, a in zip(ids, marked)}
    return [from_masks(masks, shape)]


def from_youtube_vis(
    path: str | Path,
    video: int | str | None,
    shape: tuple[int, int],
    indices: Sequence[int] | None = None,
    renumber: bool = False,
) -> list[sv.Detections]:
    """Read one video's instances from YouTube-VIS json; null means absent in that frame.

    `video` is a video id (None where the file has one video); `indices` are the frames to take,
    all without it. The rest is as in `from_coco`; ids here often run through the whole data set,
    so `renumber=True` is usual.
    """
    table = load_json(path)
    record = find(rows(table, "videos", path), video, ("id",), "video", path)
    refuse_declared(record, shape, path)
    marked = [a for a in rows(table, "annotations", path) if a.get("video_id") == record.get("id")]
    ids = mark_ids([a.get("id") for a in marked], path, renumber)
    n = record.get("length") or len(record.get("file_names") or ())
    for i, a in zip(ids, marked):
        if not isinstance(a.get("segmentations"), list) or len(a["segmentations"]) != n:
            raise UnreadableInput(
                f"instance {i} has not one segmentation for each of {n} frames",
                path=path,
                cure="use null where the instance is absent",
            )
    found = []
    for t in pick(range(n), indices, "frames", path):
        present = [(i, a["segmentations"][t]) for i, a in zip(ids, marked)]
        masks = {i: decode(s, shape, i, path) for i, s in present if s is not None}
        found.append(from_masks(masks, shape))
    return found


def rows(table: dict[str, Any], key: str, path: str | Path) -> list[dict[str, Any]]:
    """Return the list of objects under `key`."""
    found = table.get(key)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UnreadableInput(
            f'has no list of objects "{key}"', path=path, cure="give a COCO or YouTube-VIS file"
        )
    return found


def find(
    records: list[dict[str, Any]],
    wanted: int | str | None,
    keys: Sequence[str],
    what: str,
    path: str | Path,
) -> dict[str, Any]:
    """Return the one record with `wanted` under one of `keys`."""
    hits = [r for r in records if wanted is None or any(r.get(key) == wanted for key in keys)]
    if len(hits) != 1:
        which = "" if wanted is None else f" {wanted!r}"
        raise UnreadableInput(
            f"holds {len(hits)} {what}s{which}, not one", path=path, cure=f"name one {what} of it"
        )
    return hits[0]


def refuse_declared(record: dict[str, Any], shape: tuple[int, int], path: str | Path) -> None:
    """Refuse a picture or video that the file declares at another size than the frames have."""
    if record.get("height") and record.get("width"):
        refuse_size((record["height"], record["width"]), shape, "the annotated picture", path)


def pick(
    items: Sequence[Any], indices: Sequence[int] | None, what: str, path: str | Path | None
) -> list[Any]:
    """Return the items at `indices`, or all; raise `MaskMismatch` beyond the last."""
    if indices is None:
        return list(items)
    if len(indices) and max(indices) >= len(items):
        raise MaskMismatch(
            f"there are {what} for {len(items)} frames; frame {max(indices) + 1} was asked for",
            path=path,
            cure="use masks that cover the whole clip",
        )
    return [items[i] for i in indices]


def decode(
    segmentation: Any, shape: tuple[int, int], mark_id: int, path: str | Path
) -> np.ndarray:
    """Return the bool [H, W] mask of one segmentation: a run-length code or a list of polygons."""
    try:
        if isinstance(segmentation, dict):
            return decode_rle(segmentation, shape, path)
        if isinstance(segmentation, list) and segmentation:
            return decode_polygons(segmentation, shape)
        raise ValueError("it is neither a run-length code nor a list of polygons")
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as problem:
        raise MaskMismatch(
            f"the segmentation of instance {mark_id} is damaged ({problem})",
            path=path,
            cure="write the annotations again",
        ) from problem


def decode_rle(rle: dict[str, Any], shape: tuple[int, int], path: str | Path) -> np.ndarray:
    """Decode COCO's run lengths, compressed (a string) or plain (a list), column by column."""
    refuse_size(rle["size"], shape, "a mask", path)
    counts = rle["counts"]
    area = shape[0] * shape[1]
    if isinstance(counts, list) and not all(type(c) is int and 0 <= c <= area for c in counts):
        raise ValueError("run lengths must be whole numbers within the picture")
    return sv.rle_to_mask(counts, (shape[1], shape[0])).astype(bool)


def decode_polygons(polygons: list[Any], shape: tuple[int, int]) -> np.ndarray:
    """Fill the union of polygons [x0, y0, x1, y1, …]."""
    mask = np.zeros(shape, bool)
    for polygon in polygons:
        points = np.asarray(polygon, float)
        if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
            raise ValueError("a polygon needs three or more points of two finite numbers")
        mask |= fill_polygon(points.reshape(-1, 2), shape)
    return mask


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
