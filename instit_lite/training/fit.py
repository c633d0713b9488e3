"""Fit a run to a GPU. In: a base, its longest sample, a card. Out: the base, layers checkpointed as needed.

The depth is that of `plan`: the least checkpointing with which the longest sample fits, because what is
checkpointed is computed twice. The paper does not print its own.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import PreflightError
from ..model.cards import Card
from ..model.freeze import remove_input_grad_hooks
from ..model.load import Base
from ..model.visual import pool_mode, pools, tokens_per_frame
from .plan import GIB, START, Plan, Request, choose, count_request, nearest

QA_TOKENS = 90  # as in `plan`: what a text of `room` tokens is divided into


def longest_request(base: Base, frames: int, room: int, rank: int) -> Request:
    """The longest clip of a run: `frames` frames, or what the context holds, and `room` text tokens."""
    text, model = base.model.config.text_config, base.model
    context, qas = text.max_position_embeddings, max(1, room // QA_TOKENS)
    start = START[text.model_type] + QA_TOKENS
    most = max(1, (context - start) // tokens_per_frame(model, pools(model, "video")))
    return Request(str(base.folder), min(frames, most), context, pool_mode(model), rank, qas=qas,
                   qa_tokens=QA_TOKENS, batch=1)  # fmt: skip


def fit_to_card(base: Base, request: Request, card: Card, say: Callable[[str], None] = print) -> Plan:
    """Checkpoint layers of a base, in place, so that a request fits a card; returns the plan.

    Raises `PreflightError`, with what would fit, where even the leanest way does not.
    """
    plan = choose(count_request(request, card), request, card)
    if plan.peak > card.usable:
        reason = f"training needs {plan.peak / GIB:.1f} GiB, {card.name} has {card.usable / GIB:.1f} usable"
        raise PreflightError(reason, path=base.folder, cure="; or ".join(nearest(request, card)))
    if plan.every:
        base.model.activation_checkpointing_enable(every_n_layers=plan.every, offload=plan.offload)
        remove_input_grad_hooks(base.model)
    depth = f"1 layer in {plan.every} checkpointed" if plan.every else "no checkpointing"
    where = ", in host memory" if plan.offload else ""
    say(f"{card.name}: {depth}{where}, at most {plan.peak / GIB:.1f} GiB predicted")
    return plan
