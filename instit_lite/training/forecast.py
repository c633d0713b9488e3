"""A run's memory, foretold and measured. In: a model ready to train, some of its samples. Out: both, their ratio."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from torch import nn

from ..model.memory import OUTSIDE, WEIGHTS, Work, count, memory_lines, peak_of
from ..model.visual import inner_model
from .collator import Encoded
from .plan import Plan, joined, work_of
from .settings import SftSettings


@dataclass
class Forecast:
    """Bytes at the peak of training, `predicted` and, after it, `measured`; None where the machine does not tell."""

    predicted: int
    what: str
    measured: int | None = None

    @property
    def ratio(self) -> float | None:
        return self.measured / self.predicted if self.measured else None

    def __str__(self) -> str:
        """One line, in GiB."""
        seen = "not to be seen"
        if self.measured:
            seen = f"{self.measured / 2**30:.2f} GiB, {self.ratio:.2f} times that"
        return f"peak memory: predicted {self.predicted / 2**30:.2f} GiB, measured {seen} ({self.what})"


def noted(samples: Iterable[Encoded], packing: str, works: list[Work]) -> Iterator[Encoded]:
    """Pass samples on and note what each becomes in a batch, so that none is encoded twice."""
    for sample in samples:
        works.append(work_of(sample, packing))
        yield sample


def plan_run(model: nn.Module, works: Sequence[Work], settings: SftSettings) -> Plan:
    """Plan a run of a model that `attach_qlora` has prepared; `works` stand for its samples.

    A micro-batch takes them in turn and is padded to the longest of all.
    """
    clips, gpu = settings.batch // settings.accumulate, torch.cuda.is_available()
    work = joined([works[i % len(works)] for i in range(clips)])
    work = Work(work.rows, max(w.length for w in works), work.answers, work.views)
    layers = inner_model(model).language_model.layers
    light = sum(bool(getattr(layer, "gradient_checkpointing", False)) for layer in layers)
    every = round(len(layers) / light) if light else 0
    width = model.get_input_embeddings().weight.itemsize
    return Plan(clips, work, every, False, memory_lines(count(model), work, width=width, every=every, gpu=gpu))


def summary(plan: Plan) -> str:
    """The plan in one line."""
    work, depth = plan.work, f"1 layer in {plan.every} checkpointed" if plan.every else "no checkpointing"
    return (
        f"plan: {plan.clips} samples at a time, {work.rows} rows of {work.length:,} tokens, {depth}: "
        f"{plan.peak / 2**30:.2f} GiB at the peak"
    )


@contextmanager
def forecast(plan: Plan) -> Iterator[Forecast]:
    """Measure a run inside the context, to be read after it.

    On a GPU: the most that torch's allocator reserved, to which CUDA's own context comes. On a CPU: how far the peak
    of the process's resident memory went beyond what it held before, weights included; None where an earlier peak hides
    it. It also holds what was freed and not given back, so there the ratio says little.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        found = Forecast(plan.peak - plan.lines[OUTSIDE], "reserved by torch on the GPU")
        yield found
        found.measured = torch.cuda.max_memory_reserved()
        return
    weights = sum(plan.lines[name] for name in WEIGHTS)
    found = Forecast(plan.peak - weights, "growth of the process's peak RSS, with what was freed and kept")
    earlier, now = peak_rss(), psutil.Process().memory_info().rss
    yield found
    found.measured = peak_rss() - now if peak_rss() > earlier else None


def peak_rss() -> int:
    """The most resident memory, in bytes, that this process has ever had."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # Unix only

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
