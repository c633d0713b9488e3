"""Arithmetic of a training step. In: a counted model and a micro-batch. Out: FLOPs by part.

A product of [n, a] and [a, b] is 2 n a b FLOPs. The frozen base needs gradients of its inputs only, so its backward
pass costs one forward pass, not two; what is frozen before anything that trains needs none.
"""

from __future__ import annotations

from .memory import Counted, Work, checkpointed


def step_flops(counted: Counted, work: Work, every: int = 0) -> dict[str, float]:
    """FLOPs of a forward and backward pass over `work`, where every `every`-th layer is checkpointed; 0: none."""
    text, vision, tokens = counted.config.text_config, counted.config.vision_config, work.rows * work.length
    # Causal: half of all pairs. Backward, attention multiplies five times where it did twice.
    attention = 2 * text.hidden_size * tokens * work.length * counted.layers
    language, n = 2 * counted.language.parameters * tokens + attention, counted.encoded
    layer = 8 * vision.hidden_size**2 + 4 * vision.hidden_size * vision.intermediate_size + 4 * n * vision.hidden_size
    layer, later = layer * n * work.views, counted.later
    projector = 2 * counted.projector.parameters * counted.grid * work.views
    return {
        "language model, forward": language,
        "language model, backward": language + 1.5 * attention,
        "language model, recomputed": language * checkpointed(counted.layers, every) / counted.layers,
        "LoRA": 6 * counted.lora.parameters * tokens,
        "head": 4 * text.vocab_size * text.hidden_size * work.answers,
        "encoder, forward": layer * vision.num_hidden_layers,  # stock classes compute the last one too, used or not
        "later encoder layers, backward": layer * (2 * later + checkpointed(later, every)),
        "projector": projector * (3 if later else 2),
    }
