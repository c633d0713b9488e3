"""The loss three ways: all logits, answers' logits, no logits. In: made states. Out: a table of time and memory.

`linear_cross_entropy` goes through the head in chunks and keeps no logits; the price is a second pass of products.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import torch
import torch.nn.functional as F
from torch import nn

from instit_lite.training.trainer import summed_loss

TOKENS, ANSWERS, WIDTH, VOCABULARY = 2484, 960, 512, 32_064  # one packed clip, Vicuna's words, an eighth of its width


def tables(quick: bool = False) -> Iterator[tuple[str, dict]]:
    yield "training_losses", loss_table(rounds=2 if quick else 7)


def all_logits(states: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What a model's own `labels=` does: logits of every position, then the labels say which count."""
    return F.cross_entropy(F.linear(states, weight).float(), labels, reduction="sum", ignore_index=-100)


def answer_logits(states: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits of answers only, all at once."""
    counts = labels != -100
    return F.cross_entropy(F.linear(states[counts], weight).float(), labels[counts], reduction="sum")


def chunked(states: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The kit's loss: answers only, chunk by chunk where torch has it."""
    counts = labels != -100
    return summed_loss(states[counts], weight, labels[counts])


WAYS: dict[str, Callable[..., torch.Tensor]] = {
    "full logits": all_logits, "answers' logits": answer_logits, "answers, linear_cross_entropy (ours)": chunked,
}  # fmt: skip


class PeakMemory:
    """Watch this process's memory while the context runs; `mib` is its highest growth, looked at every 0.5 ms."""

    def __enter__(self) -> PeakMemory:
        self.process, self.mib, self.done = psutil.Process(), 0.0, threading.Event()
        self.before = self.process.memory_info().rss
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self) -> None:
        while not self.done.wait(0.0005):
            self.mib = max(self.mib, (self.process.memory_info().rss - self.before) / 2**20)

    def __exit__(self, *problem: object) -> None:
        self.done.set()
        self.thread.join()


def loss_table(rounds: int, vocabulary: int = VOCABULARY) -> dict:
    """Time loss and gradient of the states in each way, interleaved; the head is frozen, as in training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    states = torch.randn(TOKENS, WIDTH, requires_grad=True)
    weight = nn.Parameter(torch.randn(vocabulary, WIDTH) * WIDTH**-0.5, requires_grad=False)
    labels = torch.full((TOKENS,), -100)
    labels[torch.randperm(TOKENS)[:ANSWERS]] = torch.randint(vocabulary, (ANSWERS,))
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    memory = {name: 0.0 for name in WAYS}
    losses, grads = {}, {}
    for _ in range(rounds + 1):
        for name, way in WAYS.items():
            states.grad = None
            with PeakMemory() as peak:
                start = time.perf_counter()
                loss = way(states, weight, labels)
                loss.backward()
                seconds[name].append(time.perf_counter() - start)
            memory[name], losses[name], grads[name] = max(memory[name], peak.mib), loss.item(), states.grad.clone()
            del loss
    first = next(iter(WAYS))
    rows = [
        [name, 1e3 * statistics.median(spent[1:]), memory[name],
         f"{abs(losses[name] / losses[first] - 1):.0e}",
         f"{float((grads[name] - grads[first]).norm() / grads[first].norm()):.0e}"]
        for name, spent in seconds.items()
    ]  # fmt: skip
    return {
        "title": f"Loss of {ANSWERS} answer tokens among {TOKENS}, vocabulary {vocabulary:,}, width {WIDTH}, fp32, "
        "one thread",
        "columns": ["way", "ms", "memory MiB", "loss apart", "gradient apart"],
        "rows": rows,
        "note": f"Forward and backward pass, medians of {rounds} interleaved rounds. memory: highest growth of the "
        "process; memory that it had freed and kept may hide a few MiB.",
    }
