"""Exercises of notebook 07: verdicts of a ledger. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ...claims.verdict import (
    CONTRADICTED, NOT_HERE, NOT_MEASURED, SAME, SHOWN, VERDICTS, Estimate, ratio, verdict, weakest,
)  # fmt: skip
from .exercise import Exercise, Mistake


def word(mean: float, low: float, high: float, margin: float) -> str:
    """The verdict on "better than -margin": the claim's region is everything above -margin."""
    return verdict(Estimate(mean, low, high, 2, 2, 2), -margin, math.inf)


def holds(verdicts: list[str]) -> str:
    """The verdict on a claim of several parts."""
    return weakest(verdicts)


def cost_ratio(left: list[float], right: list[float]) -> float:
    """How many times `right` the repeats `left` cost: the geometric mean of the ratios, pair by pair."""
    return ratio(left, right).mean


def by_point(mean: float, low: float, high: float, margin: float) -> str:
    return SHOWN if mean > -margin else CONTRADICTED


def by_zero(mean: float, low: float, high: float, margin: float) -> str:
    return word(mean, low, high, 0.0)


def no_doubt(mean: float, low: float, high: float, margin: float) -> str:
    found = word(mean, low, high, margin)
    return CONTRADICTED if found == NOT_HERE else found


def measured(rng: np.random.Generator) -> Iterator[tuple]:
    yield from ((0.1, 0.05, 0.15, 0.0), (0.02, -0.03, 0.07, 0.0), (-0.02, -0.06, 0.02, 0.0), (-0.1, -0.2, -0.05, 0.0))
    yield -0.02, -0.04, 0.0, 0.05
    for _ in range(6):
        mean, reach = float(rng.normal(0, 0.1)), float(rng.random() / 10)
        yield mean, mean - reach, mean + reach, float(rng.choice([0.0, 0.05]))


def several(rng: np.random.Generator) -> Iterator[tuple]:
    yield ([SHOWN, SHOWN, SAME],)
    yield ([CONTRADICTED, SHOWN, SHOWN],)
    for _ in range(5):
        yield ([str(v) for v in rng.choice(list(VERDICTS), 4)],)


def costs(rng: np.random.Generator) -> Iterator[tuple]:
    yield [1.0, 4.0], [2.0, 2.0]
    for _ in range(3):
        yield list(map(float, rng.uniform(1, 9, 3))), list(map(float, rng.uniform(1, 9, 3)))


EXERCISES = (
    Exercise(
        "07-word", "word", "From an interval to a word", 8, 2, word, measured,
        {
            "the mean alone": Mistake(by_point, "a mean without its interval shows nothing: look where both ends lie"),
            "no margin": Mistake(by_zero, "a claim of \"loses nothing\" allows a margin: the region begins at -margin"),
            "no doubt": Mistake(no_doubt, "an interval that reaches into the claim's region contradicts nothing: it is "
                                          "not shown at this scale"),
        },
        ("Where does the interval lie: inside the region, outside, or across its edge?",
         "Inside: shown. Across: same direction or not at this scale, as the mean is inside or outside.",
         "Compare low, mean and high with -margin, in this order; what is left is contradicted."),
        ((0.0, 0.0, 0.0, 0.05),),
    ),
    Exercise(
        "07-holds", "holds", "A claim of several parts", 5, 1, holds, several,
        {
            "majority": Mistake(lambda v: Counter(v).most_common(1)[0][0], "one failed part is enough: no majority"),
            "best": Mistake(lambda v: min(v, key=VERDICTS.index), "that is the strongest part; a claim holds as far as "
                                                                  "its weakest"),
            "first": Mistake(lambda v: v[0], "look at all parts, not at the first"),
        },
        ("A chain holds as far as its weakest link.", "VERDICTS is in the order from strong to weak.",
         "max(verdicts, key=VERDICTS.index)."),
        (([NOT_MEASURED, SHOWN],),),
    ),
    Exercise(
        "07-cost", "cost_ratio", "Twice and half", 6, 2, cost_ratio, costs,
        {
            "mean of ratios": Mistake(lambda a, b: float(np.mean(np.array(a) / np.array(b))),
                                      "once half and once double is no change, but the mean of 0.5 and 2 is 1.25"),
            "ratio of means": Mistake(lambda a, b: sum(a) / sum(b), "pair the repeats first, or the slowest one decides"),
            "upside down": Mistake(lambda a, b: cost_ratio(b, a), "left over right, not right over left"),
        },
        ("Half and double should cancel.", "Take logarithms, then the mean.",
         "exp(mean(log(left / right))), with arrays."),
        (([3.0], [3.0]),),
    ),
)  # fmt: skip
