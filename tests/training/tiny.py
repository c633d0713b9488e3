"""A model small enough for gradients in milliseconds: 32 px, patch 8 (16 visual tokens, 4 pooled), random weights."""

import numpy as np
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextVideoConfig, LlavaNextVideoForConditionalGeneration

SIDE = 32
TURNS = [
    ("what colour is [1]?", "red"),
    ("where is [2]?", "at the bottom left"),
    ("describe [3].", "a small green star"),
    ("what shape is [2]?", "circle"),
]


def tiny_model(tokenizer, seed=0, attention="sdpa"):
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=2, image_size=SIDE, patch_size=8
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    config = LlavaNextVideoConfig(
        vision_config=vision, text_config=text, image_grid_pinpoints=[[SIDE, SIDE]], vision_feature_layer=-1,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"), tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = LlavaNextVideoForConditionalGeneration._from_config(config, attn_implementation=attention)
    return model.float().eval()


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
