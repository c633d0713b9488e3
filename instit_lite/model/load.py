"""Load a base. In: "micro", a checkpoint folder or a hub id. Out: a `Base`: model, tokenizer, template, pixel sizes.

The checkpoint's own files decide class, template and pixel format: LLaVA-1.5, LLaVA-NeXT, LLaVA-NeXT-Video and
LLaVA-OneVision, with a CLIP or SigLIP tower and a Llama (Vicuna) or Qwen2 language model. No torchvision, no stock
processor: the video ones cannot be built without it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlavaForConditionalGeneration,
    LlavaNextForConditionalGeneration,
    LlavaNextVideoForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from ..errors import ModelError
from .anyres import MAX_TILES, grids_up_to, image_views, uses_anyres
from .context import set_context
from .image_path import open_image_path
from .micro import quick_attention
from .pixels import FITS, PixelFormat, frames_to_pixels, read_pixel_format
from .templates import TEMPLATES, Template

MICRO_FOLDER = Path(__file__).parent / "micro_base"
CLASSES: dict[str, type[PreTrainedModel]] = {
    "llava": LlavaForConditionalGeneration,
    "llava_next": LlavaNextForConditionalGeneration,
    "llava_next_video": LlavaNextVideoForConditionalGeneration,
    "llava_onevision": LlavaOnevisionForConditionalGeneration,
}
LANGUAGES = {"llama": "vicuna_v1", "qwen2": "qwen_1_5"}  # language model to template
POOLS = ("bilinear", "average")
HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


@dataclass
class Base:
    """A model with what belongs to it: tokenizer, chat template, pixel side and format.

    `options`: what `load_base` was asked for beside the name; an adapter needs the same again.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    side: int
    name: str
    folder: Path
    form: PixelFormat = PixelFormat()
    options: dict[str, Any] = field(default_factory=dict)

    def pixels(self, frames: np.ndarray) -> torch.Tensor:
        """Frames uint8 [F, H, W, 3] to pixel values [F, 3, side, side]."""
        return frames_to_pixels(frames, self.side, self.form)

    def views(self, frames: np.ndarray, kind: str) -> tuple[torch.Tensor, tuple[int, int] | None]:
        """One sample's frames to pixel values [V, 3, side, side], and its (height, width) where AnyRes cut it."""
        if not uses_anyres(self.model, kind, len(frames)):
            return self.pixels(frames), None
        return image_views(self.model, frames[0], self.form), frames.shape[1:3]

    def ids(self, text: str, after: str = "") -> list[int]:
        """Token ids of a text, without adding any special token; `after`: the text that it goes on from."""
        return self.ids_of([text], after)[0]

    def ids_of(self, texts: list[str], after: str = "") -> list[list[int]]:
        """Token ids of each text as they would stand after another one.

        Tokenised alone, a SentencePiece text starts with a space of its own, which the joint text does not have.
        """
        rows = self.tokenised([after + text for text in texts])
        known = self.tokenised([after])[0] if after else []
        return [
            row[len(known) :] if row[: len(known)] == known else self.tokenised([text])[0]
            for row, text in zip(rows, texts)
        ]

    def tokenised(self, texts: list[str]) -> list[list[int]]:
        bos = self.tokenizer.bos_token
        lead = [[self.tokenizer.bos_token_id] if bos and text.startswith(bos) else [] for text in texts]
        bare = [text[len(bos) :] if own else text for text, own in zip(texts, lead)]
        rows = self.tokenizer(bare, add_special_tokens=False)["input_ids"] if bare else []
        return [own + row for own, row in zip(lead, rows)]


