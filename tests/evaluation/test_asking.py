"""Asking, moving a mark and looking: what the notebooks show is what the model does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from instit_lite.errors import InstitError
from instit_lite.evaluation import asking, looking
from instit_lite.evaluation.answer import tokens_of, visual_outputs
from instit_lite.evaluation.asking import as_item, ask, ask_all, move_mark, name_of, outcome
from instit_lite.evaluation.pictures import draw, instances, show
from instit_lite.marks.draw import draw_marks
from instit_lite.model.load import load_base
from instit_lite.model.qlora import attach_qlora
from instit_lite.model.templates import TEMPLATES
from instit_lite.scenes.world import COLOURS, Knobs

THREE = Knobs(n_things=(3, 3), motion=False)


@pytest.fixture(scope="module")
def base():
    return load_base("micro")


@pytest.fixture(scope="module")
def pictures():
    return [draw("image", seed, 1, THREE) for seed in range(4)]


def test_one_by_one_and_together_give_the_same_answers(base, pictures):
    asked = [(show(p), f"what is [{p.ids[0]}]?") for p in pictures]
    asked.append((show(draw("video", 3, 2)), "which mark enters?"))
    assert ask_all(base, asked) == [ask(base, *pair) for pair in asked]


def test_moving_a_mark_exchanges_two_ids_and_nothing_else(pictures):
    for p in pictures:
        a, b, c = p.ids
        moved = move_mark(p, a, b)
        assert [name_of(moved, i) for i in (a, b, c)] == [name_of(p, i) for i in (b, a, c)]
        assert np.array_equal(show(moved, "bare"), show(p, "bare"))
        assert not np.array_equal(show(moved), show(p))
        told = {q.question: q.answer for q in moved.questions}
        assert told[f"what is [{a}]?"] == name_of(p, b)
        back = move_mark(moved, b, a)
        assert back.facts == p.facts and np.array_equal(show(back), show(p))


def test_only_marks_of_a_marked_picture_move(pictures):
    absent = next(i for i in range(1, 7) if i not in pictures[0].ids)
    with pytest.raises(InstitError, match=f"mark {absent} is not on this image"):
        move_mark(pictures[0], pictures[0].ids[0], absent)
    with pytest.raises(InstitError, match="video"):
        clip = draw("video", 0, 2)
        move_mark(clip, clip.ids[0], clip.ids[0])


def test_outcomes():
    assert outcome("Small red circle.", "large blue star", "small red circle") == asking.FOLLOWED
    assert outcome("large blue star", "large blue star", "small red circle") == asking.STAYED
    assert outcome("large blue circle", "large blue star", "small red circle") == asking.NEITHER


def test_outcomes_of_free_sentences():
    def of(answer):
        return outcome(answer, "large blue star", "small red circle", free=True)

    assert of("[1] is a red circle on a grey ground.") == asking.FOLLOWED
    assert of("It is a big Blue star") == asking.STAYED
    assert of("A red circle and a blue star.") == of("a blue circle") == of("") == asking.NEITHER


def test_words_are_the_micro_bases(base, capsys):
    assert looking.word_base(base) is base and capsys.readouterr().out == ""
    foreign = replace(base, template=TEMPLATES["vicuna_v1"], name="a real one")
    assert looking.word_base(foreign).name == "micro" and "a real one" in capsys.readouterr().out


def test_similarity_is_the_cosine_with_the_word(base, pictures):
    frame, words = show(pictures[0])[0], [*"12345", *COLOURS]
    with torch.no_grad():
        tokens = visual_outputs(base, [as_item(frame[None], "")])["image"].pooler_output[0]
        word = base.model.get_input_embeddings().weight[base.ids("red")[0]]
        expected = torch.cosine_similarity(tokens, word[None]).view(8, 8)
    near = looking.word_similarity(base, frame, words, pooled=False)
    assert near.shape == (len(words), 8, 8)
    assert torch.allclose(near[words.index("red")], expected, atol=1e-5)
    assert looking.word_similarity(base, frame, words, pooled=True).shape == (len(words), 4, 4)
    with pytest.raises(InstitError, match="not one token"):
        looking.word_similarity(base, frame, ["red circle"], pooled=False)


def test_the_patch_under_a_mark(base, pictures):
    frame = show(pictures[0], "bare")
    found = instances(pictures[0], frame)[0]
    marked, anchors = draw_marks(frame[0], found, "micro")
    assert np.array_equal(marked, show(pictures[0])[0])
    for mark_id, anchor in anchors.items():
        row, column = looking.patch_of(anchor, 128, 8)
        assert (row, column) == (anchor.centre[1] // 16, anchor.centre[0] // 16)
        near = looking.under_mark(base, marked, anchor, ["red", "blue"], pooled=False)
        whole = looking.word_similarity(base, marked, ["red", "blue"], pooled=False)
        assert list(near.values()) == pytest.approx(whole[:, row, column].tolist())


def test_attention_is_a_share_of_the_picture_and_leaves_no_trace(base, pictures):
    p = pictures[0]
    frame, question = show(p)[0], f"what is [{p.ids[0]}]?"
    usual = base.model.model.language_model.config._attn_implementation
    said = ask(base, frame[None], question)
    for word in (None, str(p.ids[0])):
        weights = looking.attention_on(base, frame, question, word)
        assert weights.shape == (base.model.config.text_config.num_hidden_layers, 8, 8)
        assert torch.allclose(weights.sum((1, 2)), torch.ones(len(weights))) and (weights >= 0).all()
    assert base.model.model.language_model.config._attn_implementation == usual
    assert ask(base, frame[None], question) == said
    with pytest.raises(InstitError, match="no word of the question"):
        looking.attention_on(base, frame, question, "purple")


def test_attention_reads_the_position_that_is_named(base, pictures):
    p = pictures[0]
    item = as_item(show(p), f"is [{p.ids[0]}] left of [{p.ids[1]}]?")
    prompt = tokens_of(base, item, blind=False)
    seen = torch.tensor(prompt) == base.model.config.image_token_id
    digit = len(prompt) - 1 - prompt[::-1].index(base.ids(str(p.ids[1]))[0])
    with torch.no_grad(), looking.attention_kept(base.model):
        outputs = visual_outputs(base, [item])
        out = base.model(torch.tensor([prompt]), mm_encoder_outputs=outputs, output_attentions=True)
    for place, word in ((len(prompt) - 1, None), (digit, str(p.ids[1]))):
        row = out.attentions[0][0, :, place, seen].mean(0)
        found = looking.attention_on(base, show(p)[0], item.question, word)[0].flatten()
        assert torch.allclose(found, row / row.sum(), atol=1e-6)


def test_attention_through_an_adapter():
    tuned, p = load_base("micro"), draw("image", 0, 1, THREE)
    tuned.model = attach_qlora(tuned.model).eval()
    assert looking.attention_on(tuned, show(p)[0], "what is [1]?").shape[1:] == (8, 8)


def test_a_region_is_an_instance_with_its_mark(pictures):
    p = pictures[0]
    bare, marked = show(p, "bare")[0], show(p)[0]
    regions = [looking.region_of(p, mark_id) for mark_id in p.ids]
    assert not (marked != bare)[~np.any(regions, axis=0)].any()
    masks = instances(p, bare[None])[0].mask
    assert all((region & mask).sum() == mask.sum() for region, mask in zip(regions, masks))


def test_the_share_on_an_instance():
    weights = torch.zeros(2, 4, 4)
    weights[0, 0, 0], weights[1] = 1, 1 / 16
    mask = np.zeros((8, 8), bool)
    mask[:2, :1] = True  # the left half of the first patch
    assert looking.share_on(weights, mask).tolist() == pytest.approx([0.5, 1 / 32])
