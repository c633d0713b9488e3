"""The mark playground of notebook 01. In: a frame and its instances. Out: what `explorer` needs to play with marks.

Style, size, opacity and placement are free, and so is which instances bear a mark. The plain placements stand beside
the kit's, so that their failures can be seen: a mark misleads where it points at another instance, or covers one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import supervision as sv
from matplotlib.figure import Figure

from ..marks.draw import paint_marks
from ..marks.field import Field
from ..marks.placement import Anchor, place_marks
from ..marks.style import STYLES, Style, box_size, get_style
from .figures import image_grid

DEEPEST, MASS, BOX = "deepest point", "centre of mass", "box centre"


class Playground:
    """Marks on one frame, uint8 [H, W, 3]; a state has style, size, opacity (per cent of the style's), placement and
    a truth value for each mark, which its name `mark 3` gives.
    """

    def __init__(self, frame: np.ndarray, detections: sv.Detections) -> None:
        self.frame, self.detections = frame, detections
        self.ids = sorted(detections.tracker_id.tolist())
        self.controls = {
            "style": list(STYLES), "size_percent": range(50, 201, 25), "opacity_percent": range(0, 101, 25),
            "placement": [DEEPEST, MASS, BOX], **{f"mark {i}": [False, True] for i in self.ids},
        }  # fmt: skip
        self.start = {"size_percent": 100, "opacity_percent": 100} | {f"mark {i}": True for i in self.ids}

    def style_of(self, state: dict) -> Style:
        """The style of a state: letters and box grow together, box and contour fade together."""
        own, size, solid = get_style(state["style"]), state["size_percent"] / 100, state["opacity_percent"] / 100
        alphas = {f"{part}_alpha": solid * getattr(own, f"{part}_alpha") for part in ("box", "contour", "fill")}
        return replace(own, cap=size * own.cap, least=size * own.least, **alphas)

    def marked(self, state: dict) -> tuple[np.ndarray, list[int], list[int]]:
        """The marked frame, the ids that are drawn, and those of them that mislead."""
        look, frame = self.style_of(state), self.frame.copy()
        field = Field(self.detections.mask, self.detections.tracker_id)
        sizes = {i: box_size(look, str(i), frame.shape[:2]) for i in self.ids}
        plain = state["placement"] != DEEPEST
        anchors = (place_plainly(self.detections, sizes, state["placement"]) if plain
                   else place_marks(self.detections, sizes))  # fmt: skip
        drawn = [i for i in self.ids if state[f"mark {i}"]]
        paint_marks(frame, self.detections, anchors, look, field, drawn)
        return frame, drawn, [i for i in drawn if misleads(self.detections, i, {j: anchors[j] for j in drawn})]

    def draw(self, state: dict) -> Figure:
        frame, drawn, wrong = self.marked(state)
        return image_grid([frame], [self.said(drawn, wrong)], size=5)

    def alt(self, state: dict) -> str:
        _, drawn, wrong = self.marked(state)
        return (
            f"A crowded frame in {state['style']} style, {state['size_percent']} percent of its size, "
            f"{state['opacity_percent']} percent of its opacity, at the {state['placement']}. {self.said(drawn, wrong)}."
        )

    def said(self, drawn: list[int], wrong: list[int]) -> str:
        who = ", ".join(f"[{i}]" for i in wrong)
        return f"{len(drawn)} of {len(self.ids)} instances marked; " + (f"misleading: {who}" if wrong else "none misleads")

    def click(self, state: dict, x: float, y: float) -> dict:
        """A click on an instance marks it, a second one takes the mark away; the smaller of two is in front."""
        row, column = int(round(y)), int(round(x))
        under = [(mask.sum(), i) for mask, i in zip(self.detections.mask, self.detections.tracker_id.tolist())
                 if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column]]  # fmt: skip
        return {name: not state[name] for name in [f"mark {min(under)[1]}"]} if under else {}


def place_plainly(detections: sv.Detections, sizes: dict[int, tuple[int, int]], placement: str) -> dict[int, Anchor]:
    """Centre every box on its mask's centre of mass or on its bounding box, whatever lies there; kept in the frame."""
    anchors, (height, width) = {}, detections.mask.shape[1:]
    for i, mask in zip(detections.tracker_id.tolist(), detections.mask):
        rows, columns = np.nonzero(mask)
        x, y = (v.mean() if placement == MASS else (v.min() + v.max()) / 2 for v in (columns, rows))
        w, h = sizes[i]
        left, top = round(x - w / 2), round(y - h / 2)
        anchors[i] = Anchor(min(max(0, left), width - w), min(max(0, top), height - h), w, h)
    return anchors


def misleads(detections: sv.Detections, mark_id: int, anchors: dict[int, Anchor]) -> bool:
    """Whether a mark points at something else than its instance, or lies over another instance or another mark."""
    anchor, own = anchors[mark_id], detections.tracker_id == mark_id
    x, y = anchor.leader or anchor.centre
    beside = (a for i, a in anchors.items() if i != mark_id)
    overlaps = any(abs(a.x - anchor.x) < anchor.width and abs(a.y - anchor.y) < anchor.height for a in beside)
    return bool(overlaps or not detections.mask[own][0, y, x] or detections.mask[~own][:, *anchor.window].any())
