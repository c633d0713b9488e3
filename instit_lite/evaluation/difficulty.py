"""Benches for curves: harder pictures, fewer frames. In: a profile and a seed. Out: items per level or frame count.

Each curve turns one knob and leaves the rest as it is in the bench. Only questions that need their mark are asked.
Chance is another at some levels (the more things, the more answers), so draw it too: every item carries its `prior`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from ..profiles import Profile
from ..scenes.questions import Question
from ..scenes.seeds import BENCH_SEED
from ..scenes.world import Knobs
from .bench import build_items, plan_of
from .chance import needs_mark
from .item import BenchItem
from .pictures import Drawn, draw

# answers that no knob changes; at a smaller scale all things are small
CURVE_KINDS = ("colour", "shape", "place", "which", "left_of")
STEADY_KINDS = ("colour", "shape", "motion", "who")  # true of the clip, however many frames are shown


@dataclass(frozen=True)
class Level:
    """One point of a curve: its name, the scenes' knobs, and between which shares the asked instance is visible."""

    name: str
    knobs: Knobs
    visible: tuple[float, float] = (0.0, 1.0)

    def fits(self, question: Question, drawn: Drawn) -> bool:
        """Say whether a question belongs to this level."""
        return self.visible[0] <= visible_share(question, drawn) <= self.visible[1] and needs_mark(question, drawn)


PASSING = Knobs(occlusion=1.0)  # from the second on, every thing passes behind another
LEVELS = {
    # one kind of scene at every level: only which instances are asked about differs
    "occlusion": (
        Level("under 2 % hidden", PASSING, (0.98, 1.0)),
        Level("2 to 25 %", PASSING, (0.75, 0.98)),
        Level("25 to 50 %", PASSING, (0.5, 0.75)),
        Level("50 to 75 %", PASSING, (0.25, 0.5)),
    ),
    "blur": tuple(Level(f"{100 * blur:g} % of the side", Knobs(blur=blur)) for blur in (0.0, 0.01, 0.02, 0.04)),
    "size": tuple(Level(f"size x {size:g}", Knobs(size=size)) for size in (1.0, 0.8, 0.6, 0.45)),
    "crowding": tuple(Level(f"{n} things", Knobs(n_things=(n, n), motion=False)) for n in (2, 3, 4, 5)),
}


def level_items(profile: Profile, seed: int, level: Level, view: str = "marked") -> list[BenchItem]:
    """The items of one level: `profile.n_bench` open-ended questions, and their choices.

    All levels start from the image split's first seed. Blur asks the same questions of the same scenes at every
    level. Occlusion is measured: how much of the asked instance is hidden at that moment, by another thing or the
    frame's edge; with two instances, of the more hidden one. The knob alone does not set it for a still, whose moment
    may be before or after the thing passes.
    """
    plan = plan_of(profile, seed, "image", level.knobs)
    return build_items(replace(plan, kinds=CURVE_KINDS, fits=level.fits), view)


def visible_share(question: Question, drawn: Drawn) -> float:
    """Which share of the instance asked about can be seen; of two, the smaller."""
    asked = re.findall(r"\[(\d+)\]", f"{question.question} {question.answer}")
    return min(drawn.facts[0].get(int(i)).visible for i in asked)


def frame_benches(
    profile: Profile, seed: int = BENCH_SEED, counts: tuple[int, ...] = (2, 4, 8), view: str = "marked"
) -> dict[int, list[BenchItem]]:
    """Return the same video items, with the same keys, shown in each number of frames.

    What is true is taken from the most frames, and only what is true of the whole clip is asked. Few frames never give
    another answer, but they may miss the moment that gives it: that is what they cost, beside what they save in
    visual tokens. Frames are sampled anew for each count, evenly, as a clip is.
    """

    def fits(question: Question, drawn: Drawn) -> bool:
        told = (answers_at(drawn.scene.seed, count).get(question.question) for count in counts)
        return needs_mark(question, drawn) and all(answer in (None, question.answer) for answer in told)

    plan = plan_of(profile, seed, "video")
    plan = replace(plan, kinds=STEADY_KINDS, n_frames=max(counts), fits=fits)
    return {count: build_items(plan, view, shown=count) for count in counts}


@lru_cache(maxsize=16)
def answers_at(seed: int, n_frames: int) -> dict[str, str]:
    """What the clip of `seed` answers, by question, where it is seen in `n_frames` frames."""
    return {q.question: q.answer for q in draw("video", seed, n_frames).questions}
