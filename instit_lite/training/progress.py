"""Progress of a run, for people and for plots. In: the Trainer's logs. Out: `losses.jsonl` and a
line now and then.

One JSON object a step: step, loss (mean per answer token), lr, seconds (of training so far, earlier runs
included), tokens_per_second (of all processes, padding left out), memory_mb (MiB of this process: on a GPU
the most that tensors have taken during the run, without one what the whole process holds).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from transformers import TrainerCallback

from ..errors import InstitError
from .board import Board
from .processes import Processes
from .resume import cut_log
from .trainer import LossModule

LINES = 15  # lines that one run prints


class LossLog(TrainerCallback):
    """Write each step's loss and say how long the rest will take; stop a run whose loss is no
    number any more. Of several processes the main one writes, with the tokens of all.
    """

    def __init__(
        self, path: Path, module: LossModule, say: Callable[[str], None],
        team: Processes = Processes(), board: Board | None = None,
    ) -> None:  # fmt: skip
        self.path, self.module, self.say, self.team, self.board = path, module, say, team, board
        self.began = self.before = self.last = 0.0
        self.tokens = 0

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        rows = cut_log(self.path, state.global_step) if self.team.main else []
        self.before = rows[-1]["seconds"] if rows else 0.0
        self.began = self.last = time.perf_counter()
        self.first, self.tokens = state.global_step, self.team.total(self.module.tokens)
        if self.board and self.team.main:
            self.board.begin(state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "loss" not in logs:
            return
        now, tokens = time.perf_counter(), self.team.total(self.module.tokens)
        row = {
            "step": state.global_step,
            "loss": logs["loss"],
            "lr": logs["learning_rate"],
            "seconds": round(self.before + now - self.began, 3),
            "tokens_per_second": round((tokens - self.tokens) / (now - self.last)),
            "memory_mb": memory_mb(),
        }
        self.last, self.tokens = now, tokens
        if self.team.main:
            self.write(row)
        if not math.isfinite(row["loss"]):
            reason = f"the loss is {row['loss']} at step {row['step']}"
            raise InstitError(reason, path=self.path, cure="lower `lr`")
        if row["step"] % max(1, state.max_steps // LINES) == 0 or row["step"] == state.max_steps:
            self.say(self.line(row, state.max_steps, now))

    def on_train_end(self, args, state, control, **kwargs) -> None:
        if self.board:
            self.board.end()

    def write(self, row: dict) -> None:
        with open(self.path, "a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
        if self.board:
            self.board.add(row)

    def line(self, row: dict, steps: int, now: float) -> str:
        each = (now - self.began) / (row["step"] - self.first)
        left = (steps - row["step"]) * each
        return (
            f"  step {row['step']:>4}/{steps}  loss {row['loss']:.3f}  {each:.2f} s/step  "
            f"{row['tokens_per_second']:,} tokens/s  {row['memory_mb']:,} MB  {left / 60:.1f} min left"
        )


def memory_mb() -> int:
    """MiB: the most that tensors on this GPU have taken; without a GPU, this process's RSS."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(psutil.Process().memory_info().rss / 2**20)
