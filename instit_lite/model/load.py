"""Load a base. In: "micro", a checkpoint folder or a hub id. Out: a `Base`: model, tokenizer, template, pixel sizes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, LlavaNextVideoForConditionalGeneration, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from ..errors import ModelError
from .micro import quick_attention
from .pixels import frames_to_pixels
from .templates import TEMPLATES, Template

MICRO_FOLDER = Path(__file__).parent / "micro_base"


@dataclass
class Base:
    """A model with what belongs to it: tokenizer, chat template, pixel side and normalisation."""

    model: LlavaNextVideoForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    template: Template
    side: int
    name: str
    folder: Path

    def pixels(self, frames: np.ndarray) -> torch.Tensor:
        """Frames uint8 [F, H, W, 3] to pixel values [F, 3, side, side]."""
        return frames_to_pixels(frames, self.side)

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without adding any special token."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def load_base(name: str = "micro") -> Base:
    """Load the shipped micro base (fp32), or a LLaVA-NeXT-Video checkpoint folder.

    Raises `ModelError` where the folder is missing or incomplete.
    """
    folder = MICRO_FOLDER if name == "micro" else Path(name)
    if not (folder / "config.json").exists() or not any(folder.glob("*.safetensors")):
        cure = "run `make pretrain`" if name == "micro" else "give a folder with config.json and *.safetensors"
        raise ModelError("no checkpoint here", path=folder, cure=cure)
    disable_progress_bar()  # a bar per load says nothing for a file on disk
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = LlavaNextVideoForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        quick_attention(model)
    except (OSError, ValueError, KeyError) as problem:
        raise ModelError(f"cannot be loaded ({problem})", path=folder, cure="download it again") from problem
    template = TEMPLATES["micro" if name == "micro" else "vicuna_v1"]
    return Base(model.eval(), tokenizer, template, model.config.vision_config.image_size, name, folder)


def weights_hash(folder: str | Path) -> str:
    """Return a short hash of a checkpoint's weight files, so that an adapter can name its base."""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
