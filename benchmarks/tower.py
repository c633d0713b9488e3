"""A frozen tower in and out of the graph. In: a made clip. Out: a table of a step's seconds and operations.

Stock checkpointing asks every embedding for gradients at its output, the tower's patches too: a frozen encoder is
then part of the backward pass (`model.freeze`). Losses and gradients are the same, only the work differs.
"""

from __future__ import annotations

import copy
import statistics
import time
import warnings
from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from _arms import Arm, collated, difference, made_clip, set_checkpointing
from instit_lite.training.trainer import packed_loss
from training import FRAMES, QA_TOKENS, QAS, START, tiny_model

WAYS = {  # name: (checkpointing, gradients asked for at the inputs)
    "out of the graph": (False, False),
    "in the graph": (False, True),
    "checkpointing, out of the graph": (True, False),
    "checkpointing, in the graph (stock)": (True, True),
}


def tables(quick: bool = False) -> Iterator[tuple[str, dict]]:
    yield "training_tower", tower_table(rounds=2 if quick else 15)


def placed(model: nn.Module, checkpoint: bool, inputs: bool) -> nn.Module:
    """Copy a model and put its frozen tower where it belongs, or where the stock hooks pull it."""
    model = copy.deepcopy(model).train()
    set_checkpointing(model, checkpoint)
    if inputs:
        model.enable_input_require_grads()
    return model


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def tower_table(rounds: int) -> dict:
    """Time a step in each way, interleaved, and count its products; encoder fully frozen, LoRA and projector train."""
    torch.set_num_threads(1)
    base = tiny_model(frozen_layers=99)
    batch = collated([made_clip(base, FRAMES, [QA_TOKENS] * QAS, start=START)], Arm("one clip"))
    models = {name: placed(base, *way) for name, way in WAYS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(rounds + 1):
            for name, model in models.items():
                model.zero_grad(set_to_none=True)
                start = time.perf_counter()
                packed_loss(model, batch).backward()
                seconds[name].append(time.perf_counter() - start)
        work = {name: operations(model, batch) for name, model in models.items()}
    first, expected = next(iter(WAYS)), gradients(models[next(iter(WAYS))])
    rows = []
    for name, model in models.items():
        ratios = [own / least for own, least in zip(seconds[name][1:], seconds[first][1:])]
        rows.append([name, 1e3 * statistics.median(seconds[name][1:]), statistics.median(ratios),
                     *work[name], f"{difference(gradients(model), expected):.0e}"])  # fmt: skip
    return {
        "title": "A fully frozen tower in and out of the graph, one packed clip, fp32, one thread",
        "columns": ["tower", "step ms", "times the first", "forward GFLOP", "backward GFLOP", "gradient apart"],
        "rows": rows,
        "note": f"Medians of {rounds} interleaved rounds. Operations of linear layers and of the patches; attention's "
        "own products are not counted. Recomputing counts as backward.",
    }


def operations(model: nn.Module, batch: dict) -> tuple[float, float]:
    """Count the operations of a forward and a backward pass, in GFLOP."""
    model.zero_grad(set_to_none=True)
    with FlopCounterMode(display=False) as forward:
        loss = packed_loss(model, batch)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops() / 1e9, backward.get_total_flops() / 1e9
