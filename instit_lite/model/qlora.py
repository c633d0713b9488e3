"""QLoRA: what trains and what does not. In: a base. Out: the base with LoRA, its trainable parts declared.

INST-IT's continuous SFT (paper section 4) freezes the first layers of the vision encoder and trains
the rest. Here the language model is frozen in NF4 and trains through LoRA; projector and later
encoder layers train in full.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from ..errors import ModelError
from .freeze import freeze_first_layers, remove_input_grad_hooks
from .nf4 import quantise
from .visual import inner_model

# Anchored to the language model: bare names such as "q_proj" would match the vision tower's
# attention too.
LORA_TARGETS = r"model\.language_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj"


@dataclass(frozen=True)
class QLora:
    """What the adapter consists of.

    The paper trains all weights of the language model: `rank`, `alpha` (LoRA's scale is alpha / rank; None means
    2 x rank) and `nf4` are ours. `frozen_layers`: encoder layers that stay frozen, counted from the pixels; None
    means the paper's 12, or half of a small encoder.
    """

    rank: int = 32
    alpha: int | None = None
    frozen_layers: int | None = None
    nf4: bool = True


@dataclass(frozen=True)
class Part:
    """One row of `trainable_parts`; `trains` counts the parameters that get gradients."""

    name: str
    parameters: int
    trains: int
    precision: str


def attach_qlora(model: nn.Module, settings: QLora = QLora()) -> PeftModel:
    """Quantise, add LoRA, freeze and unfreeze; the model is changed in place and returned wrapped.

    New LoRA weights come from torch's global generator: seed it first. Raises `ModelError` where
    the model carries an adapter already.
    """
    if any("lora_" in name for name, _ in model.named_parameters()):
        cure = "start from a fresh one: `load_base()`"
        raise ModelError("this model carries an adapter already", cure=cure)
    if settings.nf4:
        quantise(model)
    model.requires_grad_(False)
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha or 2 * settings.rank, lora_dropout=0.0,
        target_modules=LORA_TARGETS, bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a deprecated name
        wrapped = get_peft_model(model, config)
    model.__dict__.pop("peft_config", None)  # from here on only the wrapper has it
    inner_model(wrapped).multi_modal_projector.requires_grad_(True)
    freeze_first_layers(wrapped, settings.frozen_layers)
    freeze_unused_layers(wrapped)
    remove_input_grad_hooks(wrapped)
    return wrapped


def freeze_unused_layers(model: nn.Module) -> None:
    """Freeze encoder layers after the one whose features are used: no gradient ever reaches them."""
    layers = inner_model(model).vision_tower.encoder.layers
    selected = model.config.vision_feature_layer
    used = selected if selected >= 0 else len(layers) + 1 + selected
    for layer in layers[used:]:
        layer.requires_grad_(False)


def frozen_layers(model: nn.Module) -> int:
    """Count the encoder layers, from the pixels on, that do not train."""
    layers = inner_model(model).vision_tower.encoder.layers
    trains = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    return trains.index(True) if any(trains) else len(layers)


def part_of(name: str, frozen: int) -> str:
    """Name the part that a parameter of the inner model belongs to."""
    if "lora_" in name:
        return "LoRA on the language model"
    if name.startswith("vision_tower.encoder.layers."):
        number = int(name.split(".")[3])
        return f"encoder, first {frozen} layers" if number < frozen else "encoder, later layers"
    if name.startswith("vision_tower."):
        return "encoder, embeddings and norms"
    if name.startswith("multi_modal_projector."):
        return "projector"
    in_layers = name.startswith("language_model.layers.")
    return "language model" if in_layers else "embeddings, head, norms"


def placed_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield every parameter with the name of its part; words that input and output share come once."""
    frozen = frozen_layers(model)
    for name, parameter in inner_model(model).named_parameters():
        yield part_of(name, frozen), parameter
    head = model.get_output_embeddings().weight
    if head is not model.get_input_embeddings().weight:
        yield part_of("lm_head.weight", frozen), head


def trainable_parts(model: nn.Module) -> list[Part]:
    """Summarise what trains and what is frozen, with sizes and precisions."""
    rows = {}
    for part, parameter in placed_parameters(model):
        state = getattr(parameter, "quant_state", None)
        size = state.shape.numel() if state is not None else parameter.numel()
        precision = "nf4" if state is not None else str(parameter.dtype).removeprefix("torch.")
        row = rows.setdefault(part, [0, 0, set()])
        row[0] += size
        row[1] += size if parameter.requires_grad else 0
        row[2].add(precision)
    return [Part(part, *row[:2], " + ".join(sorted(row[2]))) for part, row in rows.items()]


def parts_table(parts: list[Part]) -> str:
    """Write `trainable_parts` as a text table."""
    lines = [f"{'part':<32}{'parameters':>14}{'trains':>14}  precision"]
    lines += [f"{p.name:<32}{p.parameters:>14,}{p.trains:>14,}  {p.precision}" for p in parts]
    total, trains = sum(p.parameters for p in parts), sum(p.trains for p in parts)
    lines += [f"{'together':<32}{total:>14,}{trains:>14,}  {trains / total:.1%} trains"]
    return "\n".join(lines)
