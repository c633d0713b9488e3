"""Proof that a run goes on where it was. In: a sealed checkpoint, the state that was loaded from it.
Out: one line, or a `ModelError`.

Loading can go wrong without a word: adapters start anew, an optimiser forgets, a sampler begins its
pass again. So each checkpoint says where the run stood, and a resumed run is compared with that
before its first step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import TrainerCallback

from ..errors import ModelError
from ..model.adapter import lora_weights, trained_modules
from .encoded import EncodedSamples
from .order import Order
from .processes import Processes
from .resume import read_seal, step_of

LOOKED_AT = 64  # values of each tensor of the optimiser
CURE = "start afresh with `resume=False`, or delete this checkpoint to go on from the one before"


def tensors_hash(named: Iterable[tuple[str, Any]], most: int | None = None) -> str:
    """Hash tensors under their names, all values or about `most` of each, evenly spread."""
    digest = hashlib.sha256()
    for name, tensor in named:
        flat = torch.as_tensor(tensor).detach().reshape(-1)
        kept = flat if most is None else flat[:: max(1, len(flat) // most)]
        digest.update(f"{name}{len(flat)}".encode() + kept.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's tensors by number of parameter and name: moments and steps."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{name}": value for i in sorted(state) for name, value in sorted(state[i].items())}


def standing(
    model: PeftModel, optimiser: torch.optim.Optimizer, schedule: Any, order: Order, step: int
) -> dict[str, Any]:
    """Where a run stands after `step` steps: what a checkpoint says and a resumed run must find.

    `adapter` hashes everything that trains, `optimiser` holds its steps and a hash of some of its
    moments, `next` is the sample that comes next, in the pass `pass`, counted from 0.
    """
    kept = optimiser_state(optimiser)
    steps = [int(value) for name, value in kept.items() if name.endswith(".step")]
    return {
        "step": step,
        "adapter": tensors_hash(sorted({**lora_weights(model), **trained_modules(model)}.items())),
        "optimiser": [max(steps, default=0), tensors_hash(kept.items(), LOOKED_AT)],
        "pass": order.place(step)[0],
        "next": order.next(step),
        "learning rate": [float(rate) for rate in schedule.get_last_lr()],
    }


class Proof(TrainerCallback):
    """Compare a resumed run with its checkpoint, and its first sample with the one that must come
    next; then say so. Raises `ModelError` where they differ.
    """

    def __init__(
        self, checkpoint: Path, model: PeftModel, order: Order, data: EncodedSamples, team: Processes,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.checkpoint, self.model, self.order, self.data = checkpoint, model, order, data
        self.team, self.say, self.proven = team, say, False

    def on_train_begin(self, args, state, control, optimizer=None, lr_scheduler=None, **kwargs) -> None:
        expected = read_seal(self.checkpoint)["standing"]
        found = standing(self.model, optimizer, lr_scheduler, self.order, state.global_step)
        for name, value in expected.items():
            if found.get(name) != value:
                self.refuse(name, value, found.get(name))
        self.data.first = None

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if self.proven:
            return
        expected = self.order.next(state.global_step, self.team.index)
        if self.data.first != expected:
            self.refuse("next sample", expected, self.data.first)
        self.proven = True
        self.say(self.line())

    def refuse(self, name: str, expected: Any, found: Any) -> None:
        reason = f"the resumed run is not the saved one: its {name} is {found}, the checkpoint's {expected}"
        raise ModelError(reason, path=self.checkpoint, cure=CURE)

    def line(self) -> str:
        """What was checked, in one line."""
        sealed = read_seal(self.checkpoint)
        found, wrote = sealed["standing"], sealed["processes"]
        by = "" if wrote == self.team.count else f" (by {wrote} processes, now {self.team.count})"
        return (
            f"  going on after step {step_of(self.checkpoint)}: {self.checkpoint.name}{by} is whole; "
            f"as saved are adapter {found['adapter']}, optimiser after {found['optimiser'][0]} steps, "
            f"sampler (next: sample {found['next']} of pass {found['pass'] + 1}), "
            f"learning rate {max(found['learning rate']):.3g}"
        )
