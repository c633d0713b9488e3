"""What an instance is. In: masks by mark id. Out: `supervision.Detections`, checked.

`tracker_id` is the mark id and never changes on the way: an id that cannot be a mark is refused, not
renumbered.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import supervision as sv

from ..errors import MaskMismatch, NoInstances

MAX_MARK_ID = 999  # more digits do not fit on an instance


def from_masks(masks: Mapping[int, np.ndarray], shape: tuple[int, int]) -> sv.Detections:
    """Make one frame's detections from masks, bool [H, W] by mark id, in ascending id.

    An instance whose mask is empty is not visible and is left out. Boxes are half-open: x1 and y1 are
    exclusive. Returns `xyxy` float64 [n, 4], `mask` bool [n, H, W], `tracker_id` int [n]; n may be 0.
    """
    ids = [i for i in sorted(masks) if masks[i].any()]
    stack = np.stack([masks[i] for i in ids]) if ids else np.zeros((0, *shape), bool)
    boxes = sv.mask_to_xyxy(stack, "exclusive").astype(float).reshape(-1, 4)
    zeros, ids = np.zeros(len(ids), int), np.array(ids, int)
    return sv.Detections(xyxy=boxes, mask=stack, class_id=zeros, tracker_id=ids)


def refuse_size(got: Sequence[int], wanted: Sequence[int], what: str, path: str | Path | None = None) -> None:
    """Raise `MaskMismatch`, naming both (height, width), unless `got` equals `wanted`."""
    if tuple(got) != tuple(wanted):
        reason = f"{what} is {got[1]}x{got[0]} pixels, and the frame is {wanted[1]}x{wanted[0]}"
        cure = "use masks made for the upright frames at this resolution"
        raise MaskMismatch(reason, path=path, cure=cure)


def mark_ids(ids: Sequence[object], path: str | Path | None, renumber: bool = False) -> list[int]:
    """Return the mark ids for a file's instance ids: the same, or on request 1, 2, … in order.

    Raises `MaskMismatch` where an id occurs twice, is no whole number, or is outside 1..999.
    """
    seen = set()
    for i in ids:
        what = f"the instance id {i!r}"
        if type(i) is not int:
            raise MaskMismatch(f"{what} is not a whole number", path=path, cure="number the instances")
        if i in seen:
            raise MaskMismatch(f"{what} occurs twice", path=path, cure="give every instance its own id")
        if not renumber and not 1 <= i <= MAX_MARK_ID:
            cure = "choose smaller ids, or ask for renumber=True where the reader has it"
            raise MaskMismatch(f"{what} cannot be a mark (1 to {MAX_MARK_ID})", path=path, cure=cure)
        seen.add(i)
    marks = list(range(1, len(ids) + 1)) if renumber else list(ids)
    if marks != list(ids):
        pairs = ", ".join(f"{i} became [{mark}]" for i, mark in zip(ids, marks))
        warnings.warn(f"{path}: instance ids were numbered anew: {pairs}", stacklevel=5)
    return marks


def check_instances(detections: Sequence[sv.Detections], frames: np.ndarray) -> None:
    """Check that detections fit frames, uint8 [T, H, W, 3], before anything is drawn.

    Raises `MaskMismatch` for another number of frames, a mask of another size or type, missing, double or
    impossible ids; `NoInstances` where no frame has an instance.
    """
    check_count(detections, frames)
    for t, found in enumerate(detections, start=1):
        if len(found):
            check_frame(found, frames.shape[1:3], t)
    if not any(len(found) for found in detections):
        cure = "give masks or boxes, or let the tracker find some"
        raise NoInstances("no frame has an instance to mark", cure=cure)


def check_count(detections: Sequence[sv.Detections], frames: np.ndarray) -> None:
    """Check that there is one `Detections` per frame."""
    if len(detections) != len(frames):
        reason = f"there are instances for {len(detections)} frames, and the clip has {len(frames)}"
        raise MaskMismatch(reason, cure="read the masks with the clip's indices")


def check_frame(found: sv.Detections, shape: tuple[int, int], timestamp: int) -> None:
    """Check the detections of one frame against its (height, width)."""
    frame = f"frame <{timestamp}>"
    if found.tracker_id is None:
        raise MaskMismatch(f"the instances of {frame} have no mark ids", cure="set tracker_id")
    if found.mask is None:
        raise MaskMismatch(f"the instances of {frame} have no masks", cure="give every instance its mask")
    refuse_size(found.mask.shape[1:], shape, f"a mask of {frame}")
    if found.mask.dtype != bool:
        raise MaskMismatch(f"the masks of {frame} are not a bool array", cure="give bool [n, H, W]")
    try:
        mark_ids(found.tracker_id.tolist(), None)
    except MaskMismatch as problem:
        raise MaskMismatch(f"in {frame}, {problem.reason}", cure=problem.cure) from None
