from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from instit_lite.errors import PreflightError
from instit_lite.model.nf4 import nf4_linear
from instit_lite.model.qlora import inner_model
from instit_lite.training.collator import Sample, collate, encode
from instit_lite.training.encoded import EncodedSamples
from instit_lite.training.packing import IGNORE
from instit_lite.training.preflight import (
    check_batch, check_context, check_marks, check_model, check_sample, preflight,
)  # fmt: skip
from instit_lite.training.sft import run_sft


@contextmanager
def refused(match):
    with pytest.raises(PreflightError, match=match) as caught:
        yield
    assert caught.value.cure, "every refusal says what to do"


def test_a_sound_run_passes(adapted, mixed):
    base = adapted()
    for shown in mixed:
        check_sample(shown)
    check_batch(base.model, collate(base, mixed))
    preflight(base.model, [encode(base, shown) for shown in mixed])


@pytest.mark.parametrize("turns", [[], [("what?", " ")], [("", "red")]])
def test_a_sample_without_anything_to_learn(sample, turns):
    with refused("no question|empty"):
        check_sample(replace(sample(), turns=turns))


def test_a_picture_without_frames():
    with refused("no frames"):
        check_sample(Sample(None, "image", [("what?", "red")]))


def test_a_row_without_a_supervised_token(adapted, mixed):
    base = adapted()
    batch = collate(base, mixed)
    batch["labels"][2] = IGNORE
    with refused("no supervised token"):
        check_batch(base.model, batch)


def test_labels_on_placeholders(adapted, mixed):
    base = adapted()
    batch = collate(base, mixed)
    visual = batch["input_ids"] == base.model.config.image_token_id
    batch["labels"][visual] = batch["input_ids"][visual]
    with refused("placeholders carry labels"):
        check_batch(base.model, batch)


def test_a_label_across_branches(adapted, sample):
    base = adapted()
    batch = collate(base, [sample()])
    first = (batch["segments"][0] == 2).nonzero()[0, 0]
    batch["labels"][0, first] = batch["input_ids"][0, first]
    with refused("crosses branches"):
        check_batch(base.model, batch)


@pytest.mark.parametrize("key", ["image_pixels", "video_pixels"])
def test_a_frame_too_few_or_too_many(adapted, mixed, key):
    base = adapted()
    batch = collate(base, mixed)
    for wrong in (batch[key][1:], batch[key].repeat(2, 1, 1, 1)):
        with refused("placeholders for"):
            check_batch(base.model, batch | {key: wrong})


@pytest.mark.parametrize("packing, fits", [("shared_prefix", True), ("multi_turn", False)])
def test_the_context_counts_positions_not_packed_tokens(adapted, sample, packing, fits):
    base = adapted()
    shown = sample()
    many = encode(base, replace(shown, turns=list(shown.turns) * 10))
    assert sum(len(b.ids) for b in many.branches) > base.model.config.text_config.max_position_embeddings
    if fits:
        return check_context(base.model, many, packing)
    with refused("needs .* positions"):
        check_context(base.model, many, packing)


def test_too_many_frames_for_the_context(adapted, sample):
    base = adapted()
    with refused("needs .* positions"):
        check_context(base.model, encode(base, sample("image", 16)))


def test_a_bool_mask_under_eager_attention(adapted, mixed):
    for attention in ("sdpa", "eager"):
        base = adapted(attention=attention)
        batch = collate(base, mixed)
        batch["attention_mask"] = batch["attention_mask"] == 0
        if attention == "sdpa":
            check_batch(base.model, batch)
        else:
            with refused("bool mask"):
                check_batch(base.model, batch)


@pytest.mark.parametrize("place, name", [("vision_tower.encoder.layers.0.mlp", "fc1"),
                                         ("multi_modal_projector", "linear_2")])  # fmt: skip
def test_a_tower_or_projector_in_four_bits(adapted, place, name):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    base = adapted()
    module = inner_model(base.model).get_submodule(place)
    setattr(module, name, nf4_linear(bitsandbytes, getattr(module, name)))
    with refused("in 4 bits"):
        check_model(base.model)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["linear_1"]])
def test_lora_that_leaks_into_the_tower_or_the_projector(base, targets):
    model = get_peft_model(base.model, LoraConfig(target_modules=targets))
    del base.model.peft_config
    with refused("leaked"):
        check_model(model)


def test_frozen_layers_that_train(adapted):
    base = adapted()
    layers = inner_model(base.model).vision_tower.encoder.layers
    layers[1].mlp.fc2.bias.requires_grad_(True)
    with refused("should be frozen"):
        check_model(base.model, frozen=2)


def test_frozen_layers_in_the_backward_pass(adapted):
    base = adapted()
    check_model(base.model, frozen=2)
    inner_model(base.model).vision_tower.enable_input_require_grads()
    with refused("backward pass"):
        check_model(base.model, frozen=2)


def test_nothing_to_train(adapted):
    base = adapted()
    base.model.requires_grad_(False)
    with refused("nothing trains"):
        check_model(base.model)


def test_a_refusal_names_the_sample(adapted, sample):
    base = adapted()
    with pytest.raises(PreflightError) as caught:
        check_context(base.model, encode(base, sample("image", 16)), name="sample 7")
    assert "sample 7" in str(caught.value) and "fewer frames" in caught.value.cure
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("turns, context", [
    ([("what colour is [12]?", "red")], ""),
    ([("what is there?", "a circle"), ("and where?", "left of [3]")], ""),
    ([("what is there?", "a circle")], "[1] is a small red circle."),
])  # fmt: skip
def test_talk_of_marks_that_no_frame_carries(sample, turns, context):
    shown = replace(sample(), turns=turns, context=context)
    with refused(r"sample 4 speaks of \[\d+\]"):
        check_marks(replace(shown, marked=False), "sample 4")
    text = replace(shown, frames=None, kind="text", marked=False)
    for fine in (shown, replace(shown, marked=True), text):
        check_marks(fine)
    check_marks(replace(sample(), turns=[("read the box [0.1, 0.25].", "a sign with 3 and (4)")], marked=False))


def test_a_run_refuses_samples_without_their_marks_unless_they_are_a_control(base, sample, tmp_path):
    bare, said = [replace(sample(), marked=False), sample("text")], []
    run = {"say": said.append, "steps": 1, "batch": 2, "rank": 4, "nf4": False}
    with refused("sample 0 speaks of"):
        run_sft(base, bare, None, tmp_path, **run)
    assert not any(tmp_path.iterdir())
    run_sft(base, bare, None, tmp_path, unmarked=True, **run)
    assert "a control: 1 of the samples" in said[-1]
    data = EncodedSamples(base, bare, "shared_prefix", unmarked=True)
    assert [data[i].kind for i in (1, 0)] == ["text", "image"] and data.markless == {0}