def load_base(
    name: str = "micro", *, dtype: torch.dtype | None = None, fit: str = "squash", pool: str = "bilinear",
    tiles: int = 4, context: int | None = None, **options: Any,
) -> Base:  # fmt: skip
    """Load the shipped micro base (fp32), a checkpoint folder, or a hub id, which is downloaded once.

    `dtype`: None takes bf16 on GPUs of compute capability 8 or more, fp16 on older ones, fp32 elsewhere.
    `fit`: "squash" (ours) or "crop" (INST-IT's scripts, with CLIP), see `PixelFormat`. `pool`: "bilinear" (INST-IT's) or
    "average", see `pool_grid`. `tiles`: AnyRes tiles of a single image (paper: 4); 0 turns AnyRes off. `context`: see
    `set_context`. `options` go to `from_pretrained`: `quantization_config`, `device_map`, `attn_implementation`.
    Raises `ModelError` where files are missing, incomplete or of another family.
    """
    folder = resolve(name)
    check_files(folder, name)
    if fit not in FITS or pool not in POOLS or not 0 <= tiles <= MAX_TILES:
        cure = f"fit is one of {', '.join(FITS)}, pool one of {', '.join(POOLS)}, tiles 0 to {MAX_TILES}"
        raise ModelError(f"fit={fit!r}, pool={pool!r}, tiles={tiles} cannot be had", path=folder, cure=cure)
    disable_progress_bar()  # a bar per load says nothing for a file on disk
    try:
        config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        micro = type(getattr(backend, "model", None)).__name__ == "WordLevel"  # only the micro-language has words
        template = TEMPLATES["micro"] if micro else template_for(config, tokenizer, folder)
        prepare(config, pool, 0 if micro else tiles, context)
        dtype = dtype or (torch.float32 if micro else default_dtype())
        model = load_model(folder, config, dtype=dtype, **options)
        if "attn_implementation" not in options:
            quick_attention(model)
    except (OSError, ValueError, KeyError) as problem:
        raise ModelError(f"cannot be loaded ({problem})", path=folder, cure="download it again") from problem
    side = model.config.vision_config.image_size
    form = PixelFormat(fit=fit, pillow=fit != "squash") if micro else read_pixel_format(folder, side, fit)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    if config.model_type in ("llava", "llava_next"):
        open_image_path(model, tokenizer)
    asked = {"fit": fit, "pool": pool, "tiles": tiles, "context": context}
    return Base(model.eval(), tokenizer, template, side, name, folder, form, asked)


def resolve(name: str) -> Path:
    """Return the folder of a checkpoint; what looks like a hub id and is no folder here is downloaded."""
    if name == "micro":
        return MICRO_FOLDER
    if Path(name).exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return Path(name)
    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
    except (OSError, ValueError) as problem:
        cure = "check the name and the connection, or give a folder"
        reason = f"neither a folder here nor to be had from the hub ({problem})"
        raise ModelError(reason, path=name, cure=cure) from problem


def check_files(folder: Path, name: str) -> None:
    if not (folder / "config.json").exists() or not any(folder.glob("*.safetensors")):
        cure = "run `make pretrain`" if name == "micro" else "give a folder with config.json and *.safetensors"
        raise ModelError("no checkpoint here", path=folder, cure=cure)


def template_for(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Template:
    """Choose the template by language model; its signs must be tokens, or another chat format was trained."""
    language = getattr(config.get_text_config(), "model_type", None)
    if config.model_type not in CLASSES or language not in LANGUAGES:
        cure = f"use one of {', '.join(CLASSES)} with {' or '.join(LANGUAGES)}"
        raise ModelError(f"a {config.model_type} checkpoint with {language}", path=folder, cure=cure)
    template = TEMPLATES[LANGUAGES[language]]
    for sign in (re.match(r"<.*?>", template.start)[0], template.end):
        if tokenizer.convert_tokens_to_ids(sign) in (None, tokenizer.unk_token_id):
            reason = f"its tokenizer does not know {sign!r}, so it was not trained on {template.name!r} prompts"
            raise ModelError(reason, path=folder, cure="choose a Vicuna or Qwen2 checkpoint")
    return template


def prepare(config: PreTrainedConfig, pool: str, tiles: int, context: int | None) -> None:
    """Write into a config what the kit decides: context, pooling, and AnyRes grids of at most `tiles` tiles."""
    if not isinstance(config.vision_feature_layer, int):
        layers = config.vision_feature_layer
        raise ModelError(f"features of several layers {layers}", cure="choose a checkpoint that takes one layer's")
    set_context(config.text_config, context)
    config.pool_mode = pool
    if tiles and hasattr(config, "image_grid_pinpoints"):
        config.image_grid_pinpoints = grids_up_to(config.image_grid_pinpoints, config.vision_config.image_size, tiles)
        config.anyres = bool(config.image_grid_pinpoints)


def load_model(folder: Path, config: PreTrainedConfig, kind: Any = None, **options: Any) -> PreTrainedModel:
    """Load the weights; a checkpoint that leaves a parameter at random is refused. `kind`: None is the kit's class."""
    model, found = (kind or CLASSES[config.model_type]).from_pretrained(
        folder, config=config, output_loading_info=True, **options
    )
    absent = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if absent:
        reason = f"{len(absent)} parameters are missing or of another shape, for example {absent[0]}"
        raise ModelError(reason, path=folder, cure="download it again, or convert it again")
    return model


def default_dtype() -> torch.dtype:
    """bf16 where the GPU computes in it (capability 8.0), fp16 on older GPUs, fp32 without one."""
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16


def weights_hash(folder: str | Path) -> str:
    """Return a short hash of a checkpoint's weight files, so that an adapter can name its base."""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).glob("*.safetensors")):
        with open(file, "rb") as opened:
            while part := opened.read(2**24):  # a shard of a 7B model is 5 GB
                digest.update(part)
    return digest.hexdigest()[:16]
