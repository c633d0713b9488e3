"""The context: how many positions a base has, and what to do when a clip needs more. In: a config. Out: a limit.

The paper trains 7B models at a context of "6K" with at most 32 frames (appendix on training). 32 frames of 14 x 14
tokens are 6,272: they do not fit. LLaVA's own code then cuts the end off, which is the answer; here it is an error.
"""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedConfig

from ..errors import ModelError, PreflightError
from .visual import pool_mode, pooled_side, pools, tokens_per_frame

PAPER_CONTEXT = 6144


def set_context(text: PreTrainedConfig, wanted: int | None = None) -> None:
    """Set the positions of a language model's config, in place; None takes the paper's 6,144, or all if it has fewer.

    More than the model was made for (Vicuna: 4,096) scales its rotary positions linearly, LLaVA-NeXT's own way out:
    it needs training. Raises `ModelError` where positions are scaled in another way already.
    """
    native = text.max_position_embeddings
    wanted = min(native, PAPER_CONTEXT) if wanted is None else wanted
    if wanted > native:
        rope = dict(text.rope_parameters or {})
        if rope.get("rope_type", "default") not in ("default", "linear"):
            reason = f"{wanted} positions wanted, but its {native} are scaled by {rope['rope_type']!r} already"
            raise ModelError(reason, cure=f"use context={native}")
        factor = rope.get("factor", 1.0) * wanted / native
        text.rope_parameters = rope | {"rope_type": "linear", "factor": factor}
    text.max_position_embeddings = wanted


def check_frames(model: nn.Module, n_frames: int, text: int = 0) -> None:
    """Refuse clips of `n_frames` frames with `text` other tokens that exceed the context; before any data is read."""
    needed = text + n_frames * tokens_per_frame(model, pools(model, "video"))
    room = model.config.text_config.max_position_embeddings
    if needed > room:
        reason = f"a clip of {n_frames} frames needs {needed:,} positions, the model has {room:,}"
        raise PreflightError(reason, cure=overflow_cure(model, needed, n_frames))


def overflow_cure(model: nn.Module, needed: int, n_frames: int = 0) -> str:
    """Spell out the ways to make `needed` positions fit, with their numbers; `n_frames`: the video frames in them.

    They are options of `load_base`, and of `instit-lite train` under the same names.
    """
    room, pooled = model.config.text_config.max_position_embeddings, pools(model, "video")
    each = tokens_per_frame(model, pooled)
    rest = needed - n_frames * each
    ways = ["use fewer frames", "pool them", "shorten the text"]
    if n_frames:
        fitting = max(0, room - rest) // each
        ways = [f"use fewer frames ({fitting} of {n_frames} fit)"] if fitting else ["shorten the text"]
        vision = model.config.vision_config
        small = pooled_side(vision.image_size // vision.patch_size, "average")
        if pooled and pool_mode(model) == "bilinear" and small**2 < each:
            total = rest + n_frames * small**2
            ways += [f'pool to {small} x {small} with pool="average" ({total:,} positions)']
    longer = -(-needed // 1024) * 1024
    return "; ".join([*ways, f"or a longer context with context={longer}"])
