"""The micro base before its training. In: a seed. Out: a real LLaVA-NeXT-Video model of 3 or 10 M parameters.

Same classes as the 7 B model: CLIP vision tower, two-layer GELU projector, Llama. What differs: the sizes; the
feature layer (LLaVA drops the tower's last layer, four layers are too few to drop one); input and output words share
one table, so that copying a word from the picture to the answer needs no learning.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    PreTrainedTokenizerFast,
)

IMAGE_SIDE = 64
PATCH = 8
# Layers of the language model. 2.7 M parameters in all: the shipped base; 9.8 M: for the claim that a bigger base does
# not help by itself, see `grown`.
LAYERS = {"small": 4, "large": 20}
SHORT = 1024  # tokens of the micro base's longest context
INIT = 0.06  # near 1 / sqrt(width): with the usual 0.02, so narrow a model attends to everything alike for long


def micro_config(tokenizer: PreTrainedTokenizerFast, size: str = "small") -> LlavaNextVideoConfig:
    """Return the configuration of the micro base: 64 px, patch 8, so an 8 x 8 grid of visual tokens."""
    vision = CLIPVisionConfig(
        hidden_size=128, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
        image_size=IMAGE_SIDE, patch_size=PATCH, projection_dim=128, hidden_act="gelu",
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512, num_hidden_layers=LAYERS[size],
        num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=SHORT,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, initializer_range=INIT, tie_word_embeddings=True,
    )  # fmt: skip
    return LlavaNextVideoConfig(
        vision_config=vision, text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1, vision_feature_select_strategy="default",
        image_grid_pinpoints=[[IMAGE_SIDE, IMAGE_SIDE]], tie_word_embeddings=True,
    )  # fmt: skip


def new_micro(
    tokenizer: PreTrainedTokenizerFast, seed: int = 0, size: str = "small"
) -> LlavaNextVideoForConditionalGeneration:
    """Build the micro base with random weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    model = LlavaNextVideoForConditionalGeneration(micro_config(tokenizer, size)).float()
    quick_attention(model)
    return model


def grown(
    small: LlavaNextVideoForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> LlavaNextVideoForConditionalGeneration:
    """The large base before its own training: the small one, each of its language layers followed by new ones.

    A new layer is a copy whose two outputs are zero, so that it adds nothing yet and the large base begins where the
    small one ended (block expansion, LLaMA Pro).
    """
    large = new_micro(tokenizer, size="large")
    layers, old = large.model.language_model.layers, small.model.language_model.layers
    rest = {name: value for name, value in small.state_dict().items() if ".language_model.layers." not in name}
    large.load_state_dict(rest, strict=False)
    each = len(layers) // len(old)
    for i, layer in enumerate(layers):
        layer.load_state_dict(old[i // each].state_dict())
        if i % each:
            nn.init.zeros_(layer.self_attn.o_proj.weight)
            nn.init.zeros_(layer.mlp.down_proj.weight)
    return large


def quick_attention(model: LlavaNextVideoForConditionalGeneration) -> None:
    """Use plain products ("eager") where contexts are short: on a CPU they are two to seven times as fast there as
    the fused kernel, which is made for long ones.
    """
    if model.config.text_config.max_position_embeddings <= SHORT:
        model.set_attn_implementation("eager")
