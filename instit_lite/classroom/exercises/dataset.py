"""Exercises of notebook 03: records, mixes and splits. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from .exercise import Exercise, Mistake


def mended(text: str) -> str:
    """Write ids as they are drawn: [03] becomes [3]; all else stays."""
    return re.sub(r"\[0+(\d+)\]", r"[\1]", text)


def general_needed(n_own: int, share: float) -> int:
    """Dialogues of general data beside `n_own` others, so that they are the share `share` of all; halves up."""
    return math.floor(n_own * share / (1 - share) + 0.5)


def leaking(train: list[str], test: list[str]) -> list[str]:
    """Clips, each once and sorted, of which frames lie on both sides; a path is "clip/frame.jpg"."""
    return sorted({path.split("/")[0] for path in train} & {path.split("/")[0] for path in test})


def texts(rng: np.random.Generator) -> Iterator[tuple]:
    yield ("[03] meets [10] at <05>, room 07.",)
    yield ("[0012] and [100] and [20].",)
    yield (f"[0{rng.integers(1, 99)}] waits.",)


def shares(rng: np.random.Generator) -> Iterator[tuple]:
    yield 243, 0.5
    for _ in range(8):
        yield int(rng.integers(10, 2000)), float(rng.choice([0.2, 0.3, 0.6, 0.75]))


def sides(rng: np.random.Generator) -> Iterator[tuple]:
    yield ["000001/1.jpg", "000001/2.jpg"], ["000001/3.jpg", "000002/1.jpg"]
    for _ in range(6):
        paths = [f"{clip:06d}/{frame}.jpg" for clip, frame in rng.integers(1, 9, (12, 2))]
        yield paths[:7], paths[7:]


EXERCISES = (
    Exercise(
        "03-mended", "mended", "Repair a slip", 6, 1, mended, texts,
        {
            "every zero": Mistake(lambda t: re.sub(r"\[(\d+)\]", lambda m: f"[{m[1].replace('0', '')}]", t),
                                  "[10] lost its zero and became another instance: only leading zeros go"),
            "outside too": Mistake(lambda t: re.sub(r"\b0+(\d+)", r"\1", t),
                                   "a moment or a room number is not an id: change what stands in square brackets"),
            "one zero": Mistake(lambda t: re.sub(r"\[0(\d+)\]", r"[\1]", t), "[0012] has two zeros to lose"),
        },
        ("Which zeros can be dropped without making it another id?", "re.sub with a group for the digits that stay.",
         r"The pattern is \[0+(\d+)\], the replacement [\1]."),
        (("[0]",), ("[00]",)),
    ),
    Exercise(
        "03-general", "general_needed", "How much general data", 6, 2, general_needed, shares,
        {
            "share of own": Mistake(lambda n, s: math.floor(n * s + 0.5),
                                    "that is the share of your own dialogues. The share is one of all: solve "
                                    "g / (n_own + g) = share for g"),
            "the total": Mistake(lambda n, s: math.floor(n / (1 - s) + 0.5), "that is the whole mix: take n_own off"),
            "rounded down": Mistake(lambda n, s: int(n * s / (1 - s)), "round to the nearest, halves up"),
        },
        ("Write down what the share is a share of.", "share = g / (n_own + g).",
         "g = n_own * share / (1 - share); floor of that plus one half."),
        ((1, 0.0),),
    ),
    Exercise(
        "03-leaking", "leaking", "Find a leak", 6, 1, leaking, sides,
        {
            "whole paths": Mistake(lambda a, b: sorted(set(a) & set(b)),
                                   "two frames of one clip look alike, though their paths differ: compare clips"),
            "all clips": Mistake(lambda a, b: sorted({p.split("/")[0] for p in a + b}),
                                 "those are all clips; a leak is one that lies on both sides"),
            "each frame": Mistake(lambda a, b: sorted(p.split("/")[0] for p in a if p.split("/")[0] in
                                                      {q.split("/")[0] for q in b}), "give each clip once"),
        },
        ("Two frames of one clip are nearly the same picture.", "The clip is what stands before the slash.",
         "Make a set of clips of each side and sort what both have."),
        (([], ["000001/1.jpg"]),),
    ),
)  # fmt: skip
