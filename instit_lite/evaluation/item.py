"""What a bench question is. In: nothing. Out: `BenchItem`, the splits, their kinds of question and answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import perm
from pathlib import Path

import numpy as np

from ..scenes.questions import WAYS, ids
from ..scenes.seeds import BENCH_SPAN
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES
from .pictures import STILLS

KINDS = {
    "image": ("colour", "shape", "size", "place", "phrase", "which", "left_of"),
    "video": ("colour", "shape", "motion", "enters", "leaves", "turns", "present", "who"),
    "general": ("colour", "shape", "size", "place", "count", "exists", "at_place"),
    "description": ("describe",),
    "reading": ("number_at", "where_number"),
}
SPLITS = tuple(KINDS)
LOOKS, MOST = len(COLOURS) * len(SHAPES), STILLS.n_things[1]
PHRASES = LOOKS * len(SIZES)
DESCRIPTIONS = sum(perm(LOOKS, n) * len(SIZES) ** n for n in range(1, MOST + 1))  # no two things look alike
ANSWERS = {
    "colour": len(COLOURS), "turns": len(COLOURS), "shape": len(SHAPES), "size": len(SIZES),
    "place": len(PLACES), "where_number": len(PLACES), "phrase": PHRASES, "at_place": PHRASES,
    "which": len(ids()), "who": len(ids()), "motion": len(WAYS), "left_of": 2, "present": 2,
    "exists": 2, "count": MOST, "number_at": 9, "describe": DESCRIPTIONS,
}  # fmt: skip
SEED_STEP = BENCH_SPAN // 10  # seeds kept for each split


def first_seed(seed: int, place: int) -> int:
    """The first seed of the split at `place` in `SPLITS`; places beyond are for what is counted outside the bench."""
    return seed + place * SEED_STEP


def answers_of(kind: str, n_frames: int) -> int:
    """How many answers a kind of question has; a thing can enter or leave at every frame but the first."""
    return max(1, n_frames - 1) if kind in ("enters", "leaves") else ANSWERS[kind]


@dataclass(frozen=True, eq=False)
class BenchItem:
    """One question. Open-ended and multiple choice share the `question_id`, "<clip>-<k>", as upstream.

    `frames`: uint8 [F, 128, 128, 3] RGB, one for a picture; `timestamps`: 1-based, as `<t>` counts them; `answer`: a
    text, or the letter where `options` are given; `possible`: how many answers there are to choose from, 0 where they
    are without number; `prior`: see `chance.picture_prior`; `as_drawn`: in the permuted view, the answer that the drawn
    ids give (None where there is none), while `answer` stays; `source`: the picture or the folder of frames of a
    published item, whose `frames` are read late, by `released.with_frames`.
    """

    question_id: str
    kind: str
    format: str  # "open" or "choice"
    split: str  # one of `SPLITS`
    question: str
    answer: str
    options: dict[str, str] | None
    clip_id: str
    frames: np.ndarray = field(repr=False)
    timestamps: tuple[int, ...]
    possible: int
    prior: float | None = None
    as_drawn: str | None = None
    source: Path | None = None

    @property
    def prompt(self) -> str:
        """What is asked: the question, and the options as `scenes.questions.multiple_choice` writes them."""
        return " ".join([self.question, *(f"{k}: {v}" for k, v in (self.options or {}).items())])

    @property
    def key(self) -> str:
        """A name that no other item of the bench has; the same in every view."""
        own = self.question_id.startswith(self.split)  # published pictures and clips share their numbers
        return f"{self.format}/{self.question_id}" if own else f"{self.format}/{self.split}/{self.question_id}"

    @property
    def chance(self) -> float:
        """Probability that a blind guess among the possible answers is right."""
        return 1 / self.possible if self.possible else 0.0


def asked(item: BenchItem) -> str:
    """A hash of what an item asks and holds true, the same on every machine.

    Pixels are not in it: processors differ in the last digit of a sine, and a few pixels by one of 255.
    """
    text = f"{item.split}\n{item.prompt}\n{item.answer}\n{item.frames.shape}\n"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(item: BenchItem) -> str:
    """A hash of what an item asks, shows and holds true, on this kind of machine."""
    return hashlib.sha256(asked(item).encode() + item.frames.tobytes()).hexdigest()[:16]
