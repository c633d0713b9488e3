"""Models for the benchmarks, with random weights. In: a name. Out: a model, built layer by layer, in NF4 if wanted.

Speed and memory depend on shapes, not on what the weights say, so nothing is downloaded. The true 7B shapes are
the paper's two backbones (section 4): Vicuna-7B with CLIP-L/336, and Qwen2-7B with SigLIP-SO400M/384.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import LlavaNextVideoConfig, LlavaOnevisionConfig, PreTrainedConfig, PreTrainedModel

from instit_lite.model.load import CLASSES
from instit_lite.model.nf4 import import_bitsandbytes, nf4_linear, quantise
from instit_lite.model.visual import inner_model

VIDEO, IMAGE, PAD, WORDS = 4, 3, 0, 10  # ids of the placeholders and of padding; the first id of an ordinary word
CONTEXT = 8192
TOY_TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "vocab_size": 512}  # fmt: skip
TOY_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}


def vicuna_config(text: dict | None = None, vision: dict | None = None) -> LlavaNextVideoConfig:
    """LLaVA-NeXT with Vicuna-7B and CLIP ViT-L/14 at 336 pixels, features after layer 23 of 24; changes on top."""
    tower = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14, "hidden_size": 1024,
             "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}  # fmt: skip
    words = {"model_type": "llama", "vocab_size": 32_064, "max_position_embeddings": CONTEXT, "pad_token_id": PAD}
    return LlavaNextVideoConfig(
        vision_config=tower | (vision or {}), text_config=words | (text or {}), vision_feature_layer=-2,
        image_token_index=IMAGE, video_token_index=VIDEO, tie_word_embeddings=False,
    )  # fmt: skip


def qwen2_config(text: dict | None = None, vision: dict | None = None) -> LlavaOnevisionConfig:
    """Its twin with Qwen2-7B and SigLIP-SO400M/14 at 384 pixels: 26 layers, as LLaVA drops the 27th."""
    tower = {"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14, "hidden_size": 1152,
             "intermediate_size": 4304, "num_hidden_layers": 26, "num_attention_heads": 16,
             "vision_use_head": False}  # fmt: skip
    words = {"model_type": "qwen2", "vocab_size": 152_064, "max_position_embeddings": CONTEXT, "hidden_size": 3584,
             "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
             "num_key_value_heads": 4, "pad_token_id": PAD}  # fmt: skip
    return LlavaOnevisionConfig(
        vision_config=tower | (vision or {}), text_config=words | (text or {}), vision_feature_layer=-1,
        vision_feature_select_strategy="full", image_token_index=IMAGE, video_token_index=VIDEO,
        tie_word_embeddings=False,
    )  # fmt: skip


def shape(name: str, toy: bool = False, pool: str = "bilinear") -> PreTrainedConfig:
    """The configuration of "vicuna" or "qwen2"; `toy`: the same classes and an even or odd grid as there, tiny."""
    make = {"vicuna": vicuna_config, "qwen2": qwen2_config}[name]
    if toy:  # grids of 4 x 4 and 5 x 5
        heads = {"num_key_value_heads": 2} if name == "qwen2" else {}
        config = make(TOY_TEXT | heads, TOY_VISION | {"image_size": 56 if name == "vicuna" else 70})
    else:
        config = make()
    config.pool_mode = pool
    return config


@torch.no_grad()
def build(config: PreTrainedConfig, device: str = "cpu", dtype: torch.dtype = torch.float32, nf4: bool = False,
          seed: int = 0) -> PreTrainedModel:  # fmt: skip
    """Build a model module by module on `device`; with `nf4` each language layer is quantised as soon as it exists.

    So no more than one linear layer is ever there in full precision, apart from what stays so (words, tower,
    projector): a 7B model is built in about 4 GB. Weights are the class's own random ones.
    """
    torch.manual_seed(seed)
    with torch.device("meta"):
        model = CLASSES[config.model_type]._from_config(config, dtype=dtype, attn_implementation="sdpa")
    inner, bitsandbytes, made = inner_model(model), import_bitsandbytes() if nf4 else None, set()
    for owner in (inner.language_model, inner.vision_tower, model):  # each class knows how its own parts begin
        for name, module in list(owner.named_modules()):
            if id(module) in made or is_meta_free(module):
                continue
            made.add(id(module))
            module.to_empty(device=device, recurse=False)
            owner._init_weights(module)
            if bitsandbytes and owner is inner.language_model and type(module) is nn.Linear:
                owner.set_submodule(name, nf4_linear(bitsandbytes, module))
    if nf4:
        quantise(model)
    return model.eval()


def is_meta_free(module: nn.Module) -> bool:
    """Tell whether a module owns nothing that still lies on the meta device."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return not any(tensor.is_meta for tensor in own)
