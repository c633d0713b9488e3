"""Original LLaVA checkpoints, tiny and random, become transformers ones that compute the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from original_llava import TOWER, image_features, logits, video_features
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    LlamaTokenizer,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Tokenizer,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling

from instit_lite import cli
from instit_lite.errors import ModelError
from instit_lite.model import convert as room
from instit_lite.model.convert import Piece, convert_checkpoint, fitted
from instit_lite.model.original import new_config, read_original
from instit_lite.model.visual import encode_frames

SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST0123456789[]"
LLAMA = ["<unk>", "<s>", "</s>", "▁", "▁w", "ab", *SIGNS[:58]]  # 64 words fill Vicuna's table
QWEN = ["Ġ", "Ġw", "ab", *SIGNS]  # leaves rows free, as Qwen2's does
SAID = {"clip": ["▁w", "1", "▁", "ab", "▁", "c", "1"], "siglip": ["w", "1", "Ġ", "ab", "Ġ", "c", "1"]}
SIZES = dict(tower_layers=3, tower_heads=2, patch=7, d=32, layers=2, heads=4)
KINDS = {
    "clip": SIZES | dict(
        kind="clip", side=28, kv_heads=4, theta=1e4, eps=1e-5, vocab=64, rows=128, arch="LlavaLlamaForCausalLM",
        mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711], select=-2,
    ),
    "siglip": SIZES | dict(  # a 5 x 5 grid: bilinear pooling is not the mean of 2 x 2 blocks
        kind="siglip", side=35, kv_heads=2, theta=1e6, eps=1e-6, vocab=80, rows=80, arch="LlavaQwenForCausalLM",
        mean=[0.5] * 3, std=[0.5] * 3, select=-2,
    ),
}  # fmt: skip
for sizes in KINDS.values():  # as upstream writes them: [width, height]
    s = sizes["side"]
    sizes["grids"] = [[s, 2 * s], [2 * s, s], [2 * s, 2 * s], [3 * s, s], [s, 3 * s]]
QUIET = dict(tell=lambda line: None)


def config_of(c: dict) -> dict:
    return {
        "architectures": [c["arch"]], "model_type": "llava", "hidden_size": c["d"], "intermediate_size": 48,
        "num_hidden_layers": c["layers"], "num_attention_heads": c["heads"], "num_key_value_heads": c["kv_heads"],
        "vocab_size": c["vocab"], "rms_norm_eps": c["eps"], "rope_theta": c["theta"], "rope_scaling": None,
        "max_position_embeddings": 4096, "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "float32",
        "bos_token_id": 1, "eos_token_id": 2, "use_cache": True, "image_aspect_ratio": "anyres",
        "image_grid_pinpoints": c["grids"], "mm_hidden_size": 16, "mm_patch_merge_type": "spatial_unpad",
        "mm_projector_type": "mlp2x_gelu", "mm_vision_select_feature": "patch", "mm_vision_select_layer": c["select"],
        "mm_vision_tower": "/trainer/tiny", "mm_use_im_start_end": False, "mm_use_im_patch_token": False,
        "mm_resampler_type": None, "tokenizer_model_max_length": 6144, "transformers_version": "4.40.0",
    }  # fmt: skip


def tower_weights(c: dict, draw, layers: int) -> dict:
    w = {"embeddings.patch_embedding.weight": draw(16, 3, 7, 7)}
    n = (c["side"] // 7) ** 2
    if c["kind"] == "clip":
        w |= {"embeddings.class_embedding": draw(16), "embeddings.position_embedding.weight": draw(n + 1, 16)}
        w |= {"pre_layrnorm.weight": 1 + draw(16), "pre_layrnorm.bias": draw(16)}
    else:
        w |= {"embeddings.patch_embedding.bias": draw(16), "embeddings.position_embedding.weight": draw(n, 16)}
    for i in range(layers):
        at = f"encoder.layers.{i}."
        for p in ("q", "k", "v", "out"):
            w |= {f"{at}self_attn.{p}_proj.weight": draw(16, 16), f"{at}self_attn.{p}_proj.bias": draw(16)}
        w |= {f"{at}mlp.fc1.weight": draw(24, 16), f"{at}mlp.fc1.bias": draw(24)}
        w |= {f"{at}mlp.fc2.weight": draw(16, 24), f"{at}mlp.fc2.bias": draw(16)}
        for p in ("layer_norm1", "layer_norm2"):
            w |= {f"{at}{p}.weight": 1 + draw(16), f"{at}{p}.bias": draw(16)}
    return w | {"post_layernorm.weight": 1 + draw(16), "post_layernorm.bias": draw(16)}


def weights_of(c: dict) -> dict:
    """A whole checkpoint under original names; SigLIP's tower has lost its last layer, as upstream's code does."""
    random = torch.Generator().manual_seed(7)

    def draw(*shape):
        return torch.randn(*shape, generator=random) * 0.3

    d, kv = c["d"], c["d"] // c["heads"] * c["kv_heads"]
    w = {"model.embed_tokens.weight": draw(c["vocab"], d), "lm_head.weight": draw(c["vocab"], d)}
    w |= {"model.norm.weight": 1 + draw(d), "model.image_newline": draw(d)}
    w |= {"model.mm_projector.0.weight": draw(d, 16), "model.mm_projector.0.bias": draw(d)}
    w |= {"model.mm_projector.2.weight": draw(d, d), "model.mm_projector.2.bias": draw(d)}
    for i in range(c["layers"]):
        at = f"model.layers.{i}."
        for p, out in (("q", d), ("k", kv), ("v", kv)):
            w[f"{at}self_attn.{p}_proj.weight"] = draw(out, d)
            if "Qwen" in c["arch"]:
                w[f"{at}self_attn.{p}_proj.bias"] = draw(out)
        w |= {f"{at}self_attn.o_proj.weight": draw(d, d), f"{at}mlp.down_proj.weight": draw(d, 48)}
        w |= {f"{at}mlp.gate_proj.weight": draw(48, d), f"{at}mlp.up_proj.weight": draw(48, d)}
        w |= {f"{at}{p}_layernorm.weight": 1 + draw(d) for p in ("input", "post_attention")}
    layers = c["tower_layers"] - (c["kind"] == "siglip")
    w |= {TOWER + key: value for key, value in tower_weights(c, draw, layers).items()}
    return {key: value.contiguous() for key, value in w.items()}


def write_weights(folder: Path, weights: dict, n_shards: int = 3) -> None:
    keys, names = sorted(weights), {}
    for i in range(n_shards):
        name = f"model-{i + 1:05}-of-{n_shards:05}.safetensors"
        save_file({k: weights[k] for k in keys[i::n_shards]}, folder / name, metadata={"format": "pt"})
        names |= {k: name for k in keys[i::n_shards]}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def new_source(root: Path, c: dict, weights: dict | None = None, **changes) -> Path:
    """Write an original checkpoint at root/source and its tower's config at root/tower."""
    folder = root / "source"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config_of(c) | changes))
    kind, space, words = (LlamaTokenizer, "▁", LLAMA) if c["kind"] == "clip" else (Qwen2Tokenizer, "Ġ", QWEN)
    tokenizer = kind(vocab={w: i for i, w in enumerate(words)}, merges=[(space, "w"), ("a", "b")])
    tokenizer.save_pretrained(folder)
    write_weights(folder, weights_of(c) if weights is None else weights)
    (root / "tower").mkdir(exist_ok=True)
    vision = {
        "model_type": f"{c['kind']}_vision_model", "hidden_size": 16, "intermediate_size": 24,
        "image_size": c["side"], "patch_size": 7, "num_hidden_layers": c["tower_layers"], "num_attention_heads": 2,
    }  # fmt: skip
    (root / "tower" / "config.json").write_text(json.dumps({"model_type": c["kind"], "vision_config": vision}))
    return folder


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


