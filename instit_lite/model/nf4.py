"""NF4: the frozen language model in 4 bits. In: a model. Out: the same model, its language linears quantised.

Only the language model's linear layers are quantised, by place, never by a list of names to skip:
such lists match in surprising ways and have left vision towers in 4 bits without a word. Tower,
projector and head stay as they are.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterator

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from ..errors import ModelError
from .visual import inner_model

# For `from_pretrained`, which matches names from the start of their whole path: "vision_tower"
# alone skips nothing.
FULL_PRECISION = ("model.vision_tower", "model.multi_modal_projector", "lm_head")
PLACES = ("tower", "projector", "language", "head")
NO_BITSANDBYTES = (
    "bitsandbytes cannot be imported on this machine: the language model stays in full precision. "
    "LoRA trains as before, with more memory and without the quantisation gap."
)


def import_bitsandbytes() -> types.ModuleType | None:
    """Import bitsandbytes; None where it has no build."""
    try:
        import bitsandbytes
    except (ImportError, OSError, RuntimeError):
        return None
    return bitsandbytes


def need_bitsandbytes() -> types.ModuleType:
    """Import bitsandbytes; raise `ModelError` where it has no build."""
    bitsandbytes = import_bitsandbytes()
    if bitsandbytes is None:
        cure = "install it, or use a machine that has a build of it; to merge, --full-precision needs none"
        raise ModelError("bitsandbytes cannot be imported on this machine, and NF4 is its format", cure=cure)
    return bitsandbytes


def nf4_config(
    dtype: torch.dtype = torch.bfloat16, storage: torch.dtype | None = None
) -> BitsAndBytesConfig:
    """Settings for `from_pretrained(..., quantization_config=...)`: checkpoints too large to load
    before quantising.

    Call `quantise` on the loaded model as well: it checks the places. `storage`: the type in which
    the packed weights lie; FSDP needs the model's own, None means bytes.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_storage=storage, llm_int8_skip_modules=list(FULL_PRECISION),
    )  # fmt: skip


def quantise(model: nn.Module) -> int:
    """Turn the language model's linear layers into NF4 with double quantisation, in place; return
    how many there are.

    Computes in the weights' own type. Where bitsandbytes cannot be imported: warns, changes
    nothing, returns 0. Raises `ModelError` where anything but the language model is in 4 bits.
    """
    bitsandbytes = import_bitsandbytes()
    if bitsandbytes is None:
        warnings.warn(NO_BITSANDBYTES, stacklevel=2)
        return 0
    language = inner_model(model).language_model
    for name, module in list(language.named_modules()):
        if type(module) is nn.Linear:
            language.set_submodule(name, nf4_linear(bitsandbytes, module))
        elif is_nf4(module):
            module.support_avx512bf16_for_cpu = False
    model.is_loaded_in_4bit = True  # peft asks this before it puts LoRA on 4-bit layers
    check_places(model)
    return count_linears(model)["language"]["nf4"]


def nf4_linear(bitsandbytes: types.ModuleType, linear: nn.Linear) -> nn.Linear:
    """Quantise one linear layer on the device where it is."""
    weight = linear.weight.data
    with torch.device("meta"):
        layer = bitsandbytes.nn.Linear4bit(
            linear.in_features, linear.out_features, linear.bias is not None,
            compute_dtype=weight.dtype, compress_statistics=True, quant_type="nf4",
        )  # fmt: skip
    layer.weight = nf4_weight(bitsandbytes, weight, layer)
    layer.bias = linear.bias
    # On CPUs with bf16 instructions the first forward in eval mode would repack the weights for
    # bf16 inference, for good: coarser answers, and no gradients in any later training.
    layer.support_avx512bf16_for_cpu = False
    return layer.to(weight.device)


def nf4_weight(
    bitsandbytes: types.ModuleType, weight: torch.Tensor, layer: nn.Module | None = None
) -> nn.Parameter:
    """Wrap a weight that becomes NF4 once it is moved to a device, even to its own."""
    return bitsandbytes.nn.Params4bit(
        weight, requires_grad=False, compress_statistics=True, quant_type="nf4", module=layer
    )


def through_nf4(weight: torch.Tensor) -> torch.Tensor:
    """Quantise a weight as `quantise` does, and dequantise it: the same shape and type, and the
    values that a layer in NF4 computes with.

    Raises `ModelError` where bitsandbytes cannot be imported.
    """
    bitsandbytes = need_bitsandbytes()
    packed = nf4_weight(bitsandbytes, weight).to(weight.device)
    return bitsandbytes.functional.dequantize_4bit(packed.data, packed.quant_state)


def is_nf4(module: nn.Module) -> bool:
    """Tell whether a module is a linear layer that bitsandbytes holds in 4 bits."""
    return isinstance(module, nn.Linear) and hasattr(module.weight, "quant_state")


def linears(model: nn.Module) -> Iterator[tuple[str, str, nn.Linear]]:
    """Yield (place, name, layer) for every linear layer; places are tower, projector, language and head."""
    inner = inner_model(model)
    owners = (inner.vision_tower, inner.multi_modal_projector, inner.language_model)
    for place, owner in zip(PLACES, owners):
        for name, module in owner.named_modules():
            if isinstance(module, nn.Linear):
                yield place, name, module
    yield PLACES[-1], "lm_head", model.get_output_embeddings()


def count_linears(model: nn.Module) -> dict[str, dict[str, int]]:
    """Count linear layers by place and kind: {"tower": {"nf4": 0, "full": 24, "lora": 0}, "projector": ...}."""
    counts = {place: {"nf4": 0, "full": 0, "lora": 0} for place in PLACES}
    for place, name, layer in linears(model):
        kind = "lora" if "lora_" in name else "nf4" if is_nf4(layer) else "full"
        counts[place][kind] += 1
    return counts


def check_places(model: nn.Module) -> None:
    """Raise `ModelError` unless 4 bits are exactly where they belong."""
    counts = count_linears(model)
    wrong = [place for place in ("tower", "projector", "head") if counts[place]["nf4"]]
    if wrong:
        cure = "load with `nf4_config()`, whose skipped names are anchored"
        raise ModelError(f"{' and '.join(wrong)} in 4 bits", cure=cure)
    if counts["language"]["nf4"] and counts["language"]["full"]:
        raise ModelError(f"only a part of the language model is in 4 bits: {counts['language']}")
