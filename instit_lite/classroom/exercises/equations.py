"""Exercises of notebook 02: what the three equations see and say. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ...annotation.claims_in_text import ids_in
from .exercise import Exercise, Mistake

Captions = list[dict]  # {"id": int, "caption": str}


def frames_seen(t: int) -> list[int]:
    """Timestamps of the frames that equation (1) is shown for frame t, in order of time."""
    return [t - 1, t] if t > 1 else [t]


def instance_map(captions: Captions) -> dict[str, str]:
    """INST-IT's map from an id in quotes to its caption; raises `ValueError` for an id that comes twice."""
    if len({c["id"] for c in captions}) < len(captions):
        raise ValueError("an id comes twice")
    return {str(c["id"]): c["caption"] for c in captions}


def unknown_ids(text: str, drawn: list[int]) -> list[int]:
    """Ids that a text names and the frame does not show, each once, in order."""
    return [i for i in ids_in(text) if i not in drawn]


def unknown_by(pattern: str, text: str, drawn: list[int]) -> list[int]:
    found = dict.fromkeys(int(i) for i in re.findall(pattern, text))
    return [i for i in found if i not in drawn]


def moments(rng: np.random.Generator) -> Iterator[tuple]:
    yield from ((t,) for t in (1, 2, 3, int(rng.integers(4, 30))))


def captions(rng: np.random.Generator) -> Iterator[tuple]:
    yield ([],)
    for ids in ([1, 2, 12], [3], [2, 2], [int(i) for i in rng.permutation(20)[:4]]):
        yield ([{"id": i, "caption": f"thing {k} of {len(ids)}"} for k, i in enumerate(ids)],)


def sentences(rng: np.random.Generator) -> Iterator[tuple]:
    yield "[1] passes [12] while [3] waits; at <5> two others follow.", [1, 2, 3]
    yield "At <2>-<4> nothing happens.", [1]
    yield "[7] greets [7], and [07] is [7].", [1]
    for _ in range(6):
        said = " and ".join(f"[{i}]" for i in rng.integers(1, 25, 4))
        yield f"From <{rng.integers(1, 9)}> on {said} move.", [int(i) for i in rng.integers(1, 25, 3)]


EXERCISES = (
    Exercise(
        "02-seen", "frames_seen", "What equation (1) is shown", 4, 1, frames_seen, moments,
        {
            "one frame": Mistake(lambda t: [t], "with one frame nobody can tell what has changed: X_{t-1} goes along"),
            "next frame": Mistake(lambda t: [t, t + 1], "the equation looks back, to X_{t-1}, not ahead"),
            "frame 0": Mistake(lambda t: [t - 1, t], "timestamps begin at <1>: before it there is no frame to show"),
        },
        ("Read the indices of equation (1): two pictures go in.", "The first frame has none before it.",
         "[t - 1, t] if t > 1, else [t]."),
    ),
    Exercise(
        "02-map", "instance_map", "From the wire to the record", 6, 1, instance_map, captions,
        {
            "ids as numbers": Mistake(
                lambda c: {k: v["caption"] for k, v in zip(numbers(c), c)},
                "JSON has no numbers as keys: the record's ids stand in quotes, so make them str"),
            "padded ids": Mistake(
                lambda c: {f"{k:02d}": v["caption"] for k, v in zip(numbers(c), c)},
                "an id is written as it is drawn: \"1\", not \"01\". Released files have this slip"),
            "last one wins": Mistake(
                lambda c: {str(x["id"]): x["caption"] for x in c},
                "where an id comes twice a caption is lost without a word: raise a ValueError instead"),
        },
        ("On the wire a list of {id, caption}, in the record a dict.", "Keys are str(id). What if an id comes twice?",
         "Compare len of the set of ids with len of the list, raise ValueError, else a dict comprehension."),
        (([{"id": 10, "caption": "x"}, {"id": 10, "caption": "x"}],),),
    ),
    Exercise(
        "02-unknown", "unknown_ids", "An audit of your own", 8, 2, unknown_ids, sentences,
        {
            "one digit": Mistake(lambda t, d: unknown_by(r"\[(\d)\]", t, d), "ids may have more digits than one: [12]"),
            "moments as ids": Mistake(lambda t, d: unknown_by(r"(\d+)", t, d),
                                      "<5> is a moment, no mark: look for numbers in square brackets only"),
            "each mention": Mistake(lambda t, d: [int(i) for i in re.findall(r"\[(\d+)\]", t) if int(i) not in d],
                                    "an id that is named twice is one finding: give each once"),
        },
        ("A mark id stands in square brackets.", r"re.findall(r\"\[(\d+)\]\", text) finds them as texts.",
         "Make them int, drop what is in drawn, and keep each once in order with dict.fromkeys."),
        (("", [1]), ("[3]", [])),
    ),
)  # fmt: skip


def numbers(found: Captions) -> list[int]:
    """The ids of a list; raises `ValueError` for an id that comes twice."""
    return [int(i) for i in instance_map(found)]
