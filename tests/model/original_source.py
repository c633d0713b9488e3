"""Tiny random checkpoints in the original LLaVA layout: INST-IT's key names and config fields, two families."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from original_llava import TOWER
from safetensors.torch import load_file, save_file
from transformers import LlamaTokenizer, Qwen2Tokenizer

SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST0123456789[]"
LLAMA = ["<unk>", "<s>", "</s>", "▁", "▁w", "ab", *SIGNS[:58]]  # 64 words fill Vicuna's table
QWEN = ["Ġ", "Ġw", "ab", *SIGNS]  # leaves rows free, as Qwen2's does
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


def same(folder: Path, other: Path) -> bool:
    one, two = ({k: v for f in p.glob("*.safetensors") for k, v in load_file(f).items()} for p in (folder, other))
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def without(weights: dict, part: str) -> dict:
    return {key: value for key, value in weights.items() if part not in key}
