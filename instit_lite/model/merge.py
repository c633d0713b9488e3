"""Merge an adapter into its base. In: an adapter folder. Out: a checkpoint that plain `transformers` loads.

What was trained is LoRA beside a base in NF4: each forward pass unpacked the 4-bit weights, and LoRA's
product stood next to them. So a language weight goes through NF4 and back, gets LoRA's product added in fp32,
and is rounded once, to the type that the base is stored in. Two other ways give another model:

- Adding the product to the 4-bit weights and packing the sum again destroys the fine-tune. NF4 rounds by 9 %
  of a weight: of a change by 1 % hardly 2 % is left, beside noise of half its size.
- Adding it to the weights as they were before NF4 (`full_precision=True`) takes out the rounding that LoRA
  saw all through its training. Often as good, and not what was trained: evaluate it anew.

Projector and later encoder layers trained in full (paper section 4): theirs take the place of the base's.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import AutoConfig

from ..errors import ModelError
from ..profiles import atomic_write_text
from .adapter import adapter_folder, check_base, read_card, read_weights
from .context import set_context
from .load import CLASSES, HUB_FILES, check_files, resolve, weights_hash
from .names import lora_target, parameter_name
from .nf4 import linears, need_bitsandbytes, through_nf4
from .options import card_options
from .qlora import QLora, attach_qlora
from .shapes import meta_model
from .shards import AGAIN, Piece, Tell, check_new, check_places, headers, stored_as, write_checkpoint

CARD_FILE = "merge.json"
NF4, FULL = "dequantised NF4, as trained", "full precision, as trained"
OTHER = "full precision, but trained on NF4"
README = """\
# {adapter}, merged into {base}

Made by instit_lite from the base `{base}` (weights `{weights}`) and an adapter; {card} has the hashes.
Language weights before LoRA was added: {language}.

    from transformers import {kind}
    model = {kind}.from_pretrained("this folder")

