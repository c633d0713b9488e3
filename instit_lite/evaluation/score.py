"""Right, wrong or unreadable. In: an item and the text a model gave. Out: a verdict, by rules on this page.

Upstream's scorer takes the first capital A to D of an answer for the choice and leaves unreadable answers out of the
denominator, which rewards a model for refusing. Here an answer is read strictly, and what cannot be read is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from .item import BenchItem

UNFINISHED = "…"  # ends an answer that the model did not end itself
LETTER = re.compile(r"(?:([a-d])(?:[.:)]|$)|\(([a-d])\)[.:]?)\s*(.*)", re.IGNORECASE | re.DOTALL)


class Verdict(str, Enum):
    """What became of one answer; only `CORRECT` counts, all three are in the denominator."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"


def normalise(text: str) -> str:
    """Fold case, make runs of white space one space, drop one final full stop; nothing more."""
    return re.sub(r"\s+", " ", text.strip()).removesuffix(".").rstrip().casefold()


def parse_choice(text: str, options: dict[str, str] | None = None) -> str | None:
    """Read the chosen letter, "A" to "D", or None where the answer does not name exactly one.

    Accepted: `B`, `b`, `(B)`, `B.`, `B)`; a letter with the text of its own option, `B: red circle`; the text
    of exactly one option. A letter inside a sentence is no choice.
    """
    options = options or {}
    found = LETTER.fullmatch(text.strip())
    if found:
        letter, rest = (found[1] or found[2]).upper(), normalise(found[3])
        return letter if not rest or rest == normalise(options.get(letter, "")) else None
    named = [letter for letter, option in options.items() if normalise(option) == normalise(text)]
    return named[0] if len(named) == 1 and normalise(text) else None


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


# Two commas are missing in upstream's list, so that neighbouring lead-ins are one string and never match.
UPSTREAM_LEAD_INS = (
    "The best answer is", "The correct answer is", "The answer is", "The answer",
    "The best option is" "The correct option is", "Best answer:" "Best option:",
)  # fmt: skip


def upstream_letter(text: str) -> str:
    """The letter as upstream's `evaluate.py` reads it: the first capital A to D, "" where it finds none."""
    for lead_in in UPSTREAM_LEAD_INS:
        text = text.replace(lead_in, "")
    found = re.search(r"[ABCD]", text)
    return found[0] if found else ""


class UpstreamScore(NamedTuple):
    """Multiple choice the upstream way: `accuracy` = correct / parsed, NaN where nothing parsed."""

    accuracy: float
    correct: int
    parsed: int
    total: int


def upstream_choice_score(items: Sequence[BenchItem], predictions: Sequence[str]) -> UpstreamScore:
    """Score the multiple-choice items as upstream does; for comparison only."""
    pairs = [(i, text) for i, text in zip(items, predictions, strict=True) if i.format == "choice"]
    chosen = [(item, upstream_letter(text)) for item, text in pairs]
    parsed = [(item, letter) for item, letter in chosen if letter]
    correct = sum(item.answer == letter for item, letter in parsed)
    return UpstreamScore(correct / len(parsed) if parsed else float("nan"), correct, len(parsed), len(chosen))
