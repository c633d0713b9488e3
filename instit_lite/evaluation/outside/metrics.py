"""Official metrics. In: an answer, what is true, options. Out: figures from 0 to 1 by metric, None: unreadable."""

from __future__ import annotations

import re

from ..score import normalise

Scores = dict[str, float] | None
Box = tuple[float, float, float, float]  # x0, y0, x1, y1
BOX = re.compile(r"\[" + ",".join([r"\s*(-?\d+(?:\.\d+)?)\s*"] * 4) + r"\]")
LETTER = re.compile(r"(?:([a-z])(?:[.:)]|$)|\(([a-z])\)[.:]?)\s*(.*)", re.IGNORECASE | re.DOTALL)


def choice_scores(answer: str, truth: str, options: dict[str, str]) -> Scores:
    """AI2D, EgoSchema, NExT-QA: the share of right letters."""
    letter = read_letter(answer, options)
    return None if letter is None else {"accuracy": float(letter == truth)}


def read_letter(text: str, options: dict[str, str]) -> str | None:
    """The chosen letter, or None where the answer does not begin with exactly one of the options.

    Read are a letter alone, `B.`, `(B)` or `B:` and what follows, unless that is another option's text, and the text
    of exactly one option. lmms-eval searches further, and guesses where it finds nothing; here that is no answer.
    """
    texts = {letter: normalise(option) for letter, option in options.items()}
    if found := LETTER.fullmatch(text.strip()):
        letter, rest = (found[1] or found[2]).upper(), normalise(found[3])
        return letter if letter in texts and (rest not in texts.values() or rest == texts[letter]) else None
    same = [letter for letter, option in texts.items() if option == normalise(text)]
    return same[0] if len(same) == 1 else None


def chart_scores(answer: str, truth: str, options: dict[str, str]) -> Scores:
    """ChartQA (2203.10244, section 5.1): numbers may be off by 5 %, any other answer must be the same text.

    A percentage is read as its hundredth. A true value of 0 is compared as text, as in the published scorers.
    """
    said, true, same = as_number(answer), as_number(truth), answer.strip().lower() == truth.strip().lower()
    right = abs(said - true) <= 0.05 * abs(true) if said is not None and true else same
    return {"relaxed accuracy": float(right)} if answer.strip() else None


def as_number(text: str) -> float | None:
    """A number, with or without %; None for anything else."""
    try:
        return float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        return None


def box_scores(answer: str, truth: Box, options: dict[str, str]) -> Scores:
    """RefCOCOg as lmms-eval scores the first four numbers in brackets.

    IoU, whether it reaches each of five limits, and whether the box's middle lies in the true one.
    """
    found = BOX.search(answer)
    if found is None:
        return None
    box: Box = tuple(map(float, found.groups()))
    overlap, x, y = iou(box, truth), (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    limits = {f"ACC@{limit}": float(overlap >= limit) for limit in (0.1, 0.3, 0.5, 0.7, 0.9)}
    inside = truth[0] <= x <= truth[2] and truth[1] <= y <= truth[3]
    return {"IoU": overlap, **limits, "centre ACC": float(inside)}


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 for one without area, or turned inside out."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    both = max(0.0, width) * max(0.0, height)
    return both / (sum(areas) - both) if both else 0.0