def refused(source: Path, match: str, **options) -> str:
    """Converting is refused, nothing is left behind; returns the error's text."""
    target = source.parent / "refused"
    with pytest.raises(ModelError, match=match) as problem:
        convert_checkpoint(source, target, **({"tower": source.parent / "tower"} | options), **QUIET)
    assert not target.exists() and not list(source.parent.glob(".refused*"))
    assert problem.value.cure and problem.value.path
    return str(problem.value)


def without(weights: dict, part: str) -> dict:
    return {key: value for key, value in weights.items() if part not in key}


CLIP_WEIGHTS = weights_of(KINDS["clip"])
Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model.vision_resampler.query": torch.zeros(2)}, "no place.*vision_resampler.query"),
        ({TOWER + "encoder.layers.3.mlp.fc1.bias": torch.zeros(24)}, r"no place.*layers\.3\.mlp"),
        ({"model.vision_tower.vision_tower.post_layernorm.bias": torch.zeros(16)}, "claim one place"),
        ({Q: None}, r"no source: model\.language_model\.layers\.1\.self_attn\.q_proj\.weight"),
        ({"lm_head.weight": None}, "no source: lm_head.weight"),
        ({"model.image_newline": None}, "no source: model.image_newline"),
        ({Q: torch.zeros(32, 31)}, r"wrong shape: model\.layers\.1.*\[32, 31\], not \[32, 32\]"),
        ({"model.embed_tokens.weight": torch.zeros(65, 32)}, r"wrong shape: model\.embed_tokens"),
        ({Q: torch.zeros(32, 32, dtype=torch.int8)}, "not plain floats.*I8"),
    ],
)
def test_keys_that_do_not_fit_are_refused_by_name(tmp_path, change, said):
    weights = {k: v for k, v in (CLIP_WEIGHTS | change).items() if v is not None}
    refused(new_source(tmp_path, KINDS["clip"], weights), said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["LlavaMistralForCausalLM"]}, "LlavaMistralForCausalLM is not one of"),
        ({"text_config": {}}, "transformers layout already"),
        ({"mm_projector_type": "linear"}, "mm_projector_type is 'linear'"),
        ({"image_aspect_ratio": "pad"}, "image_aspect_ratio is 'pad'"),
        ({"mm_patch_merge_type": "flat"}, "mm_patch_merge_type is 'flat'"),
        ({"image_grid_pinpoints": "(1x1),...,(6x6)"}, "image_grid_pinpoints is"),
        ({"vocab_size": 4096}, "64 words for 4096 rows"),
    ],
)
def test_another_kind_of_checkpoint_is_refused(tmp_path, changes, said):
    refused(new_source(tmp_path, KINDS["clip"], {}, **changes), said)


