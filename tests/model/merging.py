"""Adapters to merge, and what models say before and after it."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn

from instit_lite.model.adapter import base_facts, save_adapter
from instit_lite.model.load import load_base
from instit_lite.model.qlora import QLora, attach_qlora
from instit_lite.model.visual import encode_frames, mm_outputs

QUIET = {"tell": lambda line: None}


def stored(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint by their keys."""
    return {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}


def cast(folder: Path, types: dict[str, torch.dtype], **added: torch.Tensor) -> Path:
    """Cast a checkpoint's tensors by the first word of their keys ("" is for all others); give its folder."""
    for file in sorted(folder.glob("*.safetensors")):
        found = {k: t.to(types.get(k.split(".")[0], types[""])) for k, t in load_file(file).items()}
        save_file(found | added, file, metadata={"format": "pt"})
        added = {}
    return folder


def new_adapter(
    source: Path, folder: Path, nf4: bool = True, dtype: torch.dtype = torch.float32, **options
) -> tuple[Path, PeftModel]:
    """An adapter that changes answers, as training would leave it: the folder, and the model it makes."""
    base = load_base(str(source), dtype=dtype, **options)
    facts = base_facts(base)
    model = attach_qlora(base.model, QLora(rank=4, nf4=nf4, frozen_layers=1))
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return save_adapter(model, folder, **facts), model.eval()


@torch.no_grad()
def logits(model: nn.Module, kind: str) -> torch.Tensor:
    """Logits for a prompt with two frames: pooled, as a clip, or whole, as two pictures."""
    config = model.config
    side = config.vision_config.image_size
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    tokens = encode_frames(model, pixels, pooled=kind == "video")
    given = mm_outputs(videos=[tokens]) if kind == "video" else mm_outputs(images=list(tokens))
    placeholder = config.video_token_id if kind == "video" else config.image_token_id
    ids = torch.tensor([[1, *[placeholder] * tokens.shape[:2].numel(), *range(20, 40)]])
    return model(input_ids=ids, mm_encoder_outputs=given).logits[0, -20:]


def gap(model: nn.Module, other: nn.Module) -> float:
    """The largest difference of two models' logits, on pictures and on a clip."""
    return max((logits(model, kind) - logits(other, kind)).abs().max().item() for kind in ("image", "video"))
