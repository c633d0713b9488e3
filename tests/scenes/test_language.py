"""The micro-language: what is written is read back, and every word is in the closed vocabulary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instit_lite.errors import ReplyError
from instit_lite.model.tokenizer import micro_tokenizer
from instit_lite.scenes.facts import FrameFacts, changes, scene_facts
from instit_lite.scenes.general import general_questions, number_questions, print_numbers
from instit_lite.scenes.language import (
    change_caption, frame_caption, parse_change_caption, parse_frame_caption, summary, vocabulary,
)  # fmt: skip
from instit_lite.scenes.questions import clip_questions, image_questions, multiple_choice
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.world import Knobs

TIMES = (0.125, 0.375, 0.625, 0.875)
KNOBS = st.sampled_from([Knobs(), Knobs(n_things=(3, 5), occlusion=0.7)])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), KNOBS)
def test_captions_are_read_back(seed, knobs):
    frames = scene_facts(sample_scene(seed, knobs), TIMES)
    for frame in frames:
        read = parse_frame_caption(frame_caption(frame))
        assert [(f.mark_id, f.size, f.colour, f.shape, f.place) for f in read] == [
            (f.mark_id, f.size, f.colour, f.shape, f.place) for f in frame.instances
        ]
    found = [changes(a, b) for a, b in zip(frames, frames[1:])]
    for step in found:
        assert parse_change_caption(change_caption(step)) == step
    told = summary(frames, found)
    parts = [f"<1> {frame_caption(frames[0])}"]
    parts += [f"<{t}> {change_caption(step)}" for t, step in enumerate(found, start=2)]
    assert told == " ".join(parts)


def test_nothing_is_said_of_nothing():
    empty = FrameFacts(1, ())
    assert parse_frame_caption(frame_caption(empty)) == () and parse_change_caption(change_caption([])) == []


@pytest.mark.parametrize("text", ["[1] is a small red dog house.", "a circle.", "[1] is red."])
def test_other_texts_are_refused(text):
    with pytest.raises(ReplyError, match="micro-language"):
        parse_frame_caption(text)
    with pytest.raises(ReplyError, match="micro-language"):
        parse_change_caption(text)


def test_every_text_is_made_of_the_closed_vocabulary():
    tokenizer, rng = micro_tokenizer(), np.random.default_rng(0)
    assert len(set(vocabulary())) == len(vocabulary())
    texts = []
    for seed in range(25):
        frames = scene_facts(sample_scene(seed, Knobs(n_things=(2, 5), occlusion=0.5)), TIMES)
        found = [changes(a, b) for a, b in zip(frames, frames[1:])]
        printed = print_numbers(np.zeros((64, 64, 3), np.uint8), frames[0], rng)[1]
        asked = [*image_questions(frames[1], rng), *clip_questions(frames, found, rng),
                 *general_questions(frames[2], rng), *number_questions(printed, frames[2], rng)]  # fmt: skip
        texts += [summary(frames, found), *(text for q in asked for text in (q.question, q.answer))]
        texts += [choice[0] for q in asked if (choice := multiple_choice(q, rng))]
    for text, ids in zip(texts, tokenizer(texts, add_special_tokens=False)["input_ids"]):
        assert tokenizer.unk_token_id not in ids, text
