"""Replies of all styles, labelled by hand with the option that they choose, or with none."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instit_lite.evaluation.choice import LONGEST, parse_choice
from instit_lite.evaluation.score import upstream_letter

LINES = [json.loads(line) for line in Path(__file__).with_name("replies.jsonl").read_text("utf-8").splitlines()]
OPTIONS = {line["set"]: line["options"] for line in LINES if "set" in line}
REPLIES = [line for line in LINES if "reply" in line]
SHAPES = {"A": "red circle", "B": "Blue star", "C": "a small cat", "D": "[1]"}
UPSTREAM_MISREADS = {
    "A man is walking, so the option is C": "C", "Because [1] moves": None, "(d)": "D", "Best answer: C": "C",
    "[264] - A black car driving on the road.": None, "Based on the image, the correct option is C.": "C",
    "Both [1] and [2] are visible, so the answer is D": "D", "Cannot determine": None, "c": "C",
    "During <3>-<4> [1] moves next to [3], so (B)": "B",
}  # fmt: skip


def test_replies_are_read_as_people_read_them():
    wrong = [r for r in REPLIES if parse_choice(r["reply"], OPTIONS.get(r["options"])) != r["letter"]]
    assert len(REPLIES) >= 500 and len(wrong) <= 0.01 * len(REPLIES), wrong


def test_the_labels_are_worth_something():
    by_upstream = sum(upstream_letter(r["reply"]) == (r["letter"] or "") for r in REPLIES)
    assert by_upstream < 0.8 * len(REPLIES)
    assert {r["letter"] for r in REPLIES} == {*"ABCD", None}


def test_what_upstream_misreads_is_labelled_and_read():
    labels = {r["reply"]: r["letter"] for r in REPLIES}
    for reply, letter in UPSTREAM_MISREADS.items():
        assert labels[reply] == letter == parse_choice(reply, OPTIONS["acts"])
        assert upstream_letter(reply) != (letter or "")


@pytest.mark.parametrize("text", ["B", "b", "(B)", "(b).", "B.", "B)", " B \n", "B: blue star", "(B) Blue  star.",
                                  "B. blue star", "blue star", "Blue Star.", "(B"])  # fmt: skip
def test_the_shortest_forms(text):
    assert parse_choice(text, SHAPES) == "B"


@pytest.mark.parametrize("text", ["", ".", "E", "AB", "A or B", "B: red circle", "B red circle", "star", "A B", "neither",
                                  "[2]", "Because [1] moves"])  # fmt: skip
def test_no_choice(text):
    assert parse_choice(text, SHAPES) is None


def test_option_text_must_be_of_one_option():
    assert parse_choice("red", {"A": "red", "B": "Red."}) is None
    assert parse_choice("a small cat", SHAPES) == "C" and parse_choice("a small cat") is None


@given(st.text(max_size=30))
def test_reading_never_fails(text):
    assert parse_choice(text, SHAPES) in (None, "A", "B", "C", "D")


@given(st.sampled_from([r for r in REPLIES if r["letter"]]), st.sampled_from(["BCDA", "DABC"]))
def test_letters_alone_do_not_know_their_options(reply, order):
    if parse_choice(reply["reply"]) is not None:  # read without options, so other texts under the letters change nothing
        other = dict(zip("ABCD", (f"thing number {letter}" for letter in order)))
        assert parse_choice(reply["reply"], other) == parse_choice(reply["reply"])


@pytest.mark.parametrize("piece", ["red ", "A ", "the answer of ", "not ", "(a", "answer is ", "A\n", "<think>", "\\boxed{"])
def test_a_reply_in_a_loop_takes_no_time(piece):
    began = time.process_time()
    parse_choice(piece * (2 * LONGEST // len(piece)), {"A": "red", "B": "dark red", "C": "red red", "D": "blue"})
    assert time.process_time() - began < 5
