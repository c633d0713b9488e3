"""Exercises of notebook 05: labels, the packing mask, NF4, LoRA. In: nothing. Out: `EXERCISES`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ...training.packing import IGNORE, visible
from .exercise import Exercise, Mistake

NF4 = torch.tensor([
    -1.0, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911, 0.0,
    0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.7230, 1.0,
])  # its sixteen levels to four digits, as the notebook gives them


def labels_of(question: list[int], answer: list[int], end: int) -> list[int]:
    """Labels of question, answer and end token: -100 where nothing is to be learnt."""
    return [IGNORE] * len(question) + answer + [end]


def who_sees_whom(segments: torch.Tensor) -> torch.Tensor:
    """Bool [S, S], row sees column: segment 0 is the prefix, 1, 2, … are branches that do not see each other."""
    return visible(segments)


def in_blocks(segments: torch.Tensor) -> torch.Tensor:
    return (segments[:, None] == segments[None]).tril()


def not_causal(segments: torch.Tensor) -> torch.Tensor:
    return (segments[:, None] == segments[None]) | (segments[None] == 0)


def nf4(block: torch.Tensor) -> torch.Tensor:
    """A block of weights [n] as NF4 gives it back: scaled by its largest magnitude, moved to the nearest level."""
    return rounded(block, block.abs().max(), NF4)


def rounded(block: torch.Tensor, scale: torch.Tensor | float, levels: torch.Tensor) -> torch.Tensor:
    """Move each value to the nearest of `levels` times `scale`."""
    nearest = (block[:, None] / scale - levels[None]).abs().argmin(1)
    return levels[nearest] * scale


def lora(x: torch.Tensor, w: torch.Tensor, a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    """A frozen layer w [out, in] and its adapter a [r, in], b [out, r] on x [n, in]: [n, out]."""
    return x @ w.T + (alpha / a.shape[0]) * (x @ a.T @ b.T)


def dialogues(rng: np.random.Generator) -> Iterator[tuple]:
    for _ in range(4):
        ids = [int(i) for i in rng.integers(3, 90, 9)]
        yield ids[:5], ids[5:], 2


def rows(rng: np.random.Generator) -> Iterator[tuple]:
    yield (torch.tensor([0, 0, 1, 1, 2, 2]),)
    for _ in range(4):
        yield (torch.repeat_interleave(torch.arange(4), torch.from_numpy(rng.integers(1, 4, 4))),)


def blocks(rng: np.random.Generator) -> Iterator[tuple]:
    yield (torch.tensor([0.1, -0.8, 0.3, 0.05]),)
    for scale in (0.01, 1.0, 30.0):
        yield (torch.from_numpy(rng.normal(0, scale, 64).astype(np.float32)),)


def layers(rng: np.random.Generator) -> Iterator[tuple]:
    for r, alpha in ((1, 2.0), (4, 8.0), (8, 4.0)):
        shapes = ((5, 6), (7, 6), (r, 6), (7, r))
        yield *(torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in shapes), alpha


EXERCISES = (
    Exercise(
        "05-labels", "labels_of", "What is learnt", 5, 1, labels_of, dialogues,
        {
            "all": Mistake(lambda q, a, e: q + a + [e], "the model would learn to ask: only the answer is supervised"),
            "no end": Mistake(lambda q, a, e: [IGNORE] * len(q) + a + [IGNORE],
                              "without the end token in the labels it never learns to stop"),
            "shifted": Mistake(lambda q, a, e: [IGNORE] * (len(q) - 1) + a + [e, IGNORE],
                               "do not shift: the loss does that itself, a label stands at its own token"),
        },
        ("As many labels as tokens.", "-100 says: count nothing here.", "[-100] * len(question) + answer + [end]."),
        (([1], [], 2),),
    ),
    Exercise(
        "05-mask", "who_sees_whom", "The packing mask", 12, 3, who_sees_whom, rows,
        {
            "plain causal": Mistake(lambda s: torch.ones(len(s), len(s), dtype=torch.bool).tril(),
                                    "that is multi-turn: a branch sees the answers before it and copies them"),
            "no prefix": Mistake(in_blocks, "a branch must see the prefix, or it has no picture to answer from"),
            "not causal": Mistake(not_causal, "a token sees what comes after it: the answer would be given away"),
        },
        ("Three rules: nothing later; the own segment; and the prefix.",
         "segments[:, None] is the row's segment, segments[None, :] the column's.",
         "((rows == columns) | (columns == 0)).tril()."),
        ((torch.tensor([0]),),),
    ),
    Exercise(
        "05-nf4", "nf4", "NF4 by hand", 12, 2, nf4, blocks,
        {
            "largest value": Mistake(lambda b: rounded(b, b.max(), NF4),
                                     "scale by the largest magnitude: the largest weight may be negative"),
            "even levels": Mistake(lambda b: rounded(b, b.abs().max(), torch.linspace(-1, 1, 16)),
                                   "those levels are even (that is INT4). NF4's lie closer near 0, where weights are"),
            "no scale": Mistake(lambda b: rounded(b, 1.0, NF4), "scale to -1…1 first, and back at the end"),
            "not back": Mistake(lambda b: nf4(b) / b.abs().max(), "multiply by the scale again at the end"),
        },
        ("One scale for the block, sixteen levels.", "scale = block.abs().max(); then the nearest level of block / scale.",
         "NF4[(block[:, None] / scale - NF4[None]).abs().argmin(1)] * scale."),
    ),
    Exercise(
        "05-lora", "lora", "LoRA by hand", 8, 2, lora, layers,
        {
            "no scale": Mistake(lambda x, w, a, b, alpha: x @ w.T + x @ a.T @ b.T, "the update is scaled by alpha / r"),
            "alpha only": Mistake(lambda x, w, a, b, alpha: x @ w.T + alpha * (x @ a.T @ b.T),
                                  "divide alpha by r, so that another rank keeps the update's size"),
            "adapter only": Mistake(lambda x, w, a, b, alpha: alpha / len(a) * (x @ a.T @ b.T),
                                    "the frozen layer still answers; the adapter adds to it"),
        },
        ("Two thin matrices beside the frozen one.", "x @ a.T is [n, r]; times b.T it is [n, out].",
         "x @ w.T + alpha / a.shape[0] * (x @ a.T @ b.T)."),
    ),
)  # fmt: skip
