"""Set-of-Marks on frames. In: frames, instances, a style's name. Out: marked copies, and where the marks are.

Every instance bears its id, the same in all frames (paper A.1). Pillow draws the digits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import supervision as sv
from PIL import Image, ImageDraw

from ..errors import MaskMismatch
from .detections import check_count, check_frame
from .field import Field
from .placement import Anchor, leader_pixels, place_marks
from .style import Style, box_size, cap_height, get_style, id_colour, patch

WIDE_CONTOUR = 480  # short side from which an opaque contour is two pixels wide


def draw_marks(
    frame: np.ndarray, detections: sv.Detections, style: str = "video",
    previous: Mapping[int, Anchor] | None = None, only: Collection[int] | None = None,
) -> tuple[np.ndarray, dict[int, Anchor]]:  # fmt: skip
    """Mark every instance of a frame, uint8 [H, W, 3] RGB; return a marked copy and the anchors by mark id.

    `previous` is the anchors of the frame before, which keeps marks steady. `only` names the ids to draw; the others
    keep their places free. A frame without instances is copied. Raises `MaskMismatch` where frame or detections are
    not what they should be, `InstitError` for an unknown style.
    """
    look = get_style(style)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        reason = f"a frame is {frame.dtype} of shape {frame.shape}"
        raise MaskMismatch(reason, cure="give uint8 [height, width, 3] in RGB")
    marked, shape = np.array(frame, order="C"), frame.shape[:2]
    if not len(detections):
        return marked, {}
    check_frame(detections, shape, 1)
    field = Field(detections.mask, detections.tracker_id)
    ids = detections.tracker_id.tolist()
    anchors = place_marks(detections, {i: box_size(look, str(i), shape) for i in ids}, previous, field)
    paint_marks(marked, detections, anchors, look, field, ids if only is None else only)
    return marked, anchors


def paint_marks(
    marked: np.ndarray, detections: sv.Detections, anchors: Mapping[int, Anchor], look: Style, field: Field,
    only: Collection[int],
) -> None:  # fmt: skip
    """Paint the marks `only` where `anchors` says, with their contours; writes to `marked`. `field` is the frame's."""
    shape = marked.shape[:2]
    for mark_id, mask, window in zip(detections.tracker_id.tolist(), detections.mask, field.windows):
        if window is not None and look.contour_alpha and mark_id in only:
            draw_region(marked[window], mask[window], id_colour(look, mark_id), look, min(shape))
    visible = {mark_id: anchor for mark_id, anchor in anchors.items() if mark_id in only}
    for anchor in visible.values():
        if anchor.leader is not None:
            draw_leader(marked, anchor, look)
    for mark_id, anchor in visible.items():
        keep, add = patch(look, str(mark_id), shape)
        marked[anchor.window] = (marked[anchor.window] * keep + add).astype(np.uint8)


def mark_clip(
    frames: np.ndarray, detections: Sequence[sv.Detections], style: str = "video",
    only: Sequence[Collection[int]] | None = None,
) -> np.ndarray:  # fmt: skip
    """Mark a clip, uint8 [T, H, W, 3], with one `Detections` per frame; return a marked copy.

    Marks keep their place within their instance from frame to frame. `only`: per frame the ids to draw.
    """
    check_count(detections, frames)
    marked, anchors = np.empty_like(frames), {}
    for t, (frame, found) in enumerate(zip(frames, detections)):
        marked[t], anchors = draw_marks(frame, found, style, anchors, None if only is None else only[t])
    return marked


def draw_region(
    part: np.ndarray, inside: np.ndarray, colour: tuple[int, int, int], style: Style, short: int
) -> None:
    """Tint an instance and draw its contour just inside its edge; writes to `part`.

    `part` uint8 [h, w, 3] and the mask `inside` bool [h, w] are cut to the instance's box; `short` is the
    frame's short side in pixels, which decides between a contour of one and of two pixels.
    """
    if style.fill_alpha:
        picture = Image.fromarray(part)
        share = inside.view(np.uint8) * np.uint8(round(255 * style.fill_alpha))
        picture.paste(colour, (0, 0), Image.fromarray(share))
        part[:] = np.asarray(picture)
    core = erode(inside)
    if style.contour_alpha == 1 and short >= WIDE_CONTOUR:
        core = erode(core)
    y, x = np.divmod(np.flatnonzero(inside & ~core), inside.shape[1])
    mixed = part[y, x] * (1 - style.contour_alpha) + np.multiply(colour, style.contour_alpha)
    part[y, x] = (mixed + 0.5).astype(np.uint8)


def erode(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask, bool [h, w], whose four neighbours belong to it; outside counts as out."""
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return inner


def draw_leader(frame: np.ndarray, anchor: Anchor, style: Style) -> None:
    """Draw the line from a mark's box to its instance, with a rim of the ink, and a dot."""
    x, y = leader_pixels(anchor)
    cap = cap_height(style, frame.shape[:2])
    core, rim = max(1, round(cap / 9) - 1), 2 * (cap >= 9)
    reach = core + rim + 1
    y0, x0 = max(0, y.min() - reach), max(0, x.min() - reach)
    part = frame[y0 : y.max() + reach + 1, x0 : x.max() + reach + 1]
    picture = Image.fromarray(part)
    pen = ImageDraw.Draw(picture)
    start, end = ((int(x[k] - x0), int(y[k] - y0)) for k in (0, -1))
    for width, colour in ((core + rim, style.ink), (core, style.box)):
        pen.line((start, end), fill=colour, width=width)
        pen.circle(end, width / 2 + 1, fill=colour)
    part[:] = np.asarray(picture)