def test_damaged_folders_are_refused(tmp_path, monkeypatch):
    source = new_source(tmp_path, KINDS["clip"])
    assert "--tower" in refused(source, "vision tower '/trainer/tiny' is not known", tower=None)
    (source / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    assert "sentencepiece" in refused(source, "no fitting tokenizer")
    (tmp_path / "tokenizer.json").rename(source / "tokenizer.json")
    shard = source / "model-00002-of-00003.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    refused(source, "model-00002.*cut short")
    shard.unlink()
    refused(source, "model-00002.*missing")
    shard.write_bytes(whole)
    with monkeypatch.context() as patch:
        patch.setattr(room.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**6))
        assert "free some space" in refused(source, "0.1 GB are needed, 0.0 GB are free")
    for file in source.glob("model*"):
        file.unlink()
    refused(source, "no weights here")
    (source / "pytorch_model-00001-of-00002.bin").write_bytes(b"\x80\x04")
    refused(source, "pickles, which can run code")


def test_values_that_do_not_fit_a_type_are_refused(tmp_path):
    source = new_source(tmp_path, KINDS["clip"], CLIP_WEIGHTS | {Q: torch.full((32, 32), 1e6)})
    with pytest.raises(ModelError, match="q_proj.weight is not finite as float16.*bfloat16"):
        convert_checkpoint(source, tmp_path / "half", tower=tmp_path / "tower", dtype="float16", **QUIET)
    assert not (tmp_path / "half").exists()
    arguments = ["convert", str(source), str(tmp_path / "half"), "--tower", str(tmp_path / "tower")]
    assert cli.main([*arguments, "--dtype", "bfloat16"]) == 0
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(tmp_path / "half")
    assert model.dtype == torch.bfloat16 and {t.dtype for t in model.state_dict().values()} == {torch.bfloat16}
    assert cli.main(arguments) == 2  # the target exists now


def same(folder: Path, other: Path) -> bool:
    one, two = ({k: v for f in p.glob("*.safetensors") for k, v in load_file(f).items()} for p in (folder, other))
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


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
    (tmp_path / "tower" / "pytorch_model.bin").write_bytes(b"")
    refused(source, "pickles")
    save_file(folder, tmp_path / "tower" / "model.safetensors")
    found = convert_checkpoint(source, tmp_path / "new", tower=tmp_path / "tower", **QUIET)
    assert same(found, target)
    dropped = json.loads((found / "conversion.json").read_text())["dropped"]
    assert len(dropped) == (4 if c["kind"] == "clip" else 4 + 16 + 1)
    save_file(folder | {"vision_model.extra": torch.zeros(1)}, tmp_path / "tower" / "model.safetensors")
    refused(source, "no place.*vision_model.extra")


