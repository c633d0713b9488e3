"""Original LLaVA checkpoints, tiny and random, become transformers ones that compute the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from original_llava import TOWER, image_features, logits, video_features
from original_source import KINDS, LLAMA, QUIET, QWEN, new_source, same, tower_weights, weights_of, without
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoTokenizer, LlavaOnevisionForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from instit_lite.model.convert import convert_checkpoint, fitted
from instit_lite.model.original import new_config, read_original
from instit_lite.model.shards import Piece
from instit_lite.model.visual import encode_frames

SAID = {"clip": ["▁w", "1", "▁", "ab", "▁", "c", "1"], "siglip": ["w", "1", "Ġ", "ab", "Ġ", "c", "1"]}


@pytest.fixture(scope="module", params=list(KINDS))
def done(request, tmp_path_factory):
    """An original checkpoint and its conversion: sizes, original weights, loaded model, target, printed lines."""
    c, root, lines = KINDS[request.param], tmp_path_factory.mktemp("convert"), []
    source = new_source(root, c)
    target = convert_checkpoint(source, root / "new", tower=root / "tower", shard_bytes=20_000, tell=lines.append)
    model, info = LlavaOnevisionForConditionalGeneration.from_pretrained(target, output_loading_info=True)
    assert not any(info.values()), info
    return c, weights_of(c), model.eval(), target, lines


def close(model, c: dict, ids: list[int], given: dict, reference: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = model(input_ids=torch.tensor([ids]), **given).logits[0]
    assert found.shape == (len(reference), c["rows"]) and reference.std() > 1
    assert (found[:, : c["vocab"]] - reference).abs().max() <= 1e-4
    return found


@pytest.mark.parametrize("size", [(50, 33), (33, 50), (41, 40), (120, 31)])
def test_one_image_gives_the_same_logits(done, size):
    """From the picture's pixels on: AnyRes tiles, tower, projector, unpadding, newlines, language model."""
    c, weights, model, target, _ = done
    pixels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    features = image_features(weights, c, picture)
    inputs = AutoImageProcessor.from_pretrained(target, backend="pil")(picture, return_tensors="pt")
    given = {key: inputs[key] for key in ("pixel_values", "image_sizes")}
    ids = [1, 5, *[model.config.image_token_id] * len(features), 9, 8, 7]
    close(model, c, ids, given, logits(weights, c, [1, 5], features, [9, 8, 7]))


