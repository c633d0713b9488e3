"""A base small enough for gradients in milliseconds: 32 px, patch 8 (16 visual tokens, 4 pooled),
random weights.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextVideoConfig, LlavaNextVideoForConditionalGeneration

from instit_lite.model.load import Base
from instit_lite.model.qlora import QLora, attach_qlora
from instit_lite.model.templates import TEMPLATES
from instit_lite.model.tokenizer import micro_tokenizer
from instit_lite.training.collator import Sample

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


@pytest.fixture(scope="session")
def tokenizer():
    return micro_tokenizer()


@pytest.fixture(scope="session")
def new_base(tokenizer):
    """Make fresh tiny bases: the same seed gives the same weights."""

    def make(seed=0, attention="sdpa"):
        model = tiny_model(tokenizer, seed, attention)
        return Base(model, tokenizer, TEMPLATES["micro"], SIDE, "tiny", Path("nowhere"))

    return make


@pytest.fixture
def base(new_base):
    return new_base()


@pytest.fixture
def adapted(new_base):
    """Make a tiny base with LoRA whose B is not zero, so that every LoRA tensor gets a gradient.
    """

    def make(nf4=False, attention="sdpa", rank=4):
        base = new_base(attention=attention)
        base.model = attach_qlora(base.model, QLora(rank=rank, nf4=nf4))
        with torch.no_grad():
            for name, parameter in base.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0, 0.1)
        return base

    return make


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def sample():
    """Make a sample by kind; `turns` questions of different lengths."""

    def make(kind="image", n_frames=1, turns=3, seed=0):
        shown = None if kind == "text" else frames(n_frames, seed)
        context = "[1] is a small red circle." if kind == "text" else ""
        return Sample(shown, kind, TURNS[:turns], context)

    return make


@pytest.fixture(scope="session")
def mixed(sample):
    """Image, image pair, video and text, with different numbers of questions."""
    return [sample("image", 1, 3), sample("video", 3, 4, 1), sample("image", 2, 1, 2), sample("text", 0, 2)]
