"""GPUs to plan for. In: a card's name or its memory. Out: what fits it: memory, number format, peak arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import ModelError

USABLE = 0.95  # of a card's memory: drivers keep some, and the allocator rounds up


@dataclass(frozen=True)
class Card:
    """A GPU: memory in GiB, compute capability, peak TFLOP/s of dense 16-bit products where known."""

    name: str
    gib: float
    capability: tuple[int, int]
    tflops: float | None = None

    @property
    def dtype(self) -> torch.dtype:
        """bf16 where the card computes in it, from capability 8.0 on; else fp16."""
        return torch.bfloat16 if self.capability >= (8, 0) else torch.float16

    @property
    def usable(self) -> float:
        """Bytes that a plan may fill."""
        return USABLE * self.gib * 2**30


CARDS = {  # by makers' data sheets
    "t4": Card("T4", 15, (7, 5), 65),
    "rtx3060": Card("RTX 3060", 12, (8, 6), 51),
    "l4": Card("L4", 22.5, (8, 9), 121),
    "rtx4090": Card("RTX 4090", 24, (8, 9), 165),
    "a100": Card("A100", 80, (8, 0), 312),
    "h100": Card("H100", 80, (9, 0), 989),
    "h200": Card("H200", 140, (9, 0), 989),
}


def card_of(wanted: str) -> Card:
    """Find a card by name, by memory in GB (8 to 141; capability 8.0 is assumed), or this machine's own as "own"."""
    name = wanted.lower()
    if name in CARDS:
        return CARDS[name]
    cure = f"name {', '.join(CARDS)}, own, or its memory in GB, from 8 to 141"
    if name == "own":
        if not torch.cuda.is_available():
            raise ModelError("this machine has no GPU to plan for", cure=cure)
        found = torch.cuda.get_device_properties(0)
        known = next((card.tflops for key, card in CARDS.items() if key in found.name.lower().replace(" ", "")), None)
        return Card(found.name, found.total_memory / 2**30, (found.major, found.minor), known)
    try:
        gib = float(name.removesuffix("gb"))
    except ValueError:
        gib = 0.0
    if not 8 <= gib <= 141:
        raise ModelError(f"there is no card {wanted!r}", cure=cure)
    return Card(f"a card of {gib:g} GB", gib, (8, 0))