def test_a_video_gives_the_same_logits_and_stock_adds_one_newline(done):
    c, weights, model, *_ = done
    pixels = torch.randn(3, 3, c["side"], c["side"], generator=torch.Generator().manual_seed(3))
    features = video_features(weights, c, pixels)
    assert len(features) == 3 * ((c["side"] // 7 + 1) // 2) ** 2
    video, before, after = model.config.video_token_id, [1, 5], [9, 8, 7]
    with torch.no_grad():
        ours = encode_frames(model, pixels, pooled=True)
    given = {"mm_encoder_outputs": {"video": BaseModelOutputWithPooling(pooler_output=ours)}}
    close(model, c, [*before, *[video] * len(features), *after], given, logits(weights, c, before, features, after))
    longer = torch.cat([features, weights["model.image_newline"][None]])
    given = {"pixel_values_videos": pixels[None]}
    close(model, c, [*before, *[video] * len(longer), *after], given, logits(weights, c, before, longer, after))


def test_old_words_keep_their_ids_and_new_ones_never_win(done):
    c, _, model, target, _ = done
    words, old = AutoTokenizer.from_pretrained(target), LLAMA if c["kind"] == "clip" else QWEN
    assert words("w1 ab c1", add_special_tokens=False)["input_ids"] == [old.index(w) for w in SAID[c["kind"]]]
    image, video = words("<image><video>", add_special_tokens=False)["input_ids"]
    assert (model.config.image_token_id, model.config.video_token_id) == (image, video)
    assert len(old) <= image < video < c["rows"] and len(LLAMA) == c["vocab"] == 64 or c["kind"] == "siglip"
    if c["kind"] == "clip":  # the table grew; Qwen2's free rows were there before
        with torch.no_grad():
            assert model(input_ids=torch.arange(64)[None]).logits.argmax(-1).max() < 64


def test_a_new_row_scores_the_mean_even_where_all_scores_are_negative():
    table = -torch.rand(60, 4, generator=torch.Generator().manual_seed(0)) - 0.1
    grown = fitted(Piece(Path("x"), "lm_head.weight", (64, 4), "float32", "lm_head.weight"), table)
    scores = grown @ torch.ones(4)
    assert torch.equal(grown[:60], table) and scores.argmax() < 60
    assert torch.allclose(scores[60:], scores[:60].mean())


def test_the_target_is_in_several_shards_and_says_what_it_is(done):
    c, weights, model, target, lines = done
    shards = sorted(target.glob("*.safetensors"))
    index = json.loads((target / "model.safetensors.index.json").read_text())
    assert len(shards) > 3 and len(lines) == len(shards) + 1 and "100%" in lines[-1]
    assert set(index["weight_map"].values()) == {shard.name for shard in shards}
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in model.state_dict().values())
    card = json.loads((target / "conversion.json").read_text())
    assert card["template"] == {"clip": "vicuna_v1", "siglip": "qwen_1_5"}[c["kind"]] and card["dropped"] == []
    assert model.generation_config.do_sample is False and model.generation_config.eos_token_id == 2
    assert len(model.state_dict()) == len(weights) and not list(target.parent.glob(".*"))
    layer, kept = (-2, "default") if c["kind"] == "clip" else (-1, "full")
    assert (model.config.vision_feature_layer, model.config.vision_feature_select_strategy) == (layer, kept)
    assert model.config.image_grid_pinpoints == [[h, w] for w, h in c["grids"]]


def test_a_tower_that_is_not_in_the_checkpoint_comes_from_its_folder(done, tmp_path):
    """LLaVA's delayed loading; the folder also has a text half and, with SigLIP, the layer and head that go."""
    c, weights, _, target, _ = done
    random = torch.Generator().manual_seed(1)
    folder = {k.removeprefix(TOWER): v for k, v in weights.items() if k.startswith(TOWER)}
    if c["kind"] == "siglip":
        more = tower_weights(c, lambda *shape: torch.randn(*shape, generator=random), 3)
        folder = more | folder | {"head.probe": torch.zeros(1, 1, 16)}
    folder = {f"vision_model.{k}": v for k, v in folder.items()} | {
        "vision_model.embeddings.position_ids": torch.arange(26)[None], "logit_scale": torch.zeros(1),
        "text_model.encoder.layers.0.mlp.fc1.bias": torch.zeros(3), "text_projection.weight": torch.zeros(2, 2),
    }  # fmt: skip
    source = new_source(tmp_path, c, without(weights, TOWER))
    save_file(folder, tmp_path / "tower" / "model.safetensors")
    found = convert_checkpoint(source, tmp_path / "new", tower=tmp_path / "tower", **QUIET)
    assert same(found, target)
    dropped = json.loads((found / "conversion.json").read_text())["dropped"]
    assert len(dropped) == (4 if c["kind"] == "clip" else 4 + 16 + 1)


def test_tied_tables(tmp_path):
    c = KINDS["siglip"]
    weights = weights_of(c)
    alone = without(weights, "lm_head")
    source = new_source(tmp_path, c, alone, tie_word_embeddings=True)
    one = convert_checkpoint(source, tmp_path / "one", tower=tmp_path / "tower", **QUIET)
    model, info = LlavaOnevisionForConditionalGeneration.from_pretrained(one, output_loading_info=True)
    assert not any(info.values())
    features = torch.zeros(0, 32)
    close(model.eval(), c, [1, 5, 6], {}, logits(alone, c, [1, 5, 6], features, []))
    copied = alone | {"lm_head.weight": alone["model.embed_tokens.weight"].clone()}
    source = new_source(tmp_path, c, copied, tie_word_embeddings=True)
    two = convert_checkpoint(source, tmp_path / "two", tower=tmp_path / "tower", **QUIET)
    assert same(one, two) and json.loads((two / "conversion.json").read_text())["dropped"] == ["lm_head.weight"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"architectures": ["LlavaLlamaForCausalLM"], "mm_vision_tower": "openai/clip-vit-large-patch14-336"},
            (24, -2, 24 * 24, "llama"),
        ),
        (
            {"architectures": ["LlavaQwenForCausalLM"], "mm_vision_tower": "google/siglip-so400m-patch14-384"},
            (26, -1, 27 * 27, "qwen2"),
        ),
    ],
)
def test_the_published_towers_are_known(tmp_path, changes, expected):
    folder = new_source(tmp_path, KINDS["clip"], {}, **changes)
    config = new_config(folder, read_original(folder), None, {"<image>": 1, "<video>": 2}, 64)
    vision = config.vision_config
    found = (vision.num_hidden_layers, config.vision_feature_layer, (vision.image_size // vision.patch_size) ** 2)
    assert (*found, config.text_config.model_type) == expected and not getattr(vision, "vision_use_head", False)
