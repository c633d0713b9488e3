"""What a run is. In: a profile or settings, samples. Out: settings, and the run's identity for resuming."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from torch import nn

from ..errors import PreflightError
from ..profiles import Profile
from .collator import PACKINGS, Sample

PROBED = 16  # samples that stand for all where all would be too many


@dataclass(frozen=True)
class SftSettings:
    """Everything that decides a run's result.

    Of the paper is `frozen_layers`: None means its 12, or half of a small encoder. Every other default is ours, for
    the micro base: the paper prints no rate, batch, warm-up or number of steps, has no LoRA, and packs questions
    as `multi_turn`. A real base's rates are LLaVA's, see `fit.REAL`.
    `batch`: samples per optimiser step, computed in `accumulate` parts. `projector_lr`, `tower_lr`: None means
    `lr`. `warmup`: share of the steps. `save_every`: steps between checkpoints, None means a tenth of the run.
    """

    steps: int = 300
    batch: int = 32
    accumulate: int = 1
    lr: float = 1.2e-3
    projector_lr: float | None = None
    tower_lr: float | None = 2e-4
    warmup: float = 0.05
    rank: int = 32
    alpha: int | None = None
    frozen_layers: int | None = None
    nf4: bool = True
    packing: str = "shared_prefix"
    save_every: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch % self.accumulate:
            reason = f"a batch of {self.batch} cannot be split into {self.accumulate} equal parts"
            raise PreflightError(reason, cure="choose `accumulate` so that it divides `batch`")
        if self.packing not in PACKINGS:
            cure = f"use one of {', '.join(PACKINGS)}"
            raise PreflightError(f"there is no packing {self.packing!r}", cure=cure)

    @property
    def rates(self) -> dict[str, float]:
        """Learning rate of each kind of part."""
        return {
            "lora": self.lr,
            "projector": self.lr if self.projector_lr is None else self.projector_lr,
            "tower": self.lr if self.tower_lr is None else self.tower_lr,
        }


def settings_of(source: SftSettings | Profile | None, changes: dict) -> SftSettings:
    """Take settings as they are, or from a profile, with single changes."""
    if isinstance(source, Profile):
        source = SftSettings(steps=source.sft_steps, batch=source.sft_batch, rank=source.lora_rank)
    return replace(source or SftSettings(), **changes)


def spread(count: int) -> list[int]:
    """Choose up to `PROBED` indices, evenly spread over `count`."""
    return sorted({i * count // PROBED for i in range(PROBED)}) if count else []


def run_identity(model: nn.Module, samples: Sequence[Sample], settings: SftSettings) -> dict:
    """Say what makes a run this run: its settings, and hashes of its base and of `PROBED` of its samples."""
    decisive = asdict(settings)
    decisive.pop("save_every")
    return {
        "settings": decisive, "base": model_hash(model),
        "n_samples": len(samples), "samples": samples_hash(samples),
    }  # fmt: skip


def model_hash(model: nn.Module) -> str:
    """Hash some 16 values of every parameter: tells bases apart without reading all of a large one."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        flat = parameter.detach().reshape(-1)
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(flat[:: max(1, len(flat) // 16)].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def samples_hash(samples: Sequence[Sample]) -> str:
    digest = hashlib.sha256()
    for sample in (samples[i] for i in spread(len(samples))):
        turns = [tuple(turn) for turn in sample.turns]
        digest.update(repr((sample.kind, sample.context, turns)).encode())
        if sample.frames is not None:
            digest.update(repr(sample.frames.shape).encode() + sample.frames.tobytes())
    return digest.hexdigest()[:16]