The adapter was trained with {trained}: load this folder with the same to give it
pixels and visual tokens as in training. Stock processors crop, pool and pack in their own way.
The base's licence holds.
"""


@dataclass(frozen=True)
class Changes:
    """What an adapter makes of its base, by parameter name.

    `lora`: A [rank, in] and B [out, rank] for a weight [out, in], times `scale`. `modules`: whole tensors.
    `nf4`: the weights that go through NF4 first, and `dtype`, the type that training quantised them from.
    """

    lora: dict[str, tuple[torch.Tensor, torch.Tensor]]
    scale: float
    modules: dict[str, torch.Tensor]
    nf4: frozenset[str]
    dtype: torch.dtype

    def applied(self, name: str, stored: torch.Tensor) -> torch.Tensor:
        """What a stored tensor becomes, not yet rounded to its type; itself where nothing changes."""
        if name in self.modules:
            return self.modules[name]
        weight = through_nf4(stored.to(self.dtype)) if name in self.nf4 else stored
        if name in self.lora:
            a, b = self.lora[name]
            weight = torch.addmm(weight.float(), b.float(), a.float(), alpha=self.scale)
        return weight


def merge_adapter(
    adapter: str | Path, out: str | Path, *, base: str | None = None, full_precision: bool = False,
    shard_bytes: int = 2**30, tell: Tell = print,
) -> Path:  # fmt: skip
    """Write the merged checkpoint to `out`, which must not exist, and return it.

    `adapter`: its folder, or that of its run. `base`: name as for `load_base`; None takes the one that the
    card names. Keys, shapes and types are the base's own. Held in memory are the adapter and one shard of
    `shard_bytes` (or the largest tensor), stored and merged: 2.6 GB for layers as wide as a 7B model's. After
    a kill the same call goes on. Raises `ModelError` where the adapter is damaged or belongs to another base.
    """
    folder, out = adapter_folder(adapter), Path(out)
    check_new(out)
    card = read_card(folder)
    name = base or card["base"]
    if not name:
        raise ModelError("its card names no base", path=folder, cure="name it: base=..., or --base")
    source = resolve(name)
    check_files(source, name)
    weights = weights_hash(source)
    check_base(card, name, weights, folder)
    pieces, left_out, changes = read_plan(source, folder, card, full_precision)
    about = {
        "format": 1, "base": Path(name).name if Path(name).exists() else name, "base_weights": weights,
        "adapter": folder.name, "adapter_files": card["files"], "rank": card["rank"], "alpha": card["alpha"],
        "frozen_layers": card["frozen_layers"], "options": card_options(card),
        "language": NF4 if changes.nf4 else OTHER if card["nf4"] else FULL,
        "left_out": left_out,
    }  # fmt: skip

    def make(piece: Piece, stored: torch.Tensor) -> torch.Tensor:
        new = changes.applied(parameter_name(piece.key), stored)
        cure = "the training diverged: take an earlier adapter, or train again with a lower rate"
        return stored if new is stored else stored_as(piece, new, folder, cure)

    def finish(part: Path) -> None:
        copy_files(source, part, about)

    tell(f"base {about['base']} ({weights}), language weights: {about['language']}")
    return write_checkpoint(out, CARD_FILE, about, pieces, shard_bytes, make, finish, tell)


def read_plan(
    source: Path, folder: Path, card: dict, full_precision: bool
) -> tuple[list[Piece], list[str], Changes]:
    """Give each parameter of the base its stored tensor, each tensor of the adapter its parameter, or raise.

    Also return the stored keys that no parameter has: `from_pretrained` ignores them, and they are left out.
    """
    model = meta_model(str(source), dtype=torch.float32, pool="bilinear", context=None)
    pieces, left_out = placed(source, model)
    held = {f"model.language_model.{name}.weight" for place, name, _ in linears(model) if place == "language"}
    if not card["nf4"] or full_precision:
        held = set()
    elif held:
        need_bitsandbytes()
    with torch.device("meta"):
        model = attach_qlora(model, QLora(card["rank"], card["alpha"], card["frozen_layers"], nf4=False))
    lora, modules = read_weights(model, folder)
    a, b = ({lora_target(key): t for key, t in lora.items() if f".lora_{x}." in key} for x in "AB")
    return pieces, left_out, Changes(
        {name: (a[name], b[name]) for name in a}, card["alpha"] / card["rank"],
        {f"model.{name}": tensor for name, tensor in modules.items()}, frozenset(held),
        getattr(torch, card.get("dtype", "float32")),
    )  # fmt: skip


def placed(source: Path, model: torch.nn.Module) -> tuple[list[Piece], list[str]]:
    """Find the stored tensor of every parameter, which keeps its key; also return the keys that belong to none."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = [replace(piece, name=parameter_name(piece.key)) for piece in headers(source)]
    if model.config.tie_word_embeddings and "lm_head.weight" not in {piece.name for piece in found}:
        del shapes["lm_head.weight"]  # the table of the words serves as both
    pieces = [piece for piece in found if piece.name in shapes]
    check_places(pieces, shapes, source, AGAIN)
    left_out = sorted(piece.key for piece in found if piece.name not in shapes)
    return [replace(piece, name=piece.key) for piece in pieces], left_out


def copy_files(source: Path, part: Path, about: dict) -> None:
    """Copy tokenizer, configs and preprocessor of the base, and say in a README what this folder is.

    A context beyond the base's own scales its positions: the merged config then says so.
    """
    for file in sorted(file for pattern in HUB_FILES for file in source.glob(pattern)):
        if not file.name.endswith((".safetensors", ".index.json", CARD_FILE)):
            shutil.copyfile(file, part / file.name)
    config, context = AutoConfig.from_pretrained(source), about["options"].get("context")
    if context and context > config.text_config.max_position_embeddings:
        set_context(config.text_config, context)
        config.save_pretrained(part)
    options = ", ".join(f"{name}={value!r}" for name, value in about["options"].items())
    trained = f"`load_base(..., {options})`" if options else "options that its card does not name"
    text = README.format(**about, trained=trained, weights=about["base_weights"], card=CARD_FILE,
                         kind=CLASSES[config.model_type].__name__)  # fmt: skip
    atomic_write_text(part / "README.md", text)
