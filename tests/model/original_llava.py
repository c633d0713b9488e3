"""The original LLaVA forward pass, read from the facts and written in plain torch: the converter is judged by it.

Nothing here comes from a transformers model class. Weights are looked up under their original names.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

TOWER = "model.vision_tower.vision_tower.vision_model."


def linear(w: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def norm(w: dict, name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def attention(q, k, v, heads: int, kv_heads: int, causal: bool, turn=lambda x: x) -> torch.Tensor:
    """Plain softmax attention on [B, n, d]; `turn` rotates queries and keys [B, h, n, d_head]."""
    b, n, _ = q.shape
    q, k, v = (x.view(b, n, h, -1).transpose(1, 2) for x, h in ((q, heads), (k, kv_heads), (v, kv_heads)))
    q, k = turn(q), turn(k)
    k, v = (x.repeat_interleave(heads // kv_heads, 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, -1)


def tower(w: dict, c: dict, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels [F, 3, s, s] to patch features: CLIP at layer -2 without CLS; SigLIP at its last kept layer, no norm."""
    clip = c["kind"] == "clip"
    e = TOWER + "embeddings."
    x = F.conv2d(pixels, w[e + "patch_embedding.weight"], w.get(e + "patch_embedding.bias"), stride=c["patch"])
    x = x.flatten(2).transpose(1, 2)
    if clip:
        x = torch.cat([w[e + "class_embedding"].expand(len(x), 1, -1), x], 1)
    x = x + w[e + "position_embedding.weight"]
    eps = 1e-5 if clip else 1e-6
    x = norm(w, TOWER + "pre_layrnorm", x, eps) if clip else x
    for i in range(c["tower_layers"] - 1):  # CLIP: -2 is before the last layer; SigLIP: the last layer is deleted
        layer = f"{TOWER}encoder.layers.{i}."
        y = norm(w, layer + "layer_norm1", x, eps)
        q, k, v = (linear(w, f"{layer}self_attn.{p}_proj", y) for p in "qkv")
        x = x + linear(w, layer + "self_attn.out_proj", attention(q, k, v, c["tower_heads"], c["tower_heads"], False))
        y = linear(w, layer + "mlp.fc1", norm(w, layer + "layer_norm2", x, eps))
        y = y * torch.sigmoid(1.702 * y) if clip else F.gelu(y, approximate="tanh")
        x = x + linear(w, layer + "mlp.fc2", y)
    return x[:, 1:] if clip else x


def encode(w: dict, c: dict, pixels: torch.Tensor) -> torch.Tensor:
    """mlp2x_gelu on the tower's features: [F, g * g, d]."""
    return linear(w, "model.mm_projector.2", F.gelu(linear(w, "model.mm_projector.0", tower(w, c, pixels))))


def video_features(w: dict, c: dict, pixels: torch.Tensor) -> torch.Tensor:
    """Each frame pooled by 2, bilinear, after the projector, no newline: [F * ceil(g / 2) ** 2, d]."""
    x = encode(w, c, pixels)
    g = math.isqrt(x.shape[1])
    x = x.transpose(1, 2).reshape(len(x), -1, g, g)
    x = F.interpolate(x, size=(math.ceil(g / 2), math.ceil(g / 2)), mode="bilinear")
    return x.flatten(2).transpose(1, 2).flatten(0, 1)


def best_grid(width: int, height: int, grids: list) -> tuple[int, int]:
    """The (w, h) that keeps most pixels, then wastes fewest; the first of equals."""

    def key(grid):
        scale = min(grid[0] / width, grid[1] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return (kept, kept - grid[0] * grid[1])

    return tuple(max(grids, key=key))


def tiles(picture: Image.Image, c: dict) -> torch.Tensor:
    """AnyRes: the whole picture squashed, then tiles of its padded enlargement, [1 + n, 3, s, s] normalised."""
    s, (w, h) = c["side"], picture.size
    gw, gh = best_grid(w, h, c["grids"])
    if gw / w < gh / h:
        nw, nh = gw, min(math.ceil(h * gw / w), gh)
    else:
        nw, nh = min(math.ceil(w * gh / h), gw), gh
    canvas = Image.new("RGB", (gw, gh))
    canvas.paste(picture.resize((nw, nh)), ((gw - nw) // 2, (gh - nh) // 2))
    cuts = [canvas.crop((x, y, x + s, y + s)) for y in range(0, gh, s) for x in range(0, gw, s)]
    found = np.stack([np.asarray(p, np.float32) / 255 for p in [picture.resize((s, s)), *cuts]])
    found = (found - np.float32(c["mean"])) / np.float32(c["std"])
    return torch.from_numpy(found).permute(0, 3, 1, 2)


def image_features(w: dict, c: dict, picture: Image.Image) -> torch.Tensor:
    """spatial_unpad: the squashed view, then the tiles as one map without padding, a newline after each row."""
    x = encode(w, c, tiles(picture, c))
    g, (width, height) = math.isqrt(x.shape[1]), picture.size
    gw, gh = (n // c["side"] for n in best_grid(width, height, c["grids"]))
    rows = x[1:].view(gh, gw, g, g, -1).permute(0, 2, 1, 3, 4).reshape(gh * g, gw * g, -1)
    if width / height > gw / gh:
        cut = (gh * g - int(height * gw * g / width)) // 2
        rows = rows[cut : gh * g - cut]
    else:
        cut = (gw * g - int(width * gh * g / height)) // 2
        rows = rows[:, cut : gw * g - cut]
    newline = w["model.image_newline"].expand(len(rows), 1, -1)
    return torch.cat([x[0], torch.cat([rows, newline], 1).flatten(0, 1)])


def logits(w: dict, c: dict, before: list[int], features: torch.Tensor, after: list[int]) -> torch.Tensor:
    """The language model (Llama; Qwen2 by its biases) on words, visual tokens, words: [n, V]."""
    table = w["model.embed_tokens.weight"]
    x = torch.cat([table[before], features, table[after]])[None]
    d = c["d"] // c["heads"]
    angle = torch.outer(torch.arange(x.shape[1]).float(), c["theta"] ** (-torch.arange(0, d, 2).float() / d))
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)

    def rms(name, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + c["eps"]) * w[name + ".weight"]

    def turn(x):
        half = torch.cat([-x[..., d // 2 :], x[..., : d // 2]], -1)
        return x * cos + half * sin

    for i in range(c["layers"]):
        layer = f"model.layers.{i}."
        y = rms(layer + "input_layernorm", x)
        q, k, v = (linear(w, f"{layer}self_attn.{p}_proj", y) for p in "qkv")
        x = x + linear(w, layer + "self_attn.o_proj", attention(q, k, v, c["heads"], c["kv_heads"], True, turn))
        y = rms(layer + "post_attention_layernorm", x)
        y = F.silu(linear(w, layer + "mlp.gate_proj", y)) * linear(w, layer + "mlp.up_proj", y)
        x = x + linear(w, layer + "mlp.down_proj", y)
    return F.linear(rms("model.norm", x), w.get("lm_head.weight", table))[0]
