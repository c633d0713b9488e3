"""Teach the projector the words. In: a tower that sees, pictures with dense truth. Out: an aligned projector.

LLaVA's first stage trains the projector alone, on captions. At this size captions are too thin a signal, so every
patch is taught directly: its visual token shall be the sum of the embeddings of the words for what is under it
("large red circle ... top left", "3 ... bottom"). The language model then meets visual tokens that already speak its
language, and what it learns from text carries over to pictures.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..model.load import Base
from ..model.micro import IMAGE_SIDE
from ..model.pixels import frames_to_pixels
from ..model.visual import inner_model, select_layer
from ..scenes.facts import FrameFacts
from ..scenes.general import PrintedNumber
from ..scenes.world import place_of
from .loop import train_loop
from .tower import GRID, draw_picture, on_number, on_thing

EMPTY_WEIGHT = 0.2  # most patches show nothing


class AlignedProjector(nn.Module):
    """The projector alone; tower and word embeddings are looked at, not trained."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.projector = inner_model(base.model).multi_modal_projector
        self.words = base.model.get_input_embeddings().weight.detach()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Tower states [B, g * g, d_vision] to visual tokens in units of one embedding, [B, g * g, d_text]."""
        return self.projector(states) / self.words.std()


def words_of_patches(facts: FrameFacts, printed: list[PrintedNumber]) -> list[str]:
    """The words for what each patch shows, g * g strings; "nothing" where nothing is.

    A number on a thing is named with the thing's looks, as a caption would: "number 3 left small red circle".
    """
    words = ["nothing"] * (GRID * GRID)
    for f in facts.instances:
        for i in np.flatnonzero(on_thing(f)):
            words[i] = f"{f.size} {f.colour} {f.shape} {f.place}"
    for p in printed:
        for i in np.flatnonzero(on_number(p)):
            under = "" if words[i] == "nothing" else " ".join(words[i].split()[:3])
            words[i] = f"number {p.value} {place_of(p.x, p.y)} {under}".strip()
    return words


def align_batch(base: Base, step: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch number `step`: pixels [size, 3, s, s] and word counts [size, g * g, vocabulary]."""
    drawn = [draw_picture(seed + step * size + i) for i in range(size)]
    counts = torch.zeros(size, GRID * GRID, len(base.tokenizer))
    known: dict[str, list[int]] = {}
    for row, (_, facts, printed) in enumerate(drawn):
        for patch, text in enumerate(words_of_patches(facts, printed)):
            if text not in known:
                known[text] = base.ids(text)
            counts[row, patch, known[text]] = 1.0
    return frames_to_pixels(np.stack([picture for picture, _, _ in drawn]), IMAGE_SIDE), counts


def align_loss(module: AlignedProjector, base: Base, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Weighted squared distance between visual tokens and the sums of their words' embeddings."""
    pixels, counts = batch
    with torch.no_grad():
        states = select_layer(base.model, pixels)
        target = counts @ module.words / module.words.std()
    empty = counts[..., base.ids("nothing")[0]]
    distance = (module(states) - target).square().mean(-1)
    weight = 1 - (1 - EMPTY_WEIGHT) * empty
    return (distance * weight).sum() / weight.sum()


def align_projector(base: Base, folder: Path, steps: int, seed: int, batch: int = 48, lr: float = 2e-3) -> None:
    """Train the projector of `base` in place; resumable, see `train_loop`."""
    module = AlignedProjector(base)
    train_loop(module, partial(align_loss, module, base), partial(align_batch, base, size=batch, seed=seed),
               folder, steps=steps, lr=lr)  # fmt: skip
