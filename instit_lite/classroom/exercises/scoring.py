"""Exercises of notebook 06: reading an answer, counting it, its interval. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ...evaluation.score import parse_choice
from .exercise import Exercise, Mistake


def letter(text: str) -> str | None:
    """The letter A to D that an answer consists of, None where it does not name exactly one."""
    return parse_choice(text)


def first_capital(text: str) -> str | None:
    found = re.search("[A-D]", text)
    return found[0] if found else None


def accuracy(verdicts: list[str]) -> float:
    """Share of "correct" among all verdicts: "correct", "wrong" and "unparsed"."""
    return verdicts.count("correct") / len(verdicts)


def standard_error(scores: np.ndarray, clips: np.ndarray) -> float:
    """Of the mean of `scores` [n], clustered by clip: sqrt(G / (G - 1) * sum over clips of (sum of residuals)²) / n."""
    _, clip = np.unique(clips, return_inverse=True)
    sums = np.bincount(clip, scores - scores.mean())
    groups = len(sums)
    return float(np.sqrt(groups / (groups - 1) * (sums**2).sum()) / len(scores))


def of_clip_means(scores: np.ndarray, clips: np.ndarray) -> float:
    means = np.array([scores[clips == c].mean() for c in np.unique(clips)])
    return float(means.std(ddof=1) / np.sqrt(len(means)))


def unfinished(scores: np.ndarray, clips: np.ndarray) -> float:
    groups = len(np.unique(clips))
    return standard_error(scores, clips) * float(np.sqrt((groups - 1) / groups))


def replies(rng: np.random.Generator) -> Iterator[tuple]:
    for text in ("B", "b", "(C)", "D.", " a) ", "", "E", "BC", "Cannot say", "A and B look alike"):
        yield (text,)
    yield (f"({'abcd'[rng.integers(4)]})",)


def outcomes(rng: np.random.Generator) -> Iterator[tuple]:
    yield (["correct"] + ["unparsed"] * 9,)
    for _ in range(4):
        yield ([str(v) for v in rng.choice(["correct", "wrong", "unparsed"], 20)] + ["correct"],)


def scored(rng: np.random.Generator) -> Iterator[tuple]:
    for groups in (5, 12, 30):
        clips = np.sort(rng.integers(0, groups, 80))
        easy = rng.random(groups)
        yield (rng.random(80) < easy[clips]).astype(float), clips


EXERCISES = (
    Exercise(
        "06-letter", "letter", "Read an answer strictly", 10, 2, letter, replies,
        {
            "first capital": Mistake(first_capital, "the first capital is no answer: \"Cannot say\" would choose C"),
            "last capital": Mistake(lambda t: (re.findall("[A-D]", t) or [None])[-1],
                                    "a letter inside a sentence is no answer: \"A and B look alike\" names none"),
            "capitals only": Mistake(lambda t: t if t in set("ABCD") else None,
                                     "b, (C) and D. name a letter as well: allow case, brackets, a stop"),
        },
        ("Take the whole text, not a part of it.", "re.fullmatch on text.strip(), ignoring case.",
         r"A letter a to d, or one in round brackets, then perhaps . or ) or :, else None; upper() at the end."),
        (("\n(d).\n",),),
    ),
    Exercise(
        "06-accuracy", "accuracy", "The denominator", 4, 1, accuracy, outcomes,
        {
            "valid only": Mistake(lambda v: v.count("correct") / max(1, len(v) - v.count("unparsed")),
                                  "one right and nine unreadable is 10 %, not 100 %: every item counts"),
            "percent": Mistake(lambda v: 100 * accuracy(v), "a share lies between 0 and 1"),
            "not wrong": Mistake(lambda v: 1 - v.count("wrong") / len(v), "unparsed is not correct"),
        },
        ("How many were asked?", "Unparsed is wrong, and asked.", 'verdicts.count("correct") / len(verdicts).'),
        ((["unparsed"],),),
    ),
    Exercise(
        "06-error", "standard_error", "An error that knows clips", 12, 3, standard_error, scored,
        {
            "as if alone": Mistake(lambda s, c: float(s.std(ddof=1) / np.sqrt(len(s))),
                                   "that takes questions about one clip for independent: sum residuals by clip first"),
            "clip means": Mistake(of_clip_means, "clips with few questions would weigh as much as those with many"),
            "no G / (G - 1)": Mistake(unfinished, "the factor G / (G - 1) for the number of clips is missing"),
        },
        ("Residuals of one clip go up and down together.",
         "np.bincount(clip, scores - scores.mean()) sums them by clip, with clip from np.unique(…, return_inverse=True).",
         "sqrt(G / (G - 1) * (sums ** 2).sum()) / len(scores)."),
    ),
)  # fmt: skip
