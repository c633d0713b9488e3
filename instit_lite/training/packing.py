"""Shared-prefix packing: all questions about one visual input in one sequence. In: token ids. Out: tensors.

A visual input costs hundreds of tokens, a question a dozen. Packing writes the visual prefix once
and hangs every question on it as a branch. Three things make the result equal, in loss and in
gradients, to one sequence per question:

- a branch sees the prefix and itself, never another branch (`visible`);
- the positions of every branch restart right after the prefix (`shared_prefix`);
- a label never crosses branches: each branch starts with an unlabelled question token, so the
  usual shift by one predicts that token from the branch before it, and nobody counts it.

`multi_turn` (each branch sees the earlier ones: LLaVA's habit, the paper's section 4) and
`one_per_sample` are here for comparison. The first is as cheap but another objective: earlier
answers can be copied instead of looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

IGNORE = -100  # the label of a token that is not supervised
PADDING = -1  # the segment of a padding token
PREFIX = 0  # the segment that everyone sees; branches are 1, 2, ...


@dataclass(frozen=True)
class Branch:
    """A question and its answer as token ids; `ids[answer_start:]` is the answer with its end token."""

    ids: tuple[int, ...]
    answer_start: int

    def __post_init__(self) -> None:
        if not 0 < self.answer_start < len(self.ids):
            raise ValueError(
                f"answer_start {self.answer_start} of {len(self.ids)} tokens: a branch needs at "
                "least one question token, so that no label crosses branches, and one answer token"
            )

    def labels(self) -> list[int]:
        """The answer's ids where it stands, `IGNORE` on the question."""
        return [IGNORE] * self.answer_start + list(self.ids[self.answer_start :])


@dataclass(frozen=True)
class Packed:
    """One sequence of S tokens; every field is int64 [S]."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    position_ids: torch.Tensor
    segments: torch.Tensor

    def __len__(self) -> int:
        return len(self.input_ids)


def shared_prefix(prefix: Sequence[int], branches: Sequence[Branch]) -> Packed:
    """Pack a prefix and its branches into one sequence in which no branch sees another."""
    ids, labels = list(prefix), [IGNORE] * len(prefix)
    positions, segments = list(range(len(prefix))), [PREFIX] * len(prefix)
    for number, branch in enumerate(branches, start=1):
        ids += branch.ids
        labels += branch.labels()
        positions += range(len(prefix), len(prefix) + len(branch.ids))
        segments += [number] * len(branch.ids)
    return packed(ids, labels, positions, segments)


def multi_turn(prefix: Sequence[int], branches: Sequence[Branch]) -> Packed:
    """Write the branches as turns of one conversation: plain causal attention, positions run on."""
    ids, labels = list(prefix), [IGNORE] * len(prefix)
    for branch in branches:
        ids += branch.ids
        labels += branch.labels()
    return packed(ids, labels, list(range(len(ids))), [PREFIX] * len(ids))


def one_per_sample(prefix: Sequence[int], branches: Sequence[Branch]) -> list[Packed]:
    """Write each branch as a sequence of its own, with its own copy of the prefix."""
    return [multi_turn(prefix, [branch]) for branch in branches]


def packed(ids: list[int], labels: list[int], positions: list[int], segments: list[int]) -> Packed:
    fields = (ids, labels, positions, segments)
    return Packed(*(torch.tensor(field, dtype=torch.long) for field in fields))


def visible(segments: torch.Tensor) -> torch.Tensor:
    """Say who sees whom: bool [..., S, S], true where the query (row) may attend to the key (column).

    A token sees itself, and every earlier token of the prefix or of its own branch. Padding sees
    itself only, so that no row of the mask is empty.
    """
    size = segments.shape[-1]
    query, key = segments.unsqueeze(-1), segments.unsqueeze(-2)
    earlier = torch.ones(size, size, dtype=torch.bool, device=segments.device).tril()
    same_or_prefix = (key == query) | (key == PREFIX)
    real = (query != PADDING) & (key != PADDING)
    itself = torch.eye(size, dtype=torch.bool, device=segments.device)
    return (earlier & same_or_prefix & real) | itself


def attention_mask(segments: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Turn segments [B, S] into the mask that is added to attention scores: [B, 1, S, S], 0 or
    hugely negative.

    Always a float mask: eager attention would add a bool one as 0 and 1, and train the wrong thing
    without a word.
    """
    blocked = ~visible(segments).unsqueeze(-3)
    return torch.zeros(blocked.shape, dtype=dtype, device=segments.device).masked_fill_(
        blocked, torch.finfo(dtype).min
    )


def pad_rows(rows: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad sequences on the right to the longest one: `input_ids`, `labels`, `position_ids`,
    `segments`, each [B, S].
    """
    fills = {"input_ids": pad_id, "labels": IGNORE, "position_ids": 0, "segments": PADDING}
    return {
        name: torch.nn.utils.rnn.pad_sequence([getattr(row, name) for row in rows], True, fill)
        for name, fill in fills.items()
    }
