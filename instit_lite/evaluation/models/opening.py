"""From a name to a model, and the kit's own bases. In: what a user writes after `--model`. Out: a `Model`.

    micro, or any name with an adapter      the kit's own way      kit:FOLDER     the same for a checkpoint
    FOLDER or hub id                        its own class          api:NAME, gemini:NAME     over the network

The kit's own way is INST-IT's order and prompts: adapters and the converted INST-IT checkpoints need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...model.adapter import adapter_folder, load_adapter, read_card
from ...model.load import Base
from ...model.options import card_options
from ...training.stage import load_to_ask
from ..answer import answer_items
from ..report import model_fingerprint
from .api import SERVICES, api_model
from .asked import Asked, Model
from .stock import stock_model


class KitModel:
    """A `Base` behind the one interface."""

    def __init__(self, base: Base) -> None:
        self.base, self.name = base, base.name
        self.together = 64 if base.template.name == "micro" else 1

    def identity(self) -> dict[str, str]:
        return {"model": self.name, "weights": model_fingerprint(self.base)}

    def answer(self, items: Sequence[Asked], *, blind: bool = False, max_new_tokens: int = 128) -> list[str]:
        return answer_items(self.base, items, self.together, blind, False, max_new_tokens)


def open_model(
    name: str, adapter: str | Path | None = None, *, online: bool = False, base_url: str | None = None,
    ledger: str | Path | None = None, **options: Any,
) -> Model:  # fmt: skip
    """Open a model by its name; `online`, `base_url` and `ledger` are for a service, see `api_model`.

    `options`: a service's settings, or what `from_pretrained` or `load_base` takes. Raises `InstitError`.
    """
    kind, _, rest = name.partition(":")
    if kind in SERVICES and rest:
        return api_model(rest, kind, base_url=base_url, online=online, ledger=ledger, **options)
    own = kind == "kit" and bool(rest)
    if not own and name != "micro" and adapter is None:
        return stock_model(name, **options)
    folder = None if adapter is None else adapter_folder(adapter)
    fixed = card_options(read_card(folder)) if folder else {}  # what the adapter was trained with
    base = load_to_ask(rest if own else name, **options | fixed)
    return KitModel(load_adapter(base, folder) if folder else base)
