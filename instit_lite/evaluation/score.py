"""Right, wrong or unreadable. In: an item and the text a model gave. Out: a verdict, by rules on this page.

Upstream's scorer takes the first capital A to D of an answer for the choice and leaves unreadable answers out of the
denominator, which rewards a model for refusing. Here a choice is read by `choice`, and what cannot be read is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from .choice import normalise as normalise
from .choice import parse_choice as parse_choice
from .item import BenchItem

UNFINISHED = "…"  # ends an answer that the model did not end itself


class Verdict(str, Enum):
    """What became of one answer; only `CORRECT` counts, all three are in the denominator."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"


def is_correct(item: BenchItem, prediction: str) -> Verdict:
    """Judge one answer: exact match of normalised texts, or of the parsed letter."""
    if prediction.endswith(UNFINISHED) or not normalise(prediction):
        return Verdict.UNPARSED
    if item.format == "choice":
        letter = parse_choice(prediction, item.options)
        if letter is None:
            return Verdict.UNPARSED
        right = letter == item.answer
    else:
        right = normalise(prediction) == normalise(item.answer)
    return Verdict.CORRECT if right else Verdict.WRONG


def marks_of(items: Sequence[BenchItem], predictions: Sequence[str]) -> list[float]:
    """1.0 for each correct answer, 0.0 for every other one."""
    return [float(is_correct(i, p) is Verdict.CORRECT) for i, p in zip(items, predictions, strict=True)]


# Upstream's list, in its order. Two commas are missing there, so that neighbours are one string and never match.
UPSTREAM_LEAD_INS = (
    "The best answer is", "The correct answer is", "The answer is", "The answer",
    "The best option is" "The correct option is", "Best answer:" "Best option:",
    "Answer", "Answer:", "answer:", "answer", "Option:", "The correct answer", "The correct option",
)  # fmt: skip


def upstream_letter(text: str) -> str:
    """The letter as upstream's `evaluate.py` reads it: the first capital A to D, "" where it finds none."""
    for lead_in in UPSTREAM_LEAD_INS:
        text = text.replace(lead_in, "")
    found = re.search(r"[ABCD]", text)
    return found[0] if found else ""


class UpstreamScore(NamedTuple):
    """The upstream way: `accuracy` = correct / parsed, NaN where nothing parsed; open-ended, `correct` sums scores."""

    accuracy: float
    correct: float
    parsed: int
    total: int


def upstream_choice_score(items: Sequence[BenchItem], predictions: Sequence[str]) -> UpstreamScore:
    """Score the multiple-choice items as upstream does; for comparison only."""
    pairs = zip(items, predictions, strict=True)
    return upstream_choice([(item.answer, text) for item, text in pairs if item.format == "choice"])


def upstream_choice(pairs: Sequence[tuple[str, str]]) -> UpstreamScore:
    """Score pairs of truth and prediction as upstream does."""
    chosen = [(truth, upstream_letter(text)) for truth, text in pairs]
    return upstream_score([truth == letter for truth, letter in chosen if letter], len(chosen))


def upstream_score(valid: Sequence[float], total: int) -> UpstreamScore:
    """Upstream's arithmetic of either format: the sum over what it could score, divided by the number of these."""
    return UpstreamScore(sum(valid) / len(valid) if valid else float("nan"), sum(valid), len(valid), total)
