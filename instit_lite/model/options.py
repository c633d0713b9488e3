"""What a base was loaded with, beside its weights. In: an adapter's card, a base. Out: nothing, or a refusal.

How pixels are fitted, pictures cut, grids pooled and positions scaled is as much a part of what was trained
as the weights are: an adapter on a base that was loaded otherwise answers worse and does not say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ..errors import ModelError
from .load import Base

COMPARED = ("fit", "pool", "tiles")
OPTIONS = (*COMPARED, "context")


def stretch(model: nn.Module) -> float:
    """By what the rotary positions are scaled, 1.0 for not at all; see `set_context`."""
    return float((model.config.text_config.rope_parameters or {}).get("factor") or 1.0)


def card_options(card: dict) -> dict[str, Any]:
    """The options of `load_base` that a card names; an older card names none."""
    kept = card.get("options") or {}
    return {name: kept[name] for name in OPTIONS if name in kept}


def check_options(card: dict, base: Base, folder: str | Path) -> None:
    """Raise `ModelError` where an adapter was trained on a base that was loaded with other options.

    A context that only sets a limit may differ; one that scales positions may not. What the card or the base
    (one that lives in memory only) does not name is not compared.
    """
    kept, own = card_options(card), base.options
    differ = [name for name in COMPARED if name in kept and name in own and kept[name] != own[name]]
    if card.get("stretch", stretch(base.model)) != stretch(base.model):
        differ.append("context")
    if differ:
        trained, loaded = (", ".join(f"{n}={found.get(n)!r}" for n in differ) for found in (kept, own))
        raise ModelError(
            f"this adapter was trained with {trained}, its base is loaded with {loaded}", path=folder,
            cure=f"load_base({base.name!r}, {trained})",
        )  # fmt: skip
