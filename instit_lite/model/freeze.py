"""Freeze the first encoder layers, and keep them out of the graph. In: a model. Out: the same model, frozen.

INST-IT's continuous SFT freezes the encoder's first 12 layers (paper section 4): half of CLIP-L's 24, and less than half
of the 26 that LLaVA keeps of SigLIP-SO400M. Frozen must also mean "no backward pass": the input-grad hooks that
checkpointing installs would pull frozen layers into autograd.
"""

from __future__ import annotations

from torch import nn

from .visual import inner_model


def papers_frozen(layers: int) -> int:
    """How many of an encoder's layers the paper freezes: 12, or half of a smaller encoder (ours)."""
    return min(12, layers // 2)


def freeze_first_layers(model: nn.Module, k: int | None = None) -> int:
    """Freeze the tower's embeddings and its first `k` layers (None: the paper's); the later ones are made trainable.

    Returns `k`. The tower's head after the last layer never trains: the selected features do not pass it.
    """
    tower = inner_model(model).vision_tower
    layers = tower.encoder.layers
    k = papers_frozen(len(layers)) if k is None else k
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
