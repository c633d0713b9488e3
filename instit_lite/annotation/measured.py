"""The measured annotator. In: real frames, masks of their instances. Out: what can be measured, in words.

It says how large, where, of what colour and which way, and never what: "a small region, mostly brown, at the
left". That is honest for any footage, offline, and it is no substitute for a model that sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import supervision as sv

from ..errors import MaskMismatch
from ..marks.detections import check_frame
from ..scenes.facts import direction
from .regions import Region, Step, compare_regions, describe, measure_regions
from .schema import MEASURED, ClipAnnotation, FrameAnnotation, InstanceCaption, QAPair

NO_CHANGE = "No marked region changes noticeably."
MAX_PAIRS = 12
Regions = dict[int, Region]


def measure_clip(
    frames: np.ndarray, detections: Sequence[sv.Detections], timestamps: Sequence[float] | None = None
) -> ClipAnnotation:
    """Annotate a clip, frames uint8 [T, H, W, 3] without marks, from its masks.

    `timestamps` are seconds per frame; with them, answers about moments give seconds too. Raises
    `MaskMismatch` where masks do not fit the frames.
    """
    if len(detections) != len(frames):
        raise MaskMismatch(
            f"there are instances for {len(detections)} frames, and the clip has {len(frames)}",
            cure="give one entry per frame",
        )
    regions = [checked(found, frame, t) for t, (frame, found) in enumerate(zip(frames, detections), start=1)]
    steps = [compare_regions(a, b) for a, b in zip(regions, regions[1:])]
    told = [
        write_frame(found, t, f"{t:05d}.jpg", write_change(steps[t - 2]) if t > 1 else None)
        for t, found in enumerate(regions, start=1)
    ]
    return ClipAnnotation(
        frames=told, video_level_caption=write_summary(told, steps),
        question_answer_pairs=measured_questions(regions, steps, timestamps),
        annotator=MEASURED, model=MEASURED,
    )  # fmt: skip


def measure_image(
    frame: np.ndarray, detections: sv.Detections, frame_name: str = "00001.jpg"
) -> FrameAnnotation:
    """Annotate a still picture, uint8 [H, W, 3] without marks, from its masks."""
    return write_frame(checked(detections, frame, 1), 1, frame_name, None)


def checked(detections: sv.Detections, frame: np.ndarray, timestamp: int) -> Regions:
    if len(detections):
        check_frame(detections, frame.shape[:2], timestamp)
    return measure_regions(detections, frame)


def write_frame(regions: Regions, timestamp: int, name: str, change: str | None) -> FrameAnnotation:
    captions = [InstanceCaption(id=i, caption=f"a {describe(r)}") for i, r in regions.items()]
    scene = " ".join(f"[{c.id}] is {c.caption}." for c in captions) or "There is no marked region."
    return FrameAnnotation(
        timestamp=timestamp, frame_name=name, instances=captions, image_level=scene, temporal_change=change
    )


def write_change(steps: list[Step]) -> str:
    return " ".join(f"[{s.mark_id}] {s.words}." for s in steps) or NO_CHANGE


def write_summary(frames: list[FrameAnnotation], steps: list[list[Step]]) -> str:
    """Tell the first frame, then every moment at which something changes; `steps[i]` leads to frame i + 2."""
    parts = [f"<1> {frames[0].image_level}"] if frames else ["There are no frames."]
    parts += [f"<{t}> {write_change(found)}" for t, found in enumerate(steps, start=2) if found]
    if frames and not any(steps):
        parts.append(NO_CHANGE)
    return " ".join(parts)


def measured_questions(
    regions: list[Regions], steps: list[list[Step]], timestamps: Sequence[float] | None
) -> list[QAPair]:
    """Ask about 10 things that masks settle, taking turns between instances; fewer where there are fewer."""
    moment = Moment(timestamps)
    ids = sorted({i for found in regions for i in found})
    about = [instance_questions(i, regions, steps, moment) for i in ids]
    turns = [pairs[k] for k in range(max(map(len, about), default=0)) for pairs in about if k < len(pairs)]
    whole = frame_questions(regions, moment)
    chosen = [*turns[: MAX_PAIRS - len(whole)], *whole]
    return [QAPair(question=q, answer=a) for q, a in chosen]


class Moment:
    """Write a moment as `<3>`, with seconds where they are known: "<3> (1.2 s)"."""

    def __init__(self, timestamps: Sequence[float] | None) -> None:
        self.timestamps = timestamps

    def __call__(self, t: int) -> str:
        return f"<{t}>" if self.timestamps is None else f"<{t}> ({self.timestamps[t - 1]:.1f} s)"


def instance_questions(
    mark_id: int, regions: list[Regions], steps: list[list[Step]], moment: Moment
) -> list[tuple[str, str]]:
    """Ask of one instance: motion, coming, going, colour, place, size."""
    seen = {t: found[mark_id] for t, found in enumerate(regions, start=1) if mark_id in found}
    (start, first), (end, last) = min(seen.items()), max(seen.items())
    pairs = []
    if end > start:
        way = direction(last.x - first.x, last.y - first.y)
        told = f"[{mark_id}] has moved {way}" if way else f"[{mark_id}] is about where it was"
        asked = f"Which way has the middle of [{mark_id}] moved between <{start}> and <{end}>?"
        pairs.append((asked, f"{told}, from the {first.place} to the {last.place}." if way else f"{told}."))
    events = [(t, s) for t, found in enumerate(steps, start=2) for s in found if s.mark_id == mark_id]
    for word, *kinds in (("come into view", "enters", "appears"), ("go out of view", "leaves", "disappears")):
        when = [t for t, s in events if s.kind in kinds]
        if when:
            moments = " ".join(moment(t) for t in when)
            pairs.append((f"When does [{mark_id}] {word}?", f"[{mark_id}] does so at {moments}."))
    colours = " and ".join(first.colours)
    pairs.append((f"What is the main colour of [{mark_id}] at <{start}>?", f"[{mark_id}] is mostly {colours}."
                  if len(first.colours) == 1 else f"[{mark_id}] is {colours}."))  # fmt: skip
    pairs.append((f"Where is [{mark_id}] at <{end}>?", f"[{mark_id}] is at the {last.place}."))
    share = f"about {100 * last.area:.0f} %" if last.area >= 0.01 else "less than 1 %"
    asked = f"How much of the frame does [{mark_id}] cover at <{end}>?"
    pairs.append((asked, f"[{mark_id}] covers {share}."))
    return pairs


def frame_questions(regions: list[Regions], moment: Moment) -> list[tuple[str, str]]:
    """Ask of whole frames: how many marks, which is largest, which is furthest left."""
    full = [t for t, found in enumerate(regions, start=1) if found]
    if not full:
        return []
    t = max(full, key=lambda t: len(regions[t - 1]))
    found = list(regions[t - 1].values())
    names = " ".join(f"[{r.mark_id}]" for r in found)
    verb = "is" if len(found) == 1 else "are"
    pairs = [(f"Which marks are visible at <{t}>?", f"{names} {verb} visible at {moment(t)}.")]
    if len(found) > 1:
        areas = sorted(found, key=lambda r: -r.area)
        if areas[0].area > 1.1 * areas[1].area:
            asked = f"Which marked region is the largest at <{t}>?"
            pairs.append((asked, f"[{areas[0].mark_id}] is the largest."))
        lefts = sorted(found, key=lambda r: r.x)
        if lefts[1].x - lefts[0].x > 0.05:
            asked = f"Which mark is furthest left at <{t}>?"
            pairs.append((asked, f"[{lefts[0].mark_id}] is furthest left."))
    return pairs
