"""Freeze the first encoder layers, and keep them out of the graph. In: a model. Out: the same model, frozen.

INST-IT's continuous SFT freezes the first 12 of 24 layers (paper section 4). Frozen must also mean "no backward pass":
the input-grad hooks that checkpointing installs would pull frozen layers into autograd.
"""

from __future__ import annotations

from torch import nn

from .visual import inner_model


def freeze_first_layers(model: nn.Module, k: int | None = None) -> int:
    """Freeze the tower's embeddings and its first `k` layers (default: half); the later ones are made trainable.

    Returns `k`. The tower's head after the last layer never trains: the selected features do not pass it.
    """
    tower = inner_model(model).vision_tower
    layers = tower.encoder.layers
    k = len(layers) // 2 if k is None else k
    tower.requires_grad_(False)
    for layer in layers[k:]:
        layer.requires_grad_(True)
    remove_input_grad_hooks(model)
    return k


def remove_input_grad_hooks(model: nn.Module) -> None:
    """Undo `enable_input_require_grads`, which makes even a fully frozen tower part of the backward pass."""
    for module in model.modules():
        if hasattr(module, "_require_grads_hook") or hasattr(module, "_require_grads_hooks"):
            module.disable_input_require_grads()
