"""Exercises of notebook 04: pooling, the token budget, freezing. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import torch

from ...model.visual import pool_grid
from .exercise import Exercise, Mistake


def pool(tokens: torch.Tensor) -> torch.Tensor:
    """Means of 2 x 2 neighbours on the grid: [F, g * g, d] to [F, g * g / 4, d]."""
    return pool_grid(tokens)


def blocks_of(tokens: torch.Tensor) -> torch.Tensor:
    """Cut each grid into 2 x 2 blocks: [F, g / 2, 2, g / 2, 2, d]."""
    f, n, d = tokens.shape
    half = math.isqrt(n) // 2
    return tokens.view(f, half, 2, half, 2, d)


def subsampled(tokens: torch.Tensor) -> torch.Tensor:
    return blocks_of(tokens)[:, :, 0, :, 0].flatten(1, 2)


def largest(tokens: torch.Tensor) -> torch.Tensor:
    return blocks_of(tokens).amax((2, 4)).flatten(1, 2)


def in_sequence(tokens: torch.Tensor) -> torch.Tensor:
    f, n, d = tokens.shape
    return tokens.view(f, n // 4, 4, d).mean(2)


def clip_tokens(n_frames: int, side: int, patch: int, pooled: bool) -> int:
    """Visual tokens of a clip of square frames; a pooled odd grid rounds up, as INST-IT's bilinear pooling does."""
    grid = side // patch
    return n_frames * (math.ceil(grid / 2) if pooled else grid) ** 2


def trains(name: str, n_layers: int) -> bool:
    """Whether a tower's parameter trains when its first half is frozen, embeddings included."""
    layer = re.search(r"\.layers\.(\d+)\.", name)
    return layer is not None and int(layer[1]) >= n_layers // 2


def by_prefix(name: str, n_layers: int) -> bool:
    return "layers" in name and not any(f"layers.{k}" in name for k in range(n_layers // 2))


def grids(rng: np.random.Generator) -> Iterator[tuple]:
    for f, g, d in ((1, 2, 1), (2, 4, 3), (1, 6, 5), (3, 8, 2)):
        yield (torch.from_numpy(rng.normal(size=(f, g * g, d)).astype(np.float32)),)


def budgets(rng: np.random.Generator) -> Iterator[tuple]:
    yield from ((32, 336, 14, True), (32, 384, 14, True), (1, 384, 14, False), (4, 64, 8, True))
    for _ in range(4):
        yield int(rng.integers(1, 33)), 14 * int(rng.integers(5, 30)), 14, bool(rng.integers(2))


def parameters(rng: np.random.Generator) -> Iterator[tuple]:
    for k in (0, 1, 2, 11, 12, 13, 20, 23):
        yield f"encoder.layers.{k}.mlp.fc1.weight", 24
    yield "embeddings.position_embedding.weight", 24
    yield f"encoder.layers.{rng.integers(4)}.self_attn.k_proj.bias", 4


EXERCISES = (
    Exercise(
        "04-pool", "pool", "Pool a grid", 10, 2, pool, grids,
        {
            "every second": Mistake(subsampled, "you keep one token of four and throw three away: take their mean"),
            "largest": Mistake(largest, "that is max pooling; INST-IT's bilinear pooling takes the mean of the four"),
            "in sequence": Mistake(in_sequence, "four neighbours in the sequence lie in one row of the grid: make a grid "
                                                "first, so that two come from the row below"),
        },
        ("A row of tokens is a grid that was written row by row.",
         "tokens.view(F, g, g, d) is the grid; a view [F, g/2, 2, g/2, 2, d] has the four neighbours on axes 2 and 4.",
         "tokens.view(F, g // 2, 2, g // 2, 2, d).mean((2, 4)).flatten(1, 2), with g = math.isqrt(n)."),
    ),
    Exercise(
        "04-budget", "clip_tokens", "Count a clip's tokens", 5, 1, clip_tokens, budgets,
        {
            "half": Mistake(lambda f, s, p, q: f * (s // p) ** 2 // (2 if q else 1),
                            "2 x 2 pooling leaves a quarter, not a half: both sides shrink"),
            "rounded down": Mistake(lambda f, s, p, q: f * ((s // p // 2) if q else s // p) ** 2,
                                    "27 becomes 14, not 13: INST-IT's bilinear pooling rounds an odd grid up"),
            "class token": Mistake(lambda f, s, p, q: f * ((math.ceil(s // p / 2) if q else s // p) ** 2 + 1),
                                   "the class token is dropped before the projector: it costs nothing here"),
        },
        ("How many patches has a side?", "side // patch, squared, is a whole grid; pooled, each side is halved.",
         "n_frames * math.ceil(grid / 2) ** 2 where pooled."),
        ((0, 336, 14, True),),
    ),
    Exercise(
        "04-trains", "trains", "Freeze the first half", 8, 2, trains, parameters,
        {
            "layer 1 in layer 12": Mistake(by_prefix, "\"layers.1\" is also in \"layers.12\": read the whole number"),
            "embeddings": Mistake(lambda n, k: trains(n, k) or "layers" not in n,
                                  "what comes before the first layer is frozen too, else gradients go all the way down"),
            "other half": Mistake(lambda n, k: "layers" in n and not trains(n, k), "that is the half that stays frozen"),
        },
        ("The layer's number is in the name.", "A regular expression reads it whole; no number means embeddings.",
         r"re.search(r\"\.layers\.(\d+)\.\", name), then int(...) >= n_layers // 2."),
        (("encoder.layers.2.mlp.fc1.weight", 5),),
    ),
)  # fmt: skip
