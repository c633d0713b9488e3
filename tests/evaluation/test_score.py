"""What counts as an answer, and where upstream's reading differs."""

import numpy as np
import pytest

from instit_lite.evaluation.item import BenchItem
from instit_lite.evaluation.score import (
    UNFINISHED,
    Verdict,
    is_correct,
    marks_of,
    normalise,
    upstream_choice_score,
    upstream_letter,
)

OPTIONS = {"A": "red circle", "B": "Blue star", "C": "a small cat", "D": "[1]"}


def item(answer, options=None):
    form = "choice" if options else "open"
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    return BenchItem("x-01", "colour", form, "image", "what?", answer, options, "x", frames, (1,), 4)


def test_normalise_does_no_more_than_it_says():
    assert normalise("  A  Red\n circle. ") == "a red circle"
    assert normalise("the red circle") != normalise("red circle")
    assert normalise("red, circle") != normalise("red circle")
    assert normalise("[1]") == "[1]" and normalise("wait..") == "wait."


def test_verdicts():
    assert is_correct(item("red"), " Red. ") is Verdict.CORRECT
    assert is_correct(item("red"), "blue") is Verdict.WRONG
    assert is_correct(item("red"), "") is Verdict.UNPARSED
    assert is_correct(item("red"), f"red {UNFINISHED}") is Verdict.UNPARSED
    assert is_correct(item("B", OPTIONS), "b") is Verdict.CORRECT
    assert is_correct(item("A", OPTIONS), "b") is Verdict.WRONG
    assert is_correct(item("A", OPTIONS), "A man") is Verdict.UNPARSED
    assert marks_of([item("red"), item("red")], ["red", ""]) == [1.0, 0.0]


def test_upstream_reads_the_first_capital():
    assert upstream_letter("A man is walking, so the option is C") == "A"
    assert upstream_letter("Because [1] moves") == "B"
    assert upstream_letter("Best answer: C") == "B"  # two lead-ins fused by a missing comma
    assert upstream_letter("The answer is C") == "C"
    assert upstream_letter("(d)") == ""
    assert upstream_letter("Answer: B") == "B" and upstream_letter("Option: C") == "C"  # further lead-ins
    assert upstream_letter("The correct option is C.") == "C"
    assert upstream_letter("Based on the image, the correct option is C.") == "B"
    assert upstream_letter("Cannot determine") == "C" and upstream_letter("During <3>-<4> it moves, so (B)") == "D"


def test_upstream_rewards_refusal():
    items = [item("A", OPTIONS), item("B", OPTIONS), item("C", OPTIONS), item("red")]
    said = ["A", "i cannot tell", "no idea", "red"]
    upstream = upstream_choice_score(items, said)
    assert (upstream.accuracy, upstream.correct, upstream.parsed, upstream.total) == (1.0, 1, 1, 3)
    assert sum(marks_of(items[:3], said[:3])) / 3 == pytest.approx(1 / 3)
    assert np.isnan(upstream_choice_score(items, ["no"] * 4).accuracy)
