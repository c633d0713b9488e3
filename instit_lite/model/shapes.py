"""The shape of a base without its weights. In: a checkpoint folder or a built-in name. Out: a model on the meta device.

There every parameter has its place, size and type, and no memory behind it: LoRA and freezing can be put on the model
as on a real one, and then it is counted (`model.memory`). Planning needs no download.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, LlavaNextConfig, LlavaOnevisionConfig, PreTrainedConfig, PreTrainedModel

from ..errors import ModelError
from .load import CLASSES, LANGUAGES, MICRO_FOLDER, prepare
from .micro import quick_attention

VICUNA, QWEN = "llava-v1.6-vicuna-7b", "llava-v1.6-qwen2-7b"  # the paper's two backbones (section 4)


def vicuna_7b() -> LlavaNextConfig:
    """LLaVA-NeXT with Vicuna-1.5-7B and CLIP ViT-L/14 at 336 pixels: features after layer 23 of 24."""
    vision = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14, "num_hidden_layers": 24,
              "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}  # fmt: skip
    text = {"model_type": "llama", "vocab_size": 32_064, "max_position_embeddings": 4096}
    return LlavaNextConfig(vision_config=vision, text_config=text, vision_feature_layer=-2)


def qwen2_7b() -> LlavaOnevisionConfig:
    """Its twin with Qwen2-7B and SigLIP-SO400M/14 at 384 pixels: 26 layers, since LLaVA drops the 27th."""
    vision = {"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14, "num_hidden_layers": 26,
              "hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16,
              "vision_use_head": False}  # fmt: skip
    text = {"model_type": "qwen2", "vocab_size": 152_064, "max_position_embeddings": 32_768, "num_hidden_layers": 28,
            "hidden_size": 3584, "intermediate_size": 18_944, "num_attention_heads": 28,
            "num_key_value_heads": 4}  # fmt: skip
    return LlavaOnevisionConfig(
        vision_config=vision, text_config=text, vision_feature_layer=-1, vision_feature_select_strategy="full"
    )


SHAPES = {VICUNA: vicuna_7b, QWEN: qwen2_7b}


def read_shape(name: str) -> PreTrainedConfig:
    """Read a folder's config.json, no weights; raise `ModelError` for what `load_base` would not load."""
    folder = MICRO_FOLDER if name == "micro" else Path(name)
    cure = f"give a checkpoint folder, or one of {', '.join(SHAPES)}"
    if not (folder / "config.json").exists():  # asked first: else the name would be looked for on the hub
        raise ModelError("no config.json here", path=folder, cure=cure)
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as problem:
        raise ModelError(f"a config.json that cannot be read ({problem})", path=folder, cure=cure) from problem
    if config.model_type not in CLASSES or config.text_config.model_type not in LANGUAGES:
        raise ModelError(f"a {config.model_type} checkpoint", path=folder, cure=cure)
    return config


def meta_model(
    name: str, *, dtype: torch.dtype, pool: str, context: int | None, tiles: int = 0
) -> PreTrainedModel:  # fmt: skip
    """Build the shape of a base as `load_base(name, dtype=..., pool=..., context=...)` would load it.

    `tiles`: of AnyRes; frames of a video are never cut into any.
    """
    config = SHAPES[name]() if name in SHAPES else read_shape(name)
    prepare(config, pool, tiles, context)
    with torch.device("meta"):
        model = CLASSES[config.model_type](config).to(dtype)
    quick_attention(model)
    return model
