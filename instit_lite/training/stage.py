"""One continuous SFT, as a notebook walks through it. In: a profile, a seed, the data. Out: a `Stage`.

Profiles smoke and micro train the micro base on the micro world. With another model (profile gpu) the base is
a real checkpoint and the data are INST-IT Dataset and LLaVA-NeXT-Data (paper section 4), folders or hub ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ..dataset.build import build_micro
from ..dataset.quarantine import Quarantine
from ..dataset.released import HUB_ID
from ..model.context import PAPER_CONTEXT
from ..model.load import Base, load_base
from ..model.nf4 import quantise
from ..profiles import Profile, build_dir, get_profile
from .collator import Sample
from .fit import real_options
from .recipe import samples_of
from .released import Source, samples_of_released

ALL_GRADIENTS = (
    "This lesson needs the gradients of all weights in fp32: the micro base and a few samples of the micro "
    "world take it, in place of {name}."
)


@dataclass
class Stage:
    """What an SFT starts from: `base`, `samples`, folder `out`, `options` of `run_sft` beside the profile.

    `real`: the base is a real checkpoint. `loaded`: the untrained base that was loaded last.
    """

    profile: Profile
    seed: int
    base: Base
    samples: Sequence[Sample]
    out: Path
    real: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    loaded: Base | None = None

    def untrained(self) -> Base:
        """Load the base once more, as it was before the training.

        On a GPU it stands beside the trained one; an untrained one that was loaded before makes room.
        """
        if not self.real:
            return load_base(self.profile.model)
        if self.loaded is not None:
            self.loaded.model.to("cpu")
        self.base.model.to(place())  # a finished run was only loaded, and not trained on the GPU
        self.loaded = load_to_ask(self.profile.model, context=PAPER_CONTEXT)
        return self.loaded

    def small(self, say: Callable[[str], None] = print) -> tuple[Base, Sequence[Sample]]:
        """A base and samples for lessons that need all gradients; says so where they are not the own ones."""
        if not self.real:
            return self.base, self.samples
        say(ALL_GRADIENTS.format(name=self.base.name))
        return micro_part(get_profile("smoke"), self.seed)

    def picture(self) -> Sample:
        """The first sample that is one picture, else the first with frames."""
        shown = (s for s in map(self.samples.__getitem__, range(len(self.samples))) if s.kind != "text")
        first = next(shown)
        return next((s for s in chain((first,), shown) if s.kind == "image" and len(s.frames) == 1), first)


def sft_stage(profile: Profile, seed: int, data: str = "", general: str = "") -> Stage:
    """Load the base of a profile and make its samples.

    `data`, `general`: folders or hub ids of INST-IT Dataset and LLaVA-NeXT-Data, for a real base; "": the
    hub's, and no general data.
    """
    if profile.model == "micro":
        base, samples = micro_part(profile, seed)
        return Stage(profile, seed, base, samples, build_dir("adapter", profile.name))
    out = build_dir("adapter", f"{profile.name}-notebook")  # not where `train` writes, which takes days
    base = load_base(profile.model, context=PAPER_CONTEXT)
    n, quarantine = profile.sft_steps * profile.sft_batch, Quarantine(out / "quarantine.jsonl")
    samples = samples_of_released(base, profile, Source(data or HUB_ID, general or None), n, seed, quarantine)
    return Stage(profile, seed, base, samples, out, True, real_options(base, profile))


def micro_part(profile: Profile, seed: int) -> tuple[Base, Sequence[Sample]]:
    """The micro base, and samples of a profile's micro dataset, which is built where it is not there yet."""
    base = load_base("micro")
    dataset = build_micro(profile, seed, build_dir("dataset", profile.name))
    n = profile.sft_steps * profile.sft_batch
    return base, samples_of(base, dataset.dialogues, dataset.general, dataset.folder, n, seed)


def load_to_ask(name: str, **options: Any) -> Base:
    """Load a base to look at it or to ask it: a real one in NF4, on the GPU where there is one."""
    base = load_base(name, **options)
    if name != "micro":
        quantise(base.model)
        base.model.to(place())
    return base


def place() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
