"""What an instance is. In: masks by mark id. Out: `supervision.Detections`, checked.

`tracker_id` is the mark id and never changes on the way: an id that cannot be a mark is refused,
not renumbered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import supervision as sv

from ..errors import MaskMismatch, NoInstances

MAX_MARK_ID = 999  # more digits do not fit on an instance


def from_masks(masks: Mapping[int, np.ndarray], shape: tuple[int, int]) -> sv.Detections:
    """Make one frame's detections from masks, bool [H, W] by mark id, in ascending id.

    An instance whose mask is empty is not visible and is left out. Boxes are half-open: x1 and y1
    are exclusive. Returns `xyxy` float64 [n, 4], `mask` bool [n, H, W], `tracker_id` int [n]; n
    may be 0.
    """
    ids = [i for i in sorted(masks) if masks[i].any()]
    stack = np.stack([masks[i] for i in ids]) if ids else np.zeros((0, *shape), bool)
    boxes = sv.mask_to_xyxy(stack, "exclusive").astype(float).reshape(-1, 4)
    return sv.Detections(
        xyxy=boxes, mask=stack, class_id=np.zeros(len(ids), int), tracker_id=np.array(ids, int)
    )


def refuse_size(
    got: Sequence[int], wanted: Sequence[int], what: str, path: str | Path | None = None
) -> None:
    """Raise `MaskMismatch`, naming both (height, width), unless `got` equals `wanted`."""
    if tuple(got) != tuple(wanted):
        reason = f"{what} is {got[1]}x{got[0]} pixels, and the frame is {wanted[1]}x{wanted[0]}"
        raise MaskMismatch(
            reason,
            path=path,
            cure="use masks made for the upright frames at this resolution",
        )


def mark_ids(ids: Sequence[object], path: str | Path | None, renumber: bool = False) -> list[int]:
    """Return the mark ids for a file's instance ids: the same, or on request 1, 2, … in order.

    Raises `MaskMismatch` where an id occurs twice, is no whole number, or is outside 1..999.
    """
    for i in ids:
        if isinstance(i, bool) or not isinstance(i, int | np.integer):
            raise MaskMismatch(
                f"the instance id {i!r} is not a whole number",
                path=path,
                cure="number the instances",
            )
    if len(set(ids)) < len(ids):
        twin = next(i for i in ids if list(ids).count(i) > 1)
        raise MaskMismatch(
            f"the instance id {twin} occurs twice",
            path=path,
            cure="give every instance its own id",
        )
    if renumber:
        return list(range(1, len(ids) + 1))
    for i in ids:
        if not 1 <= i <= MAX_MARK_ID:
            raise MaskMismatch(
                f"the instance id {i} cannot be a mark (1 to {MAX_MARK_ID})",
                path=path,
                cure="choose smaller ids, or ask for renumber=True where the reader has it",
            )
    return [int(i) for i in ids]


def check_instances(detections: Sequence[sv.Detections], frames: np.ndarray) -> None:
    """Check that detections fit frames, uint8 [T, H, W, 3], before anything is drawn.

    Raises `MaskMismatch` for another number of frames, a mask of another size or type, missing,
    double or impossible ids; `NoInstances` where no frame has an instance.
    """
    if len(detections) != len(frames):
        raise MaskMismatch(
            f"there are instances for {len(detections)} frames, and the clip has {len(frames)}",
            cure="read the masks with the clip's indices",
        )
    for t, found in enumerate(detections, start=1):
        if len(found):
            check_frame(found, frames.shape[1:3], t)
    if not any(len(found) for found in detections):
        raise NoInstances(
            "no frame has an instance to mark",
            cure="give masks or boxes, or let the tracker find some",
        )


def check_frame(found: sv.Detections, shape: tuple[int, int], timestamp: int) -> None:
    """Check the detections of one frame against its (height, width)."""
    frame = f"frame <{timestamp}>"
    if found.tracker_id is None or found.mask is None:
        lack = "mark ids (tracker_id)" if found.tracker_id is None else "masks"
        raise MaskMismatch(
            f"the instances of {frame} have no {lack}", cure=f"give every instance its {lack}"
        )
    refuse_size(found.mask.shape[1:], shape, f"a mask of {frame}")
    if not isinstance(found.mask, np.ndarray) or found.mask.dtype != bool:
        raise MaskMismatch(
            f"the masks of {frame} are not a bool array", cure="give bool [n, H, W]"
        )
    try:
        mark_ids(found.tracker_id.tolist(), None)
    except MaskMismatch as problem:
        raise MaskMismatch(f"in {frame}, {problem.reason}", cure=problem.cure) from None
