"""Bases and samples of the tiny model."""

from pathlib import Path

import pytest
import torch
from tiny import SIDE, TURNS, frames, tiny_model

from instit_lite.model.load import Base
from instit_lite.model.qlora import QLora, attach_qlora
from instit_lite.model.templates import TEMPLATES
from instit_lite.model.tokenizer import micro_tokenizer
from instit_lite.training.collator import Sample


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
