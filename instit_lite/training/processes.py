"""Several processes that train together. In: what a launcher put into the environment. Out: how many
there are, and which one this is.

`accelerate launch` and `torchrun` start the same program several times, one process a GPU. Each
takes its share of every batch; the main one alone writes and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import reduce

from ..errors import PreflightError

LAUNCHED = {"RANK", "WORLD_SIZE", "MASTER_ADDR"}  # a launcher sets all of them
SHARDING = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}
PATIENCE = timedelta(hours=3)  # the main process may count a whole dataset while the others wait


@dataclass(frozen=True)
class Processes:
    """How many processes train together, the index of this one, and its index on its own machine."""

    count: int = 1
    index: int = 0
    local: int = 0

    @property
    def main(self) -> bool:
        return self.index == 0

    @property
    def place(self) -> dict:
        """Options for `load_base`: each of several processes loads onto a GPU of its own."""
        return {"device_map": {"": self.local}} if self.count > 1 and torch.cuda.is_available() else {}

    def wait(self) -> None:
        """Go on when all processes have come this far."""
        if self.count > 1:
            PartialState().wait_for_everyone()

    def total(self, number: int) -> int:
        """Sum a number over all processes; all of them must ask."""
        if self.count == 1:
            return number
        return int(reduce(torch.tensor(number, device=PartialState().device), "sum"))

    def only_main(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """Let one process speak for all."""
        return say if self.main else lambda line: None


def processes() -> Processes:
    """Join the processes that a launcher started; without one, this process is alone.

    Raises `PreflightError` where the launcher wants weights sharded: an adapter is saved whole.
    """
    for name, what in SHARDING.items():
        if os.environ.get(name, "").lower() == "true":
            cure = "start without it: each GPU holds the whole base; for larger ones see docs/several-gpus.md"
            raise PreflightError(f"{what} shards the weights, and adapters are saved whole", cure=cure)
    if not LAUNCHED <= os.environ.keys() or int(os.environ["WORLD_SIZE"]) == 1:
        return Processes()
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    return Processes(state.num_processes, state.process_index, state.local_process_index)


def share(batch: int, accumulate: int, count: int) -> tuple[int, int]:
    """Deal a batch to `count` processes: samples that each takes at a time, and how many times a step.

    At a time it is never more than `batch // accumulate`, what one process alone would take. Raises
    `PreflightError` for a batch that cannot be dealt evenly.
    """
    times = -(-accumulate // count)
    if batch % (times * count):
        reason = f"a batch of {batch} cannot be dealt to {count} processes in {times} equal parts each"
        cure = "start a number of processes that divides `batch`, or change `accumulate`"
        raise PreflightError(reason, cure=cure)
    return batch // (times * count), times
