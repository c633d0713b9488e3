"""Exercises of notebook 08: doubting, clicking, comparing many. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from ...evaluation.bias import holm
from ...scenes.world import COLOURS, SHAPES
from .exercise import Exercise, Mistake


def odd_frames(captions: list[str]) -> list[int]:
    """The timestamps, from 1, whose caption is not the usual one; of equally usual ones the first counts."""
    usual = Counter(captions).most_common(1)[0][0]
    return [t for t, caption in enumerate(captions, start=1) if caption != usual]


def clicked_mark(masks: np.ndarray, ids: list[int], x: int, y: int) -> int | None:
    """The mark id whose mask, one of bool [n, H, W], holds the pixel in column x and row y; None where none does."""
    hit = np.flatnonzero(masks[:, y, x])
    return ids[hit[0]] if len(hit) else None


def corrected_ps(ps: list[float]) -> list[float]:
    """Holm: the k-th smallest of n p-values times n - k + 1, never less than a smaller one's, at most 1.

    In the order given.
    """
    return holm(ps)


def against_first(captions: list[str]) -> list[int]:
    return [t for t, caption in enumerate(captions, start=1) if caption != captions[0]]


def against_before(captions: list[str]) -> list[int]:
    return [t for t in range(2, len(captions) + 1) if captions[t - 1] != captions[t - 2]]


def swapped(masks: np.ndarray, ids: list[int], x: int, y: int) -> int | None:
    return clicked_mark(masks.transpose(0, 2, 1), ids, x, y)


def by_index(masks: np.ndarray, ids: list[int], x: int, y: int) -> int | None:
    return clicked_mark(masks, list(range(len(ids))), x, y)


def always_one(masks: np.ndarray, ids: list[int], x: int, y: int) -> int:
    return ids[int(masks[:, y, x].argmax())]


def no_floor(ps: list[float]) -> list[float]:
    rank = {int(k): r for r, k in enumerate(np.argsort(ps))}
    return [min(1.0, (len(ps) - rank[k]) * p) for k, p in enumerate(ps)]


def told(rng: np.random.Generator) -> Iterator[tuple]:
    yield (["red star", "red star", "blue star", "red star"],)
    yield (["red square", "red star", "red star", "red star"],)
    yield (["red star", "blue star", "blue star"],)
    for _ in range(4):
        looks = [f"{c} {s}" for c, s in zip(rng.permutation(list(COLOURS))[:2], rng.permutation(SHAPES)[:2])]
        yield ([looks[k] for k in rng.integers(0, 2, 5)],)


def clicks(rng: np.random.Generator) -> Iterator[tuple]:
    for _ in range(6):
        masks = np.zeros((2, 6, 6), bool)
        (a, b), (c, d) = rng.integers(0, 3, 2), rng.integers(3, 6, 2)
        masks[0, a, c], masks[1, d, b] = True, True
        ids = [int(i) for i in rng.permutation([3, 5])]
        yield masks, ids, int(c), int(a)
        yield masks, ids, int(b), int(d)
        yield masks, ids, 5 - int(a), 5 - int(a)


def chances(rng: np.random.Generator) -> Iterator[tuple]:
    yield ([0.01, 0.04, 0.03, 0.005],)
    yield ([0.6, 0.01, 0.9],)
    for _ in range(4):
        yield (list(map(float, rng.uniform(0, 1, 6) ** 3)),)


EXERCISES = (
    Exercise(
        "08-odd", "odd_frames", "Who contradicts itself?", 6, 1, odd_frames, told,
        {
            "against the first": Mistake(against_first, "the first frame may be the one that errs: compare with the usual one"),
            "against the one before": Mistake(against_before, "after an error the next frame differs too, and is right: "
                                                              "compare with what the clip says most often"),
            "from zero": Mistake(lambda c: [t - 1 for t in odd_frames(c)], "timestamps count from 1, as `<1>` does"),
        },
        ("What is said most often is likelier right than what is said once.", "collections.Counter counts captions.",
         "usual = Counter(captions).most_common(1)[0][0], then enumerate(captions, start=1)."),
        ((["red star"],),),
    ),
    Exercise(
        "08-click", "clicked_mark", "What was clicked?", 6, 1, clicked_mark, clicks,
        {
            "x first": Mistake(swapped, "an array counts rows first: the pixel (x, y) is masks[:, y, x]"),
            "index": Mistake(by_index, "that is the place in the list; the mark id stands in `ids` at that place"),
            "always one": Mistake(always_one, "a click beside all instances points at none: return None"),
        },
        ("Which of the masks is True at that pixel?", "masks[:, y, x] has one bool for each instance.",
         "hit = np.flatnonzero(masks[:, y, x]); ids[hit[0]] if there is one, else None."),
    ),
    Exercise(
        "08-holm", "corrected_ps", "Many comparisons", 10, 3, corrected_ps, chances,
        {
            "none": Mistake(lambda ps: list(ps), "that is no correction: of twenty comparisons one is below 0.05 by luck"),
            "Bonferroni": Mistake(lambda ps: [min(1.0, len(ps) * p) for p in ps],
                                  "n times each is Bonferroni's, which is stricter than need be: Holm multiplies the k-th "
                                  "smallest by n - k + 1"),
            "not rising": Mistake(no_floor, "a larger p-value must not end below a smaller one: carry the largest product on"),
        },
        ("Sort, correct from the smallest up, put back in order.", "The k-th smallest of n is multiplied by n - k + 1.",
         "Go through np.argsort(ps) and keep worst = max(worst, min(1, (n - rank) * p)), rank from 0."),
        (([0.2],), ([0.5, 0.5, 0.5],)),
    ),
)  # fmt: skip
