"""Visual tokens in INST-IT's order: encode -> select -> project -> 2 x 2 pool. In: pixels. Out: visual tokens.

No stock class does this order (training-time code of INST-IT is unpublished; its inference scripts pool after the
projector, bilinear, stride 2, no newline token), so the features are made here and handed to the model's own
`forward(mm_encoder_outputs=...)`. Paper section 4 and appendix on training.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling


def inner_model(model: nn.Module) -> nn.Module:
    """Return the module that owns tower, projector and language model, through peft wrappers if any."""
    while hasattr(model, "base_model") and hasattr(model, "peft_config"):
        model = model.base_model.model
    return model.model


def select_layer(model: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Encode pixels [F, 3, s, s] and return the selected layer's patch features [F, g * g, d_vision]."""
    config = model.config
    tower = inner_model(model).vision_tower
    weight = tower.embeddings.patch_embedding.weight
    pixels = pixels.to(weight.device, weight.dtype)  # a real base may be in bf16, and on a GPU
    states = tower(pixels, output_hidden_states=True).hidden_states[config.vision_feature_layer]
    return states[:, 1:] if config.vision_feature_select_strategy == "default" else states


def encode_frames(model: nn.Module, pixels: torch.Tensor, *, pooled: bool) -> torch.Tensor:
    """Turn pixels [F, 3, s, s] into visual tokens [F, n, d_text]; n = g * g, or less when pooled: `pooled_side`.

    The paper pools video frames only; single images and image pairs keep their whole grid.
    """
    tokens = inner_model(model).multi_modal_projector(select_layer(model, pixels))
    return pool_grid(tokens, mode=pool_mode(model)) if pooled else tokens


def pool_mode(model: nn.Module) -> str:
    """How frames are pooled: "bilinear" (INST-IT's scripts), or "average" where the base was loaded so."""
    return getattr(model.config, "pool_mode", "bilinear")


def pooled_side(side: int, mode: str = "bilinear") -> int:
    """Side of a pooled grid: bilinear rounds up (27 -> 14: 196 tokens), average leaves the rest out (13: 169)."""
    return side // 2 if mode == "average" else math.ceil(side / 2)


def pool_grid(tokens: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Shrink each frame's grid with stride 2: [F, g * g, d] -> [F, s * s, d] with s = `pooled_side(g, mode)`.

    On an even grid (CLIP's 24 x 24) both modes are the mean of each 2 x 2 block; on an odd one (SigLIP's 27 x 27)
    bilinear mixes across blocks, and average drops the last row and column, marks at that edge with them.
    """
    n_frames, n_tokens, width = tokens.shape
    side = math.isqrt(n_tokens)
    if side * side != n_tokens:
        raise ValueError(f"{n_tokens} tokens do not form a square grid")
    grid = tokens.view(n_frames, side, side, width).permute(0, 3, 1, 2)  # [F, d, g, g]
    small = pooled_side(side, mode)
    if mode == "average":
        grid = F.avg_pool2d(grid, 2)
    else:
        grid = F.interpolate(grid, size=(small, small), mode="bilinear", align_corners=False)
    return grid.permute(0, 2, 3, 1).reshape(n_frames, small * small, width)


def pools(model: nn.Module, kind: str) -> bool:
    """Tell whether frames of a sample of `kind` are pooled: a video's are, unless the model's config says otherwise.

    `config.pool_video = False` is for measuring what pooling costs and saves.
    """
    return kind == "video" and getattr(model.config, "pool_video", True)


def tokens_per_frame(model: nn.Module, pooled: bool) -> int:
    """Visual tokens that one frame costs in the context."""
    vision = model.config.vision_config
    side = vision.image_size // vision.patch_size
    return pooled_side(side, pool_mode(model)) ** 2 if pooled else side * side


def mm_outputs(
    images: list[torch.Tensor] | None = None, videos: list[torch.Tensor] | None = None
) -> dict[str, BaseModelOutputWithPooling]:
    """Wrap visual tokens for `forward(mm_encoder_outputs=...)`, in the order of their placeholders.

    `images`: one [n, d] per image. `videos`: one [F, n, d] per clip.
    """
    found = {}
    if images:
        found["image"] = BaseModelOutputWithPooling(pooler_output=images)
    if videos:  # [1, F, n, d]: LLaVA-NeXT-Video iterates over the first axis, LLaVA-OneVision flattens it away
        found["video"] = BaseModelOutputWithPooling(pooler_output=torch.cat(videos)[None])
    return found
