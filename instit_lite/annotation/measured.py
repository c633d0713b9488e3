"""The measured annotator. In: real frames, masks of their instances. Out: what can be measured, in words.

It says how large, where, of what colour and which way, and never what: "a small region, mostly brown, at the
left". That is honest for any footage, offline, and it is no substitute for a model that sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np
import supervision as sv

from ..errors import MaskMismatch
from ..scenes.facts import direction
from .regions import Region, Step, compare_regions, measure_regions, say_colours
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
        reason = f"there are instances for {len(detections)} frames, and the clip has {len(frames)}"
        raise MaskMismatch(reason, cure="give one entry per frame")
    regions = [measure_regions(*pair, t) for t, pair in enumerate(zip(detections, frames), start=1)]
    steps = [[], *map(compare_regions, regions, regions[1:])]  # steps[t - 1] lead to frame t
    told = [
        write_frame(found, t, f"{t:05d}.jpg", write_change(steps[t - 1]) if t > 1 else None)
        for t, found in enumerate(regions, start=1)
    ]
    summary = [f"<{t}> {write_change(found)}" for t, found in enumerate(steps, start=1) if found]
    return ClipAnnotation(
        frames=told,
        video_level_caption=" ".join([f"<1> {told[0].image_level}", *(summary or [NO_CHANGE])]),
        question_answer_pairs=measured_questions(regions, steps, timestamps),
        annotator=MEASURED, model=MEASURED,
    )


def measure_image(
    frame: np.ndarray, detections: sv.Detections, frame_name: str = "00001.jpg"
) -> FrameAnnotation:
    """Annotate a still picture, uint8 [H, W, 3] without marks, from its masks."""
    return write_frame(measure_regions(detections, frame), 1, frame_name, None)


def write_frame(regions: Regions, timestamp: int, name: str, change: str | None) -> FrameAnnotation:
    captions = [InstanceCaption(id=i, caption=f"a {region.words}") for i, region in regions.items()]
    scene = " ".join(f"[{c.id}] is {c.caption}." for c in captions) or "There is no marked region."
    return FrameAnnotation(
        timestamp=timestamp, frame_name=name, instances=captions, image_level=scene, temporal_change=change
    )


def write_change(steps: list[Step]) -> str:
    return " ".join(f"[{mark_id}] {words}." for mark_id, words in steps) or NO_CHANGE


def measured_questions(
    regions: list[Regions], steps: list[list[Step]], timestamps: Sequence[float] | None
) -> list[QAPair]:
    """Ask about 10 things that masks settle, taking turns between instances; fewer where there are fewer."""
    moments = [f"<{t}>" for t in range(1, len(regions) + 1)]
    if timestamps is not None:
        moments = [f"{moment} ({seconds:.1f} s)" for moment, seconds in zip(moments, timestamps)]
    ids = sorted(set().union(*regions))
    turns = zip_longest(*(instance_questions(i, regions, steps, moments) for i in ids))
    about = [pair for pair in chain.from_iterable(turns) if pair]
    whole = frame_questions(regions, moments)
    return [QAPair(question=q, answer=a) for q, a in [*about[: MAX_PAIRS - len(whole)], *whole]]


def instance_questions(
    mark_id: int, regions: list[Regions], steps: list[list[Step]], moments: list[str]
) -> list[tuple[str, str]]:
    """Ask of one instance, as (question, answer): motion, coming, going, colour, place, size."""
    seen = {t: found[mark_id] for t, found in enumerate(regions, start=1) if mark_id in found}
    start, end, name = min(seen), max(seen), f"[{mark_id}]"
    first, last = seen[start], seen[end]
    pairs = []
    if end > start:
        way = direction(last.x - first.x, last.y - first.y)
        answer = f"{name} has moved {way}, from the {first.place} to the {last.place}."
        asked = f"Which way has the middle of {name} moved between <{start}> and <{end}>?"
        pairs.append((asked, answer if way else f"{name} is about where it was."))
    events = {"come into view": ("enters", "appears"), "go out of view": ("leaves", "disappears")}
    for event, verbs in events.items():
        when = [moment for moment, found in zip(moments, steps) for who, words in found
                if who == mark_id and words.startswith(verbs)]
        if when:
            pairs.append((f"When does {name} {event}?", f"{name} does so at {' '.join(when)}."))
    share = f"about {100 * last.area:.0f} %" if last.area >= 0.01 else "less than 1 %"
    return [
        *pairs,
        (f"What is the main colour of {name} at <{start}>?", f"{name} is {say_colours(first.colours)}."),
        (f"Where is {name} at <{end}>?", f"{name} is at the {last.place}."),
        (f"How much of the frame does {name} cover at <{end}>?", f"{name} covers {share}."),
    ]


def frame_questions(regions: list[Regions], moments: list[str]) -> list[tuple[str, str]]:
    """Ask of the frame with the most marks: which they are, which is largest, which is furthest left."""
    t = max(range(len(regions)), key=lambda t: len(regions[t]))
    found = regions[t]
    if not found:
        return []
    verb = "is" if len(found) == 1 else "are"
    names = " ".join(f"[{i}]" for i in found)
    pairs = [(f"Which marks are visible at <{t + 1}>?", f"{names} {verb} visible at {moments[t]}.")]
    if len(found) > 1:
        large, next_large = sorted(found, key=lambda i: -found[i].area)[:2]
        if found[large].area > 1.1 * found[next_large].area:
            pairs.append((f"Which marked region is the largest at <{t + 1}>?", f"[{large}] is the largest."))
        left, next_left = sorted(found, key=lambda i: found[i].x)[:2]
        if found[next_left].x - found[left].x > 0.05:
            pairs.append((f"Which mark is furthest left at <{t + 1}>?", f"[{left}] is furthest left."))
    return pairs
