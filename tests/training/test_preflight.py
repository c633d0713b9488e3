from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from instit_lite.errors import PreflightError
from instit_lite.model.nf4 import nf4_linear
from instit_lite.model.qlora import inner_model
from instit_lite.training.collator import Sample, collate, encode
from instit_lite.training.packing import IGNORE
from instit_lite.training.preflight import check_batch, check_context, check_model, check_sample, preflight


def refused(match):
    return pytest.raises(PreflightError, match=match)


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


def test_a_vision_tower_in_four_bits(adapted):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    base = adapted()
    layer = inner_model(base.model).vision_tower.encoder.layers[0].mlp
    layer.fc1 = nf4_linear(bitsandbytes, layer.fc1)
    with refused("in 4 bits"):
        check_model(base.model)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_lora_that_leaks_into_the_tower(base):
    model = get_peft_model(base.model, LoraConfig(target_modules=["q_proj", "v_proj"]))
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


def test_every_refusal_says_what_to_do(adapted, sample):
    base = adapted()
    with pytest.raises(PreflightError) as caught:
        check_context(base.model, encode(base, sample("image", 16)), name="sample 7")
    assert "sample 7" in str(caught.value) and "fewer frames" in caught.value.cure
    assert torch.is_grad_enabled()
