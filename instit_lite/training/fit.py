"""A real base in training. In: a base, a profile, a card. Out: options of `run_sft`; layers checkpointed as needed.

The depth is that of `plan`: the least checkpointing with which the longest sample fits, because what is
checkpointed is computed twice. The paper does not print its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..errors import PreflightError
from ..model.cards import Card, card_of
from ..model.freeze import remove_input_grad_hooks
from ..model.load import Base
from ..model.visual import pool_mode, pools, tokens_per_frame
from ..profiles import Profile
from .plan import GIB, START, Plan, Request, choose, count_request, nearest

ROOM = 1024  # text tokens of one sample (ours): more are spread over several
REAL = {"lr": 2e-4, "projector_lr": 2e-5, "tower_lr": 2e-6, "warmup": 0.03}  # LLaVA's LoRA script; the paper gives none


def real_options(base: Base, profile: Profile, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Options of `run_sft` for a real base, none for the micro one; a GPU's layers are checkpointed as it needs it.

    One sample at a time: with 32 frames more would not fit a small card.
    """
    if profile.model == "micro":
        return {}
    if torch.cuda.is_available():
        request = longest_request(base, profile.n_frames, ROOM, profile.lora_rank)
        fit_to_card(base, request, card_of("own"), say)
    return REAL | {"accumulate": profile.sft_batch, "in_place": True}


def longest_request(base: Base, frames: int, room: int, rank: int) -> Request:
    """The longest clip of a run: `frames` frames, or what the context holds, and `room` text tokens."""
    text, model = base.model.config.text_config, base.model
    context, each = text.max_position_embeddings, Request.qa_tokens
    start = START[text.model_type] + each
    most = max(1, (context - start) // tokens_per_frame(model, pools(model, "video")))
    return Request(
        str(base.folder), min(frames, most), context, pool_mode(model), rank, qas=max(1, room // each), batch=1
    )


def fit_to_card(base: Base, request: Request, card: Card, say: Callable[[str], None] = print) -> Plan:
    """Checkpoint layers of a base, in place, so that a request fits a card; returns the plan.

    Raises `PreflightError`, with what would fit, where even the leanest way does not.
    """
    plan = choose(count_request(request, card), request, card)
    if plan.peak > card.usable:
        reason = f"training needs {plan.peak / GIB:.1f} GiB, {card.name} has {card.usable / GIB:.1f} usable"
        raise PreflightError(reason, path=base.folder, cure="; or ".join(nearest(request, card)))
    if plan.every:
        older = base.model.gradient_checkpointing_enable  # its name before transformers 5.23
        enable = getattr(base.model, "activation_checkpointing_enable", older)
        enable(every_n_layers=plan.every, offload=plan.offload)
        remove_input_grad_hooks(base.model)
    say(f"{card.name}: {plan.depth}, at most {plan.peak / GIB:.1f} GiB predicted")
    return plan
