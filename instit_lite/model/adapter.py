"""An adapter on disk. In: a model with LoRA, or an adapter folder. Out: the folder, or the model
as it was trained.

A folder holds peft's own two files (`adapter_model.safetensors`, `adapter_config.json`: LoRA,
readable by any peft tool), `trained_modules.safetensors` (projector and later encoder layers: LoRA
alone is not the model that was trained) and `adapter_card.json`, which names the base, what it was
loaded with, and the hashes of the weight files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import ModelError
from .load import Base, weights_hash
from .nf4 import count_linears
from .options import check_options, stretch
from .qlora import QLora, attach_qlora, frozen_layers
from .visual import inner_model

LORA_FILE = "adapter_model.safetensors"
MODULES_FILE = "trained_modules.safetensors"
CARD_FILE = "adapter_card.json"


def base_hash(base: Base) -> str:
    """Hash of the base's weight files; empty for a base that lives in memory only."""
    return weights_hash(base.folder) if any(Path(base.folder).glob("*.safetensors")) else ""


def lora_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    """LoRA's tensors under the names that peft gives them in files."""
    return get_peft_model_state_dict(model, save_embedding_layers=False)


def trained_modules(model: PeftModel) -> dict[str, nn.Parameter]:
    """The parameters that train in full: projector and later encoder layers."""
    named = inner_model(model).named_parameters()
    return {name: p for name, p in named if p.requires_grad and "lora_" not in name}


def base_facts(base: Base) -> dict[str, Any]:
    """What an adapter's card keeps of its base: the keyword arguments of `save_adapter`."""
    return {"base": base.name, "weights": base_hash(base), "options": base.options}


def save_adapter(
    model: PeftModel, folder: str | Path, base: str = "", weights: str = "",
    options: dict[str, Any] | None = None,
) -> Path:  # fmt: skip
    """Write everything that training changed; the folder appears whole or not at all.

    `base`, `weights` and `options`: name and hash of the base the adapter belongs to, and what
    `load_base` was asked for; see `base_facts`.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write_files(model, partial, {"base": base, "base_weights": weights, "options": options or {}})
        swap_in(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def write_files(model: PeftModel, folder: Path, facts: dict[str, Any]) -> None:
    config = model.peft_config["default"]
    config.save_pretrained(folder)
    save_file(plain(lora_weights(model)), folder / LORA_FILE)
    save_file(plain(trained_modules(model)), folder / MODULES_FILE)
    card = {
        "format": 1, **facts, "stretch": stretch(model),
        "dtype": str(model.get_input_embeddings().weight.dtype).removeprefix("torch."),
        "rank": config.r, "alpha": config.lora_alpha, "frozen_layers": frozen_layers(model),
        "nf4": count_linears(model)["language"]["nf4"] > 0,
        "files": {name: file_hash(folder / name) for name in (LORA_FILE, MODULES_FILE)},
    }  # fmt: skip
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def plain(tensors: dict) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def file_hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def swap_in(partial: Path, folder: Path) -> None:
    """Put a finished folder in the place of an older one."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)


def adapter_folder(path: str | Path) -> Path:
    """The adapter's own folder, given that or the folder of the run that made it."""
    path = Path(path)
    return path / "adapter" if (path / "adapter").is_dir() else path


def read_card(folder: str | Path) -> dict:
    """Read an adapter's card and check that its weight files are the ones it names; raises `ModelError`."""
    folder, cure = Path(folder), "train again, or copy the whole folder again"
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        files = card["files"]
    except (OSError, ValueError, KeyError) as problem:
        raise ModelError(f"not an adapter folder ({problem})", path=folder, cure=cure) from problem
    for name, expected in files.items():
        if not (folder / name).exists() or file_hash(folder / name) != expected:
            raise ModelError(f"{name} is missing or damaged", path=folder, cure=cure)
    return card


def load_adapter(base: Base, folder: str | Path) -> Base:
    """Put a saved adapter on a fresh base; `base.model` is changed in place, and returned wrapped
    and in eval mode.

    Raises `ModelError` where the folder is damaged, or the adapter belongs to another base or to
    one that was loaded with other options.
    """
    card = read_card(folder)
    check_base(card, base.name, base_hash(base), folder)
    check_options(card, base, folder)
    settings = QLora(card["rank"], card["alpha"], card["frozen_layers"], card["nf4"])
    model = attach_qlora(base.model, settings)
    load_weights(model, folder)
    return replace(base, model=model.eval())


def check_base(card: dict, name: str, weights: str, folder: str | Path) -> None:
    """Raise `ModelError` unless `weights` is the hash that an adapter's card names; an empty hash
    is not compared.
    """
    if weights and card["base_weights"] and weights != card["base_weights"]:
        trained = f"{card['base']!r} ({card['base_weights']})"
        reason = f"this adapter was trained on base {trained}, not on {name!r} ({weights})"
        raise ModelError(reason, path=folder, cure="load the base that its card names")


def load_weights(model: PeftModel, folder: str | Path) -> None:
    """Read a folder's tensors into a model with LoRA."""
    lora, modules = read_weights(model, folder)
    set_peft_model_state_dict(model, lora)
    with torch.no_grad():
        for name, parameter in trained_modules(model).items():
            parameter.copy_(modules[name])


def read_weights(model: PeftModel, folder: str | Path) -> tuple[dict, dict]:
    """Read a folder's tensors by name, LoRA's and the trained modules'; every one must fit the
    model, none may be missing.

    The model may be on the meta device. Raises `ModelError`.
    """
    folder = Path(folder)
    try:
        lora, modules = load_file(folder / LORA_FILE), load_file(folder / MODULES_FILE)
    except (OSError, SafetensorError) as problem:
        reason = f"weights cannot be read ({problem})"
        raise ModelError(reason, path=folder, cure="train again") from problem
    check_fit(folder, lora_weights(model), lora)
    check_fit(folder, trained_modules(model), modules)
    return lora, modules


def check_fit(folder: Path, expected: dict, found: dict) -> None:
    """Raise `ModelError` unless both have the same names and shapes."""
    shapes = [{(name, *t.shape) for name, t in tensors.items()} for tensors in (expected, found)]
    differ = sorted(shapes[0] ^ shapes[1])
    if differ:
        raise ModelError(
            f"its tensors do not fit the model, for example {differ[0][0]}", path=folder,
            cure="use the same base, rank and frozen layers as in training",
        )  # fmt: skip
