"""Precision of a run. In: a model as it was loaded. Out: the autocast type; trained weights in fp32 while it runs.

The paper does not print its precision. Here the stored type of the base decides: a bf16 or fp16 base computes under
autocast of that type, an fp32 one in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..errors import PreflightError

HALF = (torch.bfloat16, torch.float16)


def autocast_type(model: nn.Module) -> torch.dtype | None:
    """The type that a run computes in under autocast, None for plain fp32; `PreflightError` for fp16 on a CPU."""
    stored = model.get_input_embeddings().weight.dtype
    if stored == torch.float16 and not torch.cuda.is_available():
        raise PreflightError("the base is in fp16, which a CPU cannot train", cure="load it with dtype=torch.float32")
    return stored if stored in HALF else None


@contextmanager
def fp32_masters(model: nn.Module) -> Iterator[None]:
    """Hold every parameter that trains in fp32 inside the context, and in its own type again after it.

    In bf16 two neighbouring numbers lie 0.4 to 0.8 % apart: a step at the encoder's learning rate is rounded away. Frozen
    parameters, nearly all of the model, stay as they are.
    """
    low = {p: p.dtype for p in model.parameters() if p.requires_grad and p.dtype in HALF}
    for parameter in low:
        parameter.data = parameter.data.float()
    try:
        yield
    finally:
        for parameter, dtype in low.items():
            parameter.grad = None
            parameter.data = parameter.data.to(dtype)
