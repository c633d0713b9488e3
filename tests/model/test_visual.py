"""Visual tokens, pixels, templates, tokenizer and loading of the micro base."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.errors import ModelError, UnreadableInput
from instit_lite.model.load import load_base
from instit_lite.model.pixels import frames_to_pixels
from instit_lite.model.templates import TEMPLATES
from instit_lite.model.tokenizer import SPECIALS, micro_tokenizer, tidy
from instit_lite.model.visual import encode_frames, inner_model, mm_outputs, pool_grid, select_layer, tokens_per_frame
from instit_lite.scenes.facts import changes, scene_facts
from instit_lite.scenes.language import frame_caption, summary
from instit_lite.scenes.questions import clip_questions, image_questions
from instit_lite.scenes.sample import sample_scene


@pytest.fixture(scope="module")
def base():
    return load_base("micro")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.sampled_from([2, 4, 8, 24]), st.integers(1, 5), st.integers(0, 9))
def test_pooling_an_even_grid_is_the_mean_of_each_block(frames, side, width, seed):
    tokens = torch.from_numpy(np.random.default_rng(seed).normal(size=(frames, side * side, width))).float()
    blocks = tokens.view(frames, side // 2, 2, side // 2, 2, width).mean((2, 4)).flatten(1, 2)
    assert torch.allclose(pool_grid(tokens), blocks, atol=1e-5)


def test_pooling_an_odd_grid_rounds_up_and_keeps_reading_order():
    rows = torch.arange(27.0).repeat_interleave(27).view(1, 729, 1)
    columns = torch.arange(27.0).repeat(27).view(1, 729, 1)
    for values, axis in ((rows, 0), (columns, 1)):
        pooled = pool_grid(values)
        assert pooled.shape == (1, 14 * 14, 1)
        line = pooled.view(14, 14).movedim(axis, 0)
        assert (line.diff(dim=0) > 0).all() and torch.allclose(line, line[:, :1])


def test_tokens_that_form_no_square_are_refused():
    with pytest.raises(ValueError, match="6 tokens"):
        pool_grid(torch.zeros(1, 6, 2))


def test_encoding_projects_each_frame_and_pools_after(base):
    pixels = base.pixels(np.random.default_rng(0).integers(0, 256, (3, 90, 120, 3), dtype=np.uint8))
    with torch.no_grad():
        whole, pooled = (encode_frames(base.model, pixels, pooled=p) for p in (False, True))
        alone = encode_frames(base.model, pixels[1:2], pooled=False)
        projected = inner_model(base.model).multi_modal_projector(select_layer(base.model, pixels))
    assert whole.shape == (3, 64, base.model.config.text_config.hidden_size)
    assert pooled.shape[:2] == (3, 16)
    assert (whole.shape[1], pooled.shape[1]) == tuple(tokens_per_frame(base.model, p) for p in (False, True))
    assert torch.equal(whole, projected) and torch.equal(pooled, pool_grid(projected))
    assert torch.allclose(alone[0], whole[1], atol=1e-4)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_visual_tokens_stand_where_their_placeholders_stood(base, kind):
    """The model with handed-in features equals the language model on embeddings with the tokens put in by hand."""
    config = base.model.config
    width = config.text_config.hidden_size
    features = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(0))
    token = config.image_token_id if kind == "image" else config.video_token_id
    ids = torch.tensor([[1, 7, *[token] * 6, 9, 10]])
    given = mm_outputs(images=list(features)) if kind == "image" else mm_outputs(videos=[features])
    embedded = base.model.get_input_embeddings()(ids).detach().clone()
    embedded[0, 2:8] = features.flatten(0, 1)
    with torch.no_grad():
        handed = base.model(input_ids=ids, mm_encoder_outputs=given).logits
        by_hand = base.model(inputs_embeds=embedded).logits
    assert torch.allclose(handed, by_hand, atol=1e-5)


def test_a_wrong_number_of_visual_tokens_is_refused(base):
    ids = torch.tensor([[1, base.model.config.image_token_id, 9]])
    with pytest.raises(ValueError):
        base.model(input_ids=ids, mm_encoder_outputs=mm_outputs(images=[torch.zeros(2, 192)]))
    assert mm_outputs() == {}


def test_pixels_are_squashed_not_cropped_and_normalised():
    frames = np.zeros((2, 40, 80, 3), np.uint8)
    frames[:, :, :8] = 255  # a stripe at the edge, which a centre crop would lose
    pixels = frames_to_pixels(frames, 64)
    assert pixels.shape == (2, 3, 64, 64) and pixels.dtype == torch.float32
    assert pixels[..., :4].mean() > 0.9 and pixels[..., 20:].mean() == -1
    red = frames_to_pixels(np.full((1, 64, 64, 3), (255, 0, 0), np.uint8), 64)
    assert red[0, :, 0, 0].tolist() == [1, -1, -1]


@pytest.mark.parametrize("frames", [np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 4), np.uint8)])
def test_frames_of_another_form_are_refused(frames):
    with pytest.raises(UnreadableInput, match="frames are"):
        frames_to_pixels(frames, 64)


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_put_the_picture_first_and_end_what_is_learnt(name):
    template = TEMPLATES[name]
    text = template.prefix("<image>") + template.ask("what is [1]?") + template.answer("a cat")
    assert text.index("<image>\n") < text.index("what is [1]?") < text.index("a cat")
    assert text.endswith(template.end) and "<image>" not in template.prefix("")


def test_micro_texts_survive_the_tokenizer():
    tokenizer = micro_tokenizer()
    assert tokenizer.convert_tokens_to_ids(list(SPECIALS)) == list(range(len(SPECIALS)))
    for seed in range(12):
        frames = scene_facts(sample_scene(seed), (0.125, 0.375, 0.625, 0.875))
        steps = [changes(a, b) for a, b in zip(frames, frames[1:])]
        rng = np.random.default_rng(seed)
        asked = image_questions(frames[0], rng) + clip_questions(frames, steps, rng)
        texts = [frame_caption(frames[1]), summary(frames, steps)]
        for text in texts + [t for q in asked for t in (q.question, q.answer)]:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert tokenizer.unk_token_id not in ids, text
            assert tidy(tokenizer.decode(ids)) == text


def test_a_mark_shares_its_digit_with_other_digits(base):
    assert len(base.ids("[1]")) == 3 and base.ids("[1]")[1:2] == base.ids("1")
    assert base.ids("<s>") == [base.tokenizer.bos_token_id] and base.ids("</s>") == [base.tokenizer.eos_token_id]


def test_the_shipped_base_is_the_real_class_and_small(base):
    assert type(base.model).__name__ == "LlavaNextVideoForConditionalGeneration" and not base.model.training
    assert 1e6 < sum(p.numel() for p in base.model.parameters()) < 4e6
    assert len(base.tokenizer) == base.model.config.text_config.vocab_size


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint here") as problem:
        load_base(str(tmp_path))
    assert str(tmp_path) in str(problem.value)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_base(str(tmp_path))
