"""The audit. In: any clip annotation and the masks. Out: findings where the two contradict each other.

Neither the paper nor upstream has such a check, and released texts show slips in ids and timestamps. It holds
for every annotator, a model included. A finding is a contradiction or a gap, not a verdict on style.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import supervision as sv

from ..marks.detections import check_frame as check_masks
from . import claims_in_text as texts
from .claims_in_text import Claim, ids_in
from .regions import Region, measure_regions
from .schema import ClipAnnotation, FrameAnnotation

HINT = 0.01  # a shift of some part of the mask that supports a claim of motion, as a share of the side
PLAIN_SHIFT = 0.15  # a shift that a description of changes cannot leave out
SAME_AREA = 0.7  # as long as the area stays about the same
Regions = dict[int, Region]

KINDS = (
    "frame count", "timestamp", "unknown id", "not visible", "left out", "first change", "no change text",
    "motion", "coming", "going", "missed change", "place",
)


@dataclass(frozen=True)
class AuditFinding:
    """One contradiction; `kind` is one of `KINDS`, `where` the text at fault where the message names one."""

    kind: str
    timestamp: int | None
    mark_id: int | None
    message: str
    where: str = ""

    def __str__(self) -> str:
        where = f"<{self.timestamp}> " if self.timestamp is not None else ""
        who = f"[{self.mark_id}] " if self.mark_id is not None else ""
        return f"{where}{who}{self.kind}: {self.message}"


def audit(
    annotation: ClipAnnotation, detections: Sequence[sv.Detections], frame_shape: tuple[int, ...]
) -> list[AuditFinding]:
    """Check an annotation against the masks, one `Detections` per frame of (height, width).

    Raises `MaskMismatch` where a mask has another size. An empty list means that nothing contradicts the
    masks, not that everything said is true: a mask knows no colours and no names.
    """
    for t, found in enumerate(detections, start=1):
        if len(found):
            check_masks(found, frame_shape[:2], t)
    regions = [measure_regions(found) for found in detections]
    everyone, count = {i for found in regions for i in found}, len(regions)
    findings = list(check_numbering(annotation.frames, count))
    for frame in annotation.frames:
        if 1 <= frame.timestamp <= count:
            now = regions[frame.timestamp - 1]
            before = regions[frame.timestamp - 2] if frame.timestamp > 1 else None
            told = [f"[{i.id}]" for i in frame.instances] + [frame.image_level, frame.temporal_change or ""]
            findings += check_presence(frame, now, everyone)
            findings += check_text(" ".join(told), f"the texts of <{frame.timestamp}>", everyone, count)
            findings += check_places(frame, now)
            findings += check_changes(frame, before, now, everyone)
    findings += check_text(annotation.video_level_caption or "", "the summary", everyone, count)
    for n, pair in enumerate(annotation.question_answer_pairs, start=1):
        findings += check_text(f"{pair.question} {pair.answer}", f"question {n}", everyone, count)
    return findings


def check_numbering(frames: Sequence[FrameAnnotation], count: int) -> Iterator[AuditFinding]:
    """Check that frame annotations are numbered 1 to `count`."""
    told = [frame.timestamp for frame in frames]
    strange = [t for t in told if not 1 <= t <= count]
    for t in strange:
        yield AuditFinding("timestamp", t, None, f"the clip has frames <1> to <{count}>")
    if not strange and told != list(range(1, count + 1)):
        yield AuditFinding("frame count", None, None, f"timestamps {told} for {count} frames")


def check_text(text: str, where: str, everyone: set[int], count: int) -> Iterator[AuditFinding]:
    """Check the ids and timestamps that a text names."""
    for i in ids_in(text):
        if i not in everyone:
            yield AuditFinding("unknown id", None, i, f"is named in {where} and is no mark", where)
    for t in texts.moments_in(text):
        if not 1 <= t <= count:
            yield AuditFinding("timestamp", t, None, f"is named in {where}; the clip has <1> to <{count}>", where)
    for a, b in texts.backward_spans(text):
        message = f"{where} tells of <{a}>-<{b}>, which ends before it begins"
        yield AuditFinding("timestamp", a, None, message, where)


def check_presence(frame: FrameAnnotation, now: Regions, everyone: set[int]) -> Iterator[AuditFinding]:
    """Check that what has a mask is described, and what is described has a mask."""
    described = [i.id for i in frame.instances]
    for i in dict.fromkeys([*described, *texts.ids_said_present(frame.image_level)]):
        if i in everyone and i not in now:
            yield AuditFinding("not visible", frame.timestamp, i, "is described and has no mask here")
    for i in now:
        if i not in described:
            yield AuditFinding("left out", frame.timestamp, i, "has a mask and no caption")


def check_places(frame: FrameAnnotation, now: Regions) -> Iterator[AuditFinding]:
    """Check place words of captions and description; each instance is reported once."""
    captions = [f"[{i.id}] {i.caption}" for i in frame.instances]
    claims = [claim for text in (*captions, frame.image_level) for claim in texts.place_claims(text)]
    wrong = {c.mark_id: c.detail for c in claims
             if c.mark_id in now and far_apart(c.detail, now[c.mark_id].place)}
    for i, said in wrong.items():
        message = f"is said to be at the {said}; its mask is at the {now[i].place}"
        yield AuditFinding("place", frame.timestamp, i, message)


def far_apart(said: str, measured: str) -> bool:
    """Tell whether two places lie on opposite sides; "left" alone tells no row, "top" alone no column."""
    opposite = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
    return any(opposite.get(word) in measured.split() for word in said.split())


def check_changes(
    frame: FrameAnnotation, before: Regions | None, now: Regions, everyone: set[int]
) -> Iterator[AuditFinding]:
    """Check what a frame tells of changes against its masks and those of the frame before."""
    t, change = frame.timestamp, frame.temporal_change
    if before is None and change is not None:
        yield AuditFinding("first change", t, None, "nothing comes before the first frame")
    if before is not None and change is None:
        yield AuditFinding("no change text", t, None, "is null after the first frame")
    if before is None or change is None:
        return
    for i in ids_in(change):
        if i in everyone and i not in now and i not in before:
            yield AuditFinding("not visible", t, i, "is said to change and has no mask", f"the texts of <{t}>")
    for claim in texts.change_claims(change):
        yield from check_claim(claim, t, before.get(claim.mark_id), now.get(claim.mark_id))
    for i in sorted((before.keys() | now.keys()) - set(ids_in(change))):
        if i not in before or i not in now:
            what = "goes out of view" if i in before else "comes into view"
            yield AuditFinding("missed change", t, i, f"{what}, which the text does not tell")
        elif moves_plainly(before[i], now[i]):
            yield AuditFinding("missed change", t, i, "moves far, which is not told")


def check_claim(claim: Claim, t: int, before: Region | None, now: Region | None) -> Iterator[AuditFinding]:
    """Check one claim of motion, entry or exit."""
    if claim.kind == "comes" and (before or not now):
        why = "its mask was there before" if before else "it has no mask here"
        yield AuditFinding("coming", t, claim.mark_id, f"is said to come into view; {why}")
    if claim.kind == "goes" and (now or not before):
        why = "its mask is still there" if now else "it had no mask before"
        yield AuditFinding("going", t, claim.mark_id, f"is said to go out of view; {why}")
    if claim.kind == "moves" and before and now and furthest_shift(before, now, claim.detail) < HINT:
        message = f"is said to move {claim.detail}; no part of its mask does"
        yield AuditFinding("motion", t, claim.mark_id, message)


def furthest_shift(before: Region, now: Region, way: str) -> float:
    """How far the middle or an edge of a mask went that way: what covers it hides one edge, not both."""
    names = ("x", "left", "right") if way in ("left", "right") else ("y", "top", "bottom")
    sign = 1 if way in ("right", "down") else -1
    return max(sign * (getattr(now, name) - getattr(before, name)) for name in names)


def moves_plainly(before: Region, now: Region) -> bool:
    small, large = sorted((before.area, now.area))
    return max(abs(now.x - before.x), abs(now.y - before.y)) > PLAIN_SHIFT and small > SAME_AREA * large
