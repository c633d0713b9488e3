"""Teach the vision tower to see. In: generated pictures with dense truth. Out: a tower whose patches know things.

Stands in for CLIP's web-scale pretraining, which a laptop cannot do: every patch is asked for the colour, shape,
size and position of the thing under it and for the digit printed there. Without this stage the language model
does not learn to read numbers at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..model.micro import IMAGE_SIDE, PATCH
from ..model.pixels import frames_to_pixels
from ..model.visual import inner_model
from ..scenes.facts import FrameFacts, InstanceFacts, frame_facts
from ..scenes.general import PrintedNumber, print_numbers
from ..scenes.render import render
from ..scenes.sample import sample_scene
from ..scenes.world import COLOURS, SHAPES, SIZES, Knobs
from .loop import train_loop
from .packing import IGNORE

GRID = IMAGE_SIDE // PATCH
X, Y = (a.ravel() for a in np.meshgrid(*2 * [(np.arange(GRID) + 0.5) / GRID]))  # centres of the patches
BINS = 8
HEADS = {"colour": len(COLOURS) + 1, "shape": len(SHAPES) + 1, "size": len(SIZES) + 1, "digit": 10, "x": BINS, "y": BINS}


class PatchProbe(nn.Module):
    """The tower with one linear classifier per fact on top of each patch; only the tower is kept."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.tower = inner_model(model).vision_tower
        self.heads = nn.Linear(self.tower.config.hidden_size, sum(HEADS.values()))

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pixels [B, 3, s, s] to logits per fact, each [B, g * g, classes]."""
        patches = self.tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        return dict(zip(HEADS, self.heads(patches).split(list(HEADS.values()), dim=-1)))


def draw_picture(
    seed: int, printed_share: float = 0.6, many: bool = False
) -> tuple[np.ndarray, FrameFacts, list[PrintedNumber]]:
    """One training picture at the tower's own side: a scene, a share of them with printed numbers, 2 to 5 or `many`."""
    rng = np.random.default_rng([seed, 1])
    moving = rng.random() < 0.3
    knobs = Knobs(n_things=(1, 4), motion=bool(moving), blur=float(rng.choice([0, 0, 0.006])))
    scene = sample_scene(seed, knobs)
    u = float(rng.uniform(0.05, 0.95))
    picture, _ = render(scene, u, IMAGE_SIDE)
    facts = frame_facts(scene, u)
    printed: list[PrintedNumber] = []
    if rng.random() < printed_share:
        picture, printed = print_numbers(picture, facts, rng, int(rng.integers(6, 10)) if many else None)
    return picture, facts, printed


def on_thing(facts: InstanceFacts) -> np.ndarray:
    """Patches that belong to a thing, bool [g * g]: their centres lie within 0.75 of its radius.

    Tight on purpose, as for numbers: loose targets keep digits at chance.
    """
    return np.hypot(X - facts.x, Y - facts.y) < 0.75 * facts.radius


def on_number(printed: PrintedNumber) -> np.ndarray:
    """Patches that belong to a printed number, bool [g * g]: their centres lie within half a patch of its own."""
    return np.maximum(np.abs(X - printed.x), np.abs(Y - printed.y)) <= 0.5 / GRID


def patch_targets(facts: FrameFacts, printed: list[PrintedNumber]) -> dict[str, np.ndarray]:
    """Labels per patch, each int64 [g * g]; 0 means nothing, `IGNORE` asks nothing."""
    labels = {name: np.zeros(GRID * GRID, np.int64) for name in HEADS}
    labels["x"] += IGNORE
    labels["y"] += IGNORE
    for f in facts.instances:
        on = on_thing(f)
        labels["colour"][on] = list(COLOURS).index(f.colour) + 1
        labels["shape"][on] = SHAPES.index(f.shape) + 1
        labels["size"][on] = list(SIZES).index(f.size) + 1
        labels["x"][on], labels["y"][on] = (int(np.clip(v * BINS, 0, BINS - 1)) for v in (f.x, f.y))
    for p in printed:
        labels["digit"][on_number(p)] = p.value
    return labels


def tower_batch(
    step: int, size: int, seed: int, printed_share: float = 0.6, many: bool = False
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Batch number `step`: pixels [size, 3, s, s] and labels per fact [size, g * g]."""
    drawn = [draw_picture(seed + step * size + i, printed_share, many) for i in range(size)]
    pixels = frames_to_pixels(np.stack([picture for picture, _, _ in drawn]), IMAGE_SIDE)
    labels = [patch_targets(facts, printed) for _, facts, printed in drawn]
    return pixels, {name: torch.from_numpy(np.stack([x[name] for x in labels])) for name in HEADS}


def patch_loss(
    logits: dict[str, torch.Tensor], labels: dict[str, torch.Tensor], digit_weight: float = 1.0
) -> torch.Tensor:
    """Sum of cross-entropies; empty patches weigh a fifth, since most patches show nothing."""
    total = torch.zeros(())
    for name, classes in HEADS.items():
        weight = torch.ones(classes)
        if name not in ("x", "y"):
            weight[0] = 0.2
        loss = F.cross_entropy(logits[name].flatten(0, 1), labels[name].flatten(), weight, ignore_index=IGNORE)
        total = total + loss * (digit_weight if name == "digit" else 1.0)
    return total


@dataclass(frozen=True)
class Phase:
    """One part of the tower's training. Digits come last to a tower: the later parts are mostly about them."""

    name: str
    steps: int
    lr: float
    printed_share: float
    digit_weight: float
    first_seed: int
    many: bool


PHASES = (
    Phase("see", 1500, 2e-3, 0.6, 1.0, 0, many=False),
    Phase("read", 900, 1.5e-3, 0.9, 3.0, 10**8, many=False),
    Phase("many", 1800, 1.5e-3, 0.9, 2.0, 3 * 10**8, many=True),
)


def train_tower(model: nn.Module, folder: Path, seed: int, share: float = 1.0, batch: int = 48) -> dict:
    """Train the tower of `model` in place, `share` of each phase's steps; return accuracies on fresh pictures."""
    probe = PatchProbe(model)
    for phase in PHASES:
        train_loop(
            probe,
            lambda data, phase=phase: patch_loss(probe(data[0]), data[1], phase.digit_weight),
            partial(tower_batch, size=batch, seed=seed + phase.first_seed,
                    printed_share=phase.printed_share, many=phase.many),
            folder / phase.name, steps=max(1, round(phase.steps * share)), lr=phase.lr,
        )  # fmt: skip
    return score_tower(probe, seed=10**9)


@torch.no_grad()
def score_tower(probe: PatchProbe, seed: int, size: int = 256) -> dict[str, float]:
    """Accuracy per fact over the patches that show something, on pictures never trained on."""
    pixels, labels = tower_batch(0, size, seed)
    logits = probe.eval()(pixels)
    scores = {}
    for name in HEADS:
        asked = labels[name] != IGNORE if name in ("x", "y") else labels[name] > 0
        scores[name] = round(float((logits[name].argmax(-1) == labels[name])[asked].float().mean()), 4)
    return scores
