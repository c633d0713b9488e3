"""A plain resumable training loop. In: parameters, a loss and batches by step number. Out: trained parameters.

Used for making the base, where each step draws fresh scenes from its own number; the paper's SFT uses the HF
`Trainer` instead. A checkpoint is one safetensors file, replaced atomically, so a kill loses at most one interval.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset


class StepBatches(Dataset):
    """Batch number `step` is made by `make(step)`: the same after a resume as without one."""

    def __init__(self, make: Callable[[int], Any], steps: int) -> None:
        self.make, self.steps = make, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Any:
        return self.make(step)


def train_loop(
    module: nn.Module,
    loss_of: Callable[[Any], torch.Tensor],
    make: Callable[[int], Any],
    folder: Path,
    *,
    steps: int,
    lr: float,
    warmup: int = 100,
    every: int = 100,
    workers: int = 1,
) -> None:
    """Train the trainable parameters of `module` for `steps` steps of AdamW with a cosine schedule.

    Resumes from `folder/state.safetensors` where that exists; writes `folder/log.jsonl` as it goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(parameters.values(), lr=lr, betas=(0.9, 0.98), weight_decay=0.05)
    start = load_state(folder / "state.safetensors", parameters, optimiser)
    loader = DataLoader(StepBatches(make, steps), batch_size=None, sampler=range(start, steps),
                        num_workers=workers, prefetch_factor=4 if workers else None)  # fmt: skip
    began, losses = time.time(), []
    for step, batch in enumerate(loader, start=start):
        for group in optimiser.param_groups:
            group["lr"] = lr * schedule(step, steps, warmup)
        loss = loss_of(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % every == 0 or step + 1 == steps:
            report(folder, step + 1, steps, losses, (time.time() - began) / (step + 1 - start))
            save_state(folder / "state.safetensors", parameters, optimiser, step + 1)
            losses = []


def schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then cosine down to a twentieth."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share))


def report(folder: Path, step: int, steps: int, losses: list[float], seconds: float) -> None:
    mean = sum(losses) / len(losses)
    line = {"step": step, "loss": round(mean, 4), "seconds_per_step": round(seconds, 3)}
    with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    left = (steps - step) * seconds / 60
    print(f"  {folder.name}: step {step}/{steps}, loss {mean:.3f}, {left:.0f} min left", flush=True)


def save_state(path: Path, parameters: dict, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Write parameters, AdamW moments and the step as one safetensors file, atomically.

    Parameters that never had a gradient (the tower's unused last norm) have no moments and are left out.
    """
    moved = {n: p for n, p in parameters.items() if optimiser.state[p]}
    tensors = {f"parameter.{n}": p.detach() for n, p in moved.items()}
    for name, p in moved.items():
        for key in ("exp_avg", "exp_avg_sq"):
            tensors[f"{key}.{name}"] = optimiser.state[p][key]
    partial = path.with_suffix(".part")
    save_file({n: t.contiguous() for n, t in tensors.items()}, partial, metadata={"step": str(step)})
    os.replace(partial, path)


def load_state(path: Path, parameters: dict, optimiser: torch.optim.Optimizer) -> int:
    """Read what `save_state` wrote into the parameters and the optimiser; return the step to go on from."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
        known = set(file.keys())
        for name, p in parameters.items():
            if f"parameter.{name}" not in known:
                continue
            p.data.copy_(file.get_tensor(f"parameter.{name}"))
            moments = {key: file.get_tensor(f"{key}.{name}") for key in ("exp_avg", "exp_avg_sq")}
            optimiser.state[p] = {"step": torch.tensor(float(step)), **moments}
    print(f"  {path.parent.name}: resumed at step {step}", flush=True)
    return step
