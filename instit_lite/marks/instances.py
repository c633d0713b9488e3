"""Instances in. In: scene truth, palette PNGs, boxes. Out: detections; `coco` reads COCO and YouTube-VIS.

Every source gives `list[supervision.Detections]`, one per frame, whose `tracker_id` is the mark id and whose
`mask` is bool [n, H, W]. Sources that cover a whole video take the clip's `indices`, so that masks meet
their frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from ..errors import MaskMismatch, NoInstances, UnreadableInput
from ..scenes.facts import VISIBLE_MIN, visible_shares
from ..scenes.render import render
from ..scenes.world import Scene
from .clip import Clip
from .coco import pick
from .detections import from_masks, mark_ids, refuse_size
from .files import check_file, load_json
from .images import JPEG, list_pictures, load_picture

VOID = 255  # DAVIS, 8 bits: belongs to no instance and not to the background


def from_scene(scene: Scene, clip: Clip, clock: Sequence[float] | None = None) -> list[sv.Detections]:
    """Return the exact visible masks of a filmed scene at the clip's frames.

    `clock` gives each frame's moment from 0 to 1; without it, the clip is taken to show the scene from start
    to end. Things that the scene's facts call not visible (under a quarter of their area) bear no mark.
    Raises `MaskMismatch` where the frames are not square.
    """
    shape = clip.frames.shape[1:3]
    refuse_size(shape, (min(shape), min(shape)), "the clip", clip.source)
    found = []
    for u in clip.clock if clock is None else clock:
        masks, shares = render(scene, u, shape[0])[1], visible_shares(scene, u)
        told = [share >= VISIBLE_MIN for share, _ in shares]
        seen = {t.mark_id: mask for t, mask, tell in zip(scene.things, masks, told) if tell}
        found.append(from_masks(seen, shape))
    return found


def from_palette_png(
    source: str | Path | Sequence[str | Path],
    shape: tuple[int, int] | None = None,
    indices: Sequence[int] | None = None,
) -> list[sv.Detections]:
    """Read id masks as DAVIS stores them: value = mark id, 0 background, 255 void.

    There is one picture a frame. `source` is a folder, one file or a list of files in natural order; `shape`
    the frames' (height, width); `indices` the pictures to take, all without it. Raises `MaskMismatch` for
    another size or a colour picture, `NoInstances` where no picture holds an id, `UnreadableInput` for
    damaged files.
    """
    files = [source] if isinstance(source, str | Path) else source
    if len(files) == 1 and Path(files[0]).is_dir():
        files = list_pictures(files[0])
    found = []
    for file in pick(files, indices, "masks", Path(files[0]).parent):
        ids = read_ids(file)
        shape = shape or ids.shape
        refuse_size(ids.shape, shape, "the mask", file)
        present = mark_ids(np.setdiff1d(ids, [0]).tolist(), file)
        found.append(from_masks({i: ids == i for i in present}, shape))
    if not any(len(f) for f in found):
        cure = "store ids as values; in a black-and-white mask, 1 instead of 255"
        reason = "holds no id, only background (0) or void (255)"
        raise NoInstances(reason, path=files[0], cure=cure)
    return found


def read_ids(file: str | Path) -> np.ndarray:
    """Read a picture's stored values, int64 [H, W], palette or not; void becomes 0."""
    picture = load_picture(file)
    cure = "save ids as a palette or grey PNG"
    if check_file(file)[1].startswith(JPEG):
        raise MaskMismatch("is a JPEG, which does not keep ids exactly", path=file, cure=cure)
    if picture.mode not in ("P", "L", "1", "I", "I;16", "I;16B"):
        reason = f"is a colour picture (mode {picture.mode}), not a mask of ids"
        raise MaskMismatch(reason, path=file, cure=cure)
    ids = np.asarray(picture).astype(np.int64)
    return np.where(ids == VOID, 0, ids) if picture.mode in ("P", "L") else ids


def from_boxes(
    source: str | Path | dict[str, Any], shape: tuple[int, int], indices: Sequence[int] | None = None
) -> list[sv.Detections]:
    """Read boxes; each becomes a rectangular mask of all pixels it touches.

    A picture: `{"boxes": [{"id": 1, "xyxy": [x0, y0, x1, y1]}, …]}`.
    A clip, one list per frame: `{"frames": [[{"id": 1, "xyxy": …}, …], [], …]}`.

    Pixels count from the top left corner, x1 and y1 exclusive. `source` is a file or the loaded object,
    `shape` the frames' (height, width), `indices` the frames to take. Boxes are clipped to the frame; one
    that lies outside, is reversed or not finite raises `MaskMismatch`.
    """
    path = source if isinstance(source, str | Path) else None
    table = source if path is None else load_json(path)
    try:
        frames = [table["boxes"]] if "boxes" in table else table["frames"]
        frames = [[(box["id"], box["xyxy"]) for box in boxes] for boxes in frames]
    except (KeyError, TypeError) as problem:
        reason = 'holds neither "boxes" nor "frames" as lists of boxes with "id" and "xyxy"'
        raise UnreadableInput(reason, path=path, cure="see `from_boxes`") from problem
    found = []
    for boxes in pick(frames, indices, "boxes", path):
        ids = mark_ids([i for i, _ in boxes], path)
        masks = {i: box_mask(xyxy, shape, i, path) for i, (_, xyxy) in zip(ids, boxes)}
        found.append(from_masks(masks, shape))
    return found


def box_mask(xyxy: Any, shape: tuple[int, int], mark_id: int, path: str | Path | None) -> np.ndarray:
    """Return the bool [H, W] mask of one box, clipped to the frame."""
    height, width = shape
    try:
        box = np.array(xyxy, float).reshape(4)
    except (TypeError, ValueError) as problem:
        reason = f"box {mark_id} is not four numbers"
        raise MaskMismatch(reason, path=path, cure="give x0, y0, x1, y1") from problem
    x0, y0, x1, y1 = inside = np.clip(box, 0, [width, height, width, height])
    if not (x0 < x1 and y0 < y1 and np.isfinite(box).all()):
        reason = f"box {mark_id} is reversed, empty, not finite or outside the frame of {width}x{height}"
        raise MaskMismatch(reason, path=path, cure="give x0 < x1, y0 < y1 in pixels of this frame")
    if (inside != box).any():
        warnings.warn(f"{path or 'boxes'}: box {mark_id} was clipped to the frame", stacklevel=4)
    mask = np.zeros(shape, bool)
    mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    return mask