def test_a_missing_tower_of_a_known_name_names_the_cure(tmp_path):
    source = new_source(tmp_path, KINDS["clip"], without(CLIP_WEIGHTS, TOWER),
                        mm_vision_tower="openai/clip-vit-large-patch14-336")  # fmt: skip
    assert "with --tower" in refused(source, "391 keys of the new layout have no source", tower=None)


def test_tied_tables(tmp_path):
    c = KINDS["siglip"]
    weights = weights_of(c)
    refused(new_source(tmp_path, c, weights, tie_word_embeddings=True), "differs from embed_tokens")
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


def killed(action) -> None:
    """Run `action` in a forked process that must end by SIGKILL."""
    pid = os.fork()
    if not pid:
        try:
            action()
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


def die(*_, **__) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_leaves_nothing_half_and_the_next_run_goes_on(done, tmp_path):
    c, weights, _, whole, _ = done
    source, target, part = new_source(tmp_path, c), tmp_path / "new", tmp_path / ".new.part"
    options = dict(tower=tmp_path / "tower", shard_bytes=20_000)
    killed(lambda: convert_checkpoint(
        source, target, **options, tell=lambda line: die() if line.startswith("model-00002") else None))  # fmt: skip
    kept = {f: f.stat().st_mtime_ns for f in part.glob("*.safetensors")}
    assert not target.exists() and len(kept) == 2

    def torn(tensors, path, metadata):
        Path(path).write_bytes(b"half a shard")
        die()

    def convert_torn():
        room.save_file = torn
        convert_checkpoint(source, target, **options, **QUIET)

    killed(convert_torn)
    assert not target.exists() and {f: f.stat().st_mtime_ns for f in part.glob("*.safetensors")} == kept
    lines = []
    convert_checkpoint(source, target, **options, tell=lines.append)
    assert "2 of them written before" in lines[0] and same(target, whole) and not list(tmp_path.glob(".*"))
    assert [(target / f.name).stat().st_mtime_ns for f in kept] == list(kept.values())
    assert not list(target.glob(".*"))


def test_another_plan_never_goes_on_with_old_shards(tmp_path):
    source = new_source(tmp_path, KINDS["clip"])

    def stop(line):
        if line.startswith("model-00002"):
            raise KeyboardInterrupt

    options = dict(tower=tmp_path / "tower", shard_bytes=20_000)
    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(source, tmp_path / "new", **options, tell=stop)
    lines = []
    write_weights(source, {k: v + 1 for k, v in CLIP_WEIGHTS.items()})
    found = convert_checkpoint(source, tmp_path / "new", **options, tell=lines.append)
    assert "0 of them written before" in lines[0]
    first = load_file(sorted(found.glob("*.safetensors"))[0])
    assert any(torch.equal(v, w + 1) for v in first.values() for w in CLIP_WEIGHTS.values() if v.shape == w.shape)


def test_memory_stays_near_one_shard(tmp_path):
    """150 MB of weights in three files, shards of 8 MB: the process grows by a few shards, not by the checkpoint."""
    c = KINDS["clip"] | {"layers": 24, "d": 256}
    random = torch.Generator().manual_seed(0)
    weights = weights_of(c)
    for name in [k for k in weights if ".mlp." in k and k.startswith("model.layers")]:
        out, into = (2048, 256) if "down" not in name else (256, 2048)
        weights[name] = torch.randn(out, into, generator=random)
    total = sum(t.nbytes for t in weights.values())
    source = new_source(tmp_path, c, weights, intermediate_size=2048)
    del weights
    convert_checkpoint(source, tmp_path / "warm", tower=tmp_path / "tower", **QUIET)  # imports, allocator
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            before = high_water()
            convert_checkpoint(source, tmp_path / "new", tower=tmp_path / "tower", shard_bytes=2**23, **QUIET)
            os.write(write, str(high_water() - before).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    grown = int(os.read(read, 20))
    print(f"checkpoint {total / 1e6:.0f} MB, grown {grown / 1e6:.0f} MB")
    assert total > 140e6 and grown < 50e6


def high_water() -> int:
    """The process's largest resident memory so far, bytes (Linux)."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


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
