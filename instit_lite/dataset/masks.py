"""The published masks. In: records of the `_w_mask` files. Out: detections, or marks drawn anew in any style.

INST-IT's own marks come in one style a medium (paper-facts B.5); from raw frames and masks the kit draws others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from ..errors import InstitError, MaskMismatch
from ..marks.coco import decode
from ..marks.detections import from_masks
from ..marks.draw import mark_clip
from ..marks.images import read_image, write_jpeg
from .released import FILES, Released, pictures_of


def masks_of(record: dict, name: str, shape: tuple[int, int], path: str | Path = "masks") -> sv.Detections:
    """Decode the masks of the frame file `name`, at `shape` (height, width); `tracker_id` is the mark id.

    `segmentations` maps frame name -> mark id -> {"mask": run-length code}; an image's may leave the name out. Which
    run-length dialect it is, and of which resolution, is not documented: both dialects are read, and a mask of the
    same proportions is scaled. Raises `MaskMismatch` for any other.
    """
    found = record.get("segmentations") or {}
    if "image_id" in record and name not in found:
        found = found if all(str(key).isdigit() for key in found) else {}
    else:
        found = found.get(name) or {}
    try:
        codes = {int(mark): item["mask"] for mark, item in found.items() if item and item["mask"]}
        if len({int(mark) for mark in found}) < len(found):
            raise ValueError("two of its keys are one mark id, as 1 and 01 are")
    except (TypeError, KeyError, ValueError, AttributeError) as problem:
        reason = f"the segmentations of {name} are no map from mark id to a mask ({problem!r})"
        raise MaskMismatch(reason, path=path, cure="give a file of the published layout") from problem
    return from_masks({mark: scaled(code, shape, mark, path) for mark, code in codes.items()}, shape)


def scaled(code: Any, shape: tuple[int, int], mark: int, path: str | Path) -> np.ndarray:
    """Decode a run-length code in its own size and bring it to `shape`: bool [H, W], nearest pixel."""
    size = tuple(code["size"]) if isinstance(code, dict) and isinstance(code.get("size"), list) else shape
    if size == shape:
        return decode(code, size, mark, path)
    fits = len(size) == 2 and all(type(n) is int and 0 < n <= 8 * max(shape) for n in size)  # larger: a bomb
    (h, w), (height, width) = size if fits else (0, 0), shape
    if not fits or abs(h * width - w * height) > max(h, w, height, width):  # beyond a pixel's rounding
        reason = f"mask {mark} is of size {size}, and its frame {shape}"
        raise MaskMismatch(reason, path=path, cure="use the frames that the masks were made for")
    mask = decode(code, size, mark, path)
    return mask[np.arange(height) * h // height][:, np.arange(width) * w // width]


def redraw(source: str | Path, style: str, most: int | None = None) -> Released:
    """Draw marks on the raw frames by the published masks, into `videos_<style>` and `images_<style>`.

    `style` is one of the kit's: "video", "image", "micro". Frames that are there stay. What fails is quarantined.
    Train on them with `frames=<style>`.
    """
    raw = Released(source, "raw", masks=True)
    for kind in FILES:
        for record in raw.records(kind, most):
            paths = pictures_of(record)
            targets = [raw.folder / f"{kind}s_{style}" / path.split("/", 1)[1] for path in paths]
            if all(target.exists() for target in targets):
                continue
            try:
                frames = np.stack([read_image(raw.folder / path) for path in paths])
                found = [masks_of(record, Path(path).name, frames.shape[1:3], raw.file(kind)) for path in paths]
                for target, frame in zip(targets, mark_clip(frames, found, style)):
                    write_jpeg(target, frame)
            except (InstitError, ValueError) as problem:
                error = problem if isinstance(problem, InstitError) else MaskMismatch(str(problem), path=paths[0])
                raw.quarantine.add(f"{kind} {record[f'{kind}_id']}", error)
    return raw
