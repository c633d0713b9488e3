"""A run's memory, foretold and measured. In: a model ready to train, some of its samples. Out: both, their ratio."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..model.memory import OUTSIDE, WEIGHTS, Work, count, memory_lines
from ..model.visual import inner_model
from .collator import Encoded
from .plan import Plan, joined, work_of


@dataclass
class Forecast:
    """Bytes at the peak of training, `predicted` and, after it, `measured`; None where the machine does not tell.

    `alike`: whether both count the same, so that their ratio says how good the prediction was.
    """

    predicted: int
    what: str
    alike: bool
    measured: int | None = None

    def __str__(self) -> str:
        """One line, in GiB."""
        seen = f"{self.measured / 2**30:.2f} GiB" if self.measured else "not to be seen"
        if self.measured and self.alike:
            seen += f", {self.measured / self.predicted:.2f} times that"
        return f"peak memory: predicted {self.predicted / 2**30:.2f} GiB, measured {seen} ({self.what})"


def noted(samples: Iterable[Encoded], packing: str, works: list[Work]) -> Iterator[Encoded]:
    """Pass samples on and note what each becomes in a batch, so that none is encoded twice."""
    for sample in samples:
        works.append(work_of(sample, packing))
        yield sample


def plan_run(model: nn.Module, works: Sequence[Work], clips: int) -> Plan:
    """Plan a run of a model that `attach_qlora` has prepared; `works` stand for its samples.

    A micro-batch takes `clips` of them in turn and is padded to the longest of all.
    """
    gpu = torch.cuda.is_available()
    work = joined([works[i % len(works)] for i in range(clips)])
    work = Work(work.rows, max(w.length for w in works), work.answers, work.views)
    layers = inner_model(model).language_model.layers
    light = sum(bool(getattr(layer, "gradient_checkpointing", False)) for layer in layers)
    every = round(len(layers) / light) if light else 0
    way = getattr(layers[0], "_gradient_checkpointing_func", None)  # a partial of torch's, or of one that offloads
    offload, width = getattr(way, "func", checkpoint) is not checkpoint, model.get_input_embeddings().weight.itemsize
    lines = memory_lines(count(model), work, width=width, every=every, offload=offload, gpu=gpu)
    return Plan(clips, work, every, offload, lines)


def summary(plan: Plan) -> str:
    """The plan in one line."""
    return (
        f"plan: {plan.clips} samples at a time, {plan.work.rows} rows of {plan.work.length:,} tokens, {plan.depth}: "
        f"{plan.peak / 2**30:.2f} GiB at the peak"
    )


@contextmanager
def forecast(plan: Plan) -> Iterator[Forecast]:
    """Measure a run inside the context, to be read after it.

    On a GPU: the most that torch's allocator reserved, to which CUDA's own context comes. On a CPU: how far the peak
    of the process's resident memory went beyond what it held before, weights included; None where an earlier peak hides
    it. That also holds kernels, and all that was freed and not given back: runs of the micro base grew by two to
    eight times their tensors.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        found = Forecast(plan.peak - plan.lines[OUTSIDE], "reserved by torch on the GPU", alike=True)
        yield found
        found.measured = torch.cuda.max_memory_reserved()
        return
    weights = sum(plan.lines[name] for name in WEIGHTS)
    what = "growth of the process's RSS, which counts kernels and freed memory too: not a test of the prediction"
    found = Forecast(plan.peak - weights, what, alike=False)
    earlier, now = peak_rss(), psutil.Process().memory_info().rss
    yield found
    found.measured = peak_rss() - now if peak_rss() > earlier else None


def peak_rss() -> int:
    """The most resident memory, in bytes, that this process has ever had."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # Unix only

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
