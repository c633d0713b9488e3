"""In which order samples are used. In: their number, a seed, how a batch is dealt. Out: indices, pass
by pass.

Each pass takes every sample once, in an order that depends on the seed and the number of the pass alone: at
any step, after any kill and with any number of processes, the next sample is known beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback

BLANK = -1  # no sample: fills the last batch of a pass, so that all processes have equally much to do


class Order(Sampler[int]):
    """Indices of `n` samples, drawn `batch` a step, by `count` processes that take `at_once` each."""

    def __init__(self, n: int, seed: int, batch: int, at_once: int, count: int = 1) -> None:
        self.n, self.seed, self.batch, self.at_once, self.count = n, seed, batch, at_once, count
        self.number = 0

    def set_epoch(self, number: int) -> None:
        """Choose the pass that is iterated next; the name is what torch's and accelerate's loaders call."""
        self.number = number

    def __len__(self) -> int:
        group = self.at_once * self.count if self.count > 1 else 1
        return -(-self.n // group) * group

    def __iter__(self) -> Iterator[int]:
        yield from self.shuffled(self.number)
        yield from [BLANK] * (len(self) - self.n)

    def shuffled(self, number: int) -> list[int]:
        return torch.randperm(self.n, generator=torch.Generator().manual_seed(self.seed + number)).tolist()

    def place(self, step: int) -> tuple[int, int]:
        """The pass and the place in it at which a run stands after `step` steps."""
        number, within = divmod(step, -(-self.n // self.batch))
        return number, within * self.batch

    def next(self, step: int, process: int = 0) -> int:
        """The sample that a process takes first after `step` steps."""
        number, place = self.place(step)
        place += process * self.at_once
        return self.shuffled(number)[place] if place < self.n else BLANK


class Passes(TrainerCallback):
    """Tell the order which pass begins: after a resume among several processes, no loader does."""

    def __init__(self, order: Order) -> None:
        self.order = order

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self.order.set_epoch(self.order.place(state.global_step)[0])
