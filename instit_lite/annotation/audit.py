"""The audit. In: any clip annotation and the masks. Out: findings where the two contradict each other.

Neither the paper nor upstream has such a check, and released texts show slips in ids and timestamps. It holds
for every annotator, a model included. A finding is a contradiction or a gap, not a verdict on style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import supervision as sv

from ..errors import MaskMismatch
from ..scenes.world import PLACES
from .claims_in_text import (
    Claim,
    backward_spans,
    change_claims,
    ids_in,
    ids_said_present,
    moments_in,
    place_claims,
)
from .regions import Region, measure_regions
from .schema import ClipAnnotation, FrameAnnotation

HINT = 0.01  # a shift of some part of the mask that supports a claim of motion, as a share of the side
PLAIN_SHIFT = 0.15  # a shift that a description of changes cannot leave out
SAME_AREA = 0.7
Regions = dict[int, Region]

KINDS = {
    "frame count": "there are more or fewer frame annotations than frames",
    "timestamp": "a moment that the clip does not have",
    "unknown id": "a mark that no frame has",
    "not visible": "an instance described where it has no mask",
    "left out": "a marked instance that is not described",
    "first change": "the first frame tells a change",
    "no change text": "a later frame tells nothing of changes",
    "motion": "a motion that no part of the mask shows",
    "coming": "an entry that the masks do not show",
    "going": "an exit that the masks do not show",
    "missed change": "an entry, exit or plain motion that is not told",
    "place": "a place more than one cell of the 3 x 3 grid away from the mask",
}


@dataclass(frozen=True)
class AuditFinding:
    """One contradiction; `kind` is a key of `KINDS`."""

    kind: str
    timestamp: int | None
    mark_id: int | None
    message: str

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
    for found in detections:
        if len(found) and tuple(found.mask.shape[1:]) != tuple(frame_shape[:2]):
            (h, w), (height, width) = found.mask.shape[1:], frame_shape[:2]
            reason = f"a mask is {w}x{h} pixels, and the frames are {width}x{height}"
            raise MaskMismatch(reason, cure="audit with the masks of these frames")
    regions = [measure_regions(found) for found in detections]
    everyone = {i for found in regions for i in found}
    findings = check_frames_present(annotation.frames, len(regions))
    for frame in annotation.frames:
        if 1 <= frame.timestamp <= len(regions):
            before = regions[frame.timestamp - 2] if frame.timestamp > 1 else None
            findings += check_frame(frame, regions[frame.timestamp - 1], before, everyone, len(regions))
    findings += check_text(annotation.video_level_caption or "", "the summary", everyone, len(regions))
    for n, pair in enumerate(annotation.question_answer_pairs, start=1):
        text = f"{pair.question} {pair.answer}"
        findings += check_text(text, f"question {n}", everyone, len(regions))
    return findings


def check_frames_present(frames: Sequence[FrameAnnotation], count: int) -> list[AuditFinding]:
    """Check that frame annotations are numbered 1 to `count`."""
    told = [frame.timestamp for frame in frames]
    if told == list(range(1, count + 1)):
        return []
    if any(not 1 <= t <= count for t in told):
        return [AuditFinding("timestamp", t, None, f"the clip has frames <1> to <{count}>")
                for t in told if not 1 <= t <= count]  # fmt: skip
    return [AuditFinding("frame count", None, None, f"timestamps {told} for {count} frames")]


def check_frame(
    frame: FrameAnnotation, now: Regions, before: Regions | None, everyone: set[int], count: int
) -> list[AuditFinding]:
    """Check one frame annotation of `count` against its masks and those of the frame before."""
    findings, t = [], frame.timestamp
    described = [i.id for i in frame.instances]
    for i in dict.fromkeys([*described, *ids_said_present(frame.image_level)]):
        if i not in now and i in everyone:
            findings.append(AuditFinding("not visible", t, i, "is described and has no mask here"))
    texts = [f"[{i}]" for i in described] + [frame.image_level, frame.temporal_change or ""]
    findings += check_text(" ".join(texts), f"the texts of <{t}>", everyone, count)
    for i in now:
        if i not in described:
            findings.append(AuditFinding("left out", t, i, "has a mask and no caption"))
    findings += check_places(frame, now)
    change = frame.temporal_change
    if before is None:
        if change is not None:
            findings.append(AuditFinding("first change", t, None, "nothing comes before the first frame"))
        return findings
    if change is None:
        findings.append(AuditFinding("no change text", t, None, "is null after the first frame"))
        return findings
    for i in ids_in(change):
        if i in everyone and i not in now and i not in before:
            findings.append(AuditFinding("not visible", t, i, "is said to change and has no mask"))
    for claim in change_claims(change):
        findings += check_change(claim, t, before.get(claim.mark_id), now.get(claim.mark_id))
    return findings + check_missed(change, t, before, now)


def check_places(frame: FrameAnnotation, now: Regions) -> list[AuditFinding]:
    """Check place words of captions and description; each instance is reported once."""
    claims = place_claims(frame.image_level)
    claims += [c for i in frame.instances for c in place_claims(f"[{i.id}] {i.caption}")]
    wrong = {}
    for claim in claims:
        region = now.get(claim.mark_id)
        if region and far_apart(claim.detail, region.place):
            message = f"is said to be at the {claim.detail}; its mask is at the {region.place}"
            wrong.setdefault(claim.mark_id, AuditFinding("place", frame.timestamp, claim.mark_id, message))
    return list(wrong.values())


def far_apart(said: str, measured: str) -> bool:
    """Tell whether two cells differ by more than one; "left" alone tells no row, "top" alone no column."""
    row, column = divmod(PLACES.index(measured), 3)
    rows, columns = {"top": 0, "bottom": 2}, {"left": 0, "right": 2}
    words = said.split()
    off = [abs(rows[w] - row) for w in words if w in rows]
    off += [abs(columns[w] - column) for w in words if w in columns]
    return max(off, default=0) > 1


def check_change(claim: Claim, t: int, before: Region | None, now: Region | None) -> list[AuditFinding]:
    """Check one claim of motion, entry or exit."""
    said = AuditFinding
    if claim.kind == "comes" and (before or not now):
        why = "its mask was there before" if before else "it has no mask here"
        return [said("coming", t, claim.mark_id, f"is said to come into view; {why}")]
    if claim.kind == "goes" and (now or not before):
        why = "its mask is still there" if now else "it had no mask before"
        return [said("going", t, claim.mark_id, f"is said to go out of view; {why}")]
    if claim.kind == "moves" and before and now:
        if max(shifts(before, now, claim.detail)) < HINT:
            message = f"is said to move {claim.detail}; no part of its mask does"
            return [said("motion", t, claim.mark_id, message)]
    return []


def shifts(before: Region, now: Region, way: str) -> list[float]:
    """How far the middle and both edges of a mask went that way: what covers it hides one edge, not both."""
    across = way in ("left", "right")
    names = ("x", "left", "right") if across else ("y", "top", "bottom")
    sign = 1 if way in ("right", "down") else -1
    return [sign * (getattr(now, name) - getattr(before, name)) for name in names]


def check_missed(change: str, t: int, before: Regions, now: Regions) -> list[AuditFinding]:
    """Find entries, exits and plain motion of instances that the change text does not name at all."""
    named, findings = set(ids_in(change)), []
    for i in sorted((before.keys() | now.keys()) - named):
        old, new = before.get(i), now.get(i)
        if old is None or new is None:
            what = "comes into view" if old is None else "goes out of view"
            findings.append(AuditFinding("missed change", t, i, f"{what}, which the text does not tell"))
        elif max(abs(new.x - old.x), abs(new.y - old.y)) > PLAIN_SHIFT:
            if min(old.area, new.area) > SAME_AREA * max(old.area, new.area):
                findings.append(AuditFinding("missed change", t, i, "moves far, which is not told"))
    return findings


def check_text(text: str, where: str, everyone: set[int], count: int) -> list[AuditFinding]:
    """Check the ids and timestamps that a summary or a question names."""
    findings = [
        AuditFinding("unknown id", None, i, f"is named in {where} and is no mark")
        for i in ids_in(text) if i not in everyone
    ]  # fmt: skip
    findings += [
        AuditFinding("timestamp", t, None, f"is named in {where}; the clip has <1> to <{count}>")
        for t in moments_in(text) if not 1 <= t <= count
    ]  # fmt: skip
    findings += [
        AuditFinding("timestamp", a, None, f"{where} tells of <{a}>-<{b}>, which ends before it begins")
        for a, b in backward_spans(text)
    ]  # fmt: skip
    return findings
