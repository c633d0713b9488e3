"""Prompts of real tokenizers: exactly which tokens are supervised, and no token that LLaVA's own prompt lacks."""

import pytest

from instit_lite.training.collator import encode_branches, prefix_ids, prompt_ids
from instit_lite.training.packing import IGNORE, one_per_sample

TURNS = [("What does [1] do?", "It walks."), ("Is [2] red at <3>?", "no")]
SUPERVISED = {
    "next": [["▁It", "▁walks", ".", "</s>"], ["▁no", "</s>"]],
    "next-first": [["▁It", "▁walks", ".", "</s>"], ["▁no", "</s>"]],
    "ov": [["It", "Ġwalks", ".", "<|im_end|>"], ["no", "<|im_end|>"]],
}


@pytest.mark.parametrize("kind", SUPERVISED)
def test_the_answer_and_its_end_are_supervised_and_nothing_else(real, kind):
    base = real(kind)
    rows = one_per_sample(prefix_ids(base, "video", 1), encode_branches(base, TURNS))
    name = base.tokenizer.convert_ids_to_tokens
    for row, expected, (question, _) in zip(rows, SUPERVISED[kind], TURNS):
        kept = row.labels != IGNORE
        assert name(row.labels[kept].tolist()) == expected
        assert row.input_ids[kept].equal(row.labels[kept]) and kept[-len(expected) :].all()
        assert prompt_ids(base, "video", 1, question) == row.input_ids[: -len(expected)].tolist()


@pytest.mark.parametrize("kind", SUPERVISED)
@pytest.mark.parametrize("visual", [True, False])
def test_pieces_give_the_tokens_of_the_whole_text(real, kind, visual):
    """LLaVA tokenises the text before a picture, then all text after it; branches must not add a token to that."""
    base = real(kind)
    template, (question, answer) = base.template, TURNS[0]
    n_frames = int(visual)
    asked = template.ask(question) + template.answer(answer)
    whole = (template.start, template.gap + asked) if visual else (template.start + asked,)
    bos = [base.tokenizer.bos_token_id] if base.tokenizer.bos_token else []
    expected = bos + base.tokenizer(whole[0].removeprefix("<s>"), add_special_tokens=False)["input_ids"]
    if visual:
        tokens = prefix_ids(base, "video", 1).count(base.model.config.video_token_id)
        expected += [base.model.config.video_token_id] * tokens
        expected += base.tokenizer(whole[1], add_special_tokens=False)["input_ids"]
    row = prefix_ids(base, "video" if visual else "text", n_frames)
    row += encode_branches(base, TURNS, shared=visual)[0].ids
    assert row == expected


@pytest.mark.parametrize("kind", SUPERVISED)
def test_a_context_stands_between_picture_and_question(real, kind):
    base = real(kind)
    text = base.tokenizer.decode(prompt_ids(base, "text", 0, "What?", "[1] is red."))
    assert "[1] is red.\nWhat?" in text
    text = base.tokenizer.decode(prompt_ids(base, "video", 1, "What?", "[1] is red.")[-40:])
    assert "\n[1] is red.\nWhat?" in text


@pytest.mark.parametrize("kind", ["next", "ov"])
def test_turns_of_one_conversation_are_those_of_the_template(real, kind):
    base = real(kind)
    template, turns = base.template, [*TURNS, ("What is red?", "[1] is red.")]
    spoken = [template.ask(question) + template.answer(answer) for question, answer in turns]
    whole = base.tokenizer(template.gap + template.again.join(spoken), add_special_tokens=False)["input_ids"]
    branches = encode_branches(base, turns, packing="multi_turn")
    assert base.ids(template.gap) + [token for branch in branches for token in branch.ids] == whole
    answers = [base.tokenizer.decode(branch.ids[branch.answer_start :]) for branch in branches]
    assert [answer.strip() for answer in answers] == [f"{answer}{template.end}" for _, answer in turns]
