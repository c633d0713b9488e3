"""Samples to batches. In: frames with questions and answers. Out: padded packed token rows and
pixel values.

Images and videos train jointly, in one batch (paper section 4). A video's frames are pooled 2 x 2;
single images and image pairs keep their whole grid; text-only samples have no visual tokens at
all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import PreflightError
from ..model.load import Base
from ..model.visual import pools, tokens_per_frame
from .packing import (
    Branch,
    Packed,
    attention_mask,
    multi_turn,
    one_per_sample,
    pad_rows,
    shared_prefix,
)

KINDS = ("image", "video", "text")
PACKINGS = ("shared_prefix", "multi_turn", "one_per_sample")


@dataclass(frozen=True)
class Sample:
    """One visual input and what is asked about it.

    `frames`: uint8 [F, H, W, 3] RGB, or None for text only. `kind`: "image" (several frames:
    several images), "video" or "text". `turns`: (question, answer) pairs. `context`: text that
    stands before every question.
    """

    frames: np.ndarray | None
    kind: str
    turns: Sequence[tuple[str, str]]
    context: str = ""


@dataclass(frozen=True)
class Encoded:
    """A sample as the model sees it: token ids, and pixel values [F, 3, side, side] or None."""

    prefix: list[int]
    branches: list[Branch]
    pixels: torch.Tensor | None
    kind: str


def visual_ids(base: Base, kind: str, n_frames: int) -> list[int]:
    """The placeholder ids that visual tokens replace: one frame after the other, nothing between
    them.
    """
    if kind not in KINDS:
        cure = f"use one of {', '.join(KINDS)}"
        raise PreflightError(f"a sample is of kind {kind!r}", cure=cure)
    if kind == "text" or n_frames == 0:
        return []
    config = base.model.config
    placeholder = config.video_token_id if kind == "video" else config.image_token_id
    return [placeholder] * (n_frames * tokens_per_frame(base.model, pooled=pools(base.model, kind)))


def prefix_ids(base: Base, kind: str, n_frames: int, context: str = "") -> list[int]:
    """Everything that the questions of one sample share, up to and with the visual tokens."""
    visual = visual_ids(base, kind, n_frames)
    ids = base.ids(base.template.start) + visual
    if visual:
        ids += base.ids(base.template.gap)
    return ids + base.ids(context + base.template.gap) if context else ids


def prompt_ids(
    base: Base, kind: str, n_frames: int, question: str, context: str = ""
) -> list[int]:
    """The ids before an answer, exactly as training saw them: what `generate` starts from."""
    return prefix_ids(base, kind, n_frames, context) + base.ids(base.template.ask(question))


def encode_branches(base: Base, turns: Sequence[tuple[str, str]]) -> list[Branch]:
    """Tokenise questions and answers; only the answer and its end token are supervised."""
    template = base.template
    if not turns:
        return []
    texts = [template.ask(question) for question, _ in turns]
    texts += [template.answer(answer) for _, answer in turns]
    ids = base.tokenizer(texts, add_special_tokens=False)["input_ids"]
    pairs = zip(ids[: len(turns)], ids[len(turns) :])
    return [Branch((*asked, *answered), len(asked)) for asked, answered in pairs]


def encode(base: Base, sample: Sample) -> Encoded:
    """Turn a sample into token ids and pixel values."""
    n_frames = 0 if sample.frames is None else len(sample.frames)
    return Encoded(
        prefix_ids(base, sample.kind, n_frames, sample.context),
        encode_branches(base, sample.turns),
        base.pixels(sample.frames) if n_frames else None,
        sample.kind,
    )


def pack(sample: Encoded, packing: str = "shared_prefix") -> list[Packed]:
    """Pack one sample into rows: one row, or one per question for `one_per_sample`."""
    if packing == "shared_prefix":
        return [shared_prefix(sample.prefix, sample.branches)]
    if packing == "multi_turn":
        return [multi_turn(sample.prefix, sample.branches)]
    if packing == "one_per_sample":
        return one_per_sample(sample.prefix, sample.branches)
    cure = f"use one of {', '.join(PACKINGS)}"
    raise PreflightError(f"there is no packing {packing!r}", cure=cure)


def batch_of(
    samples: Sequence[Encoded], pad_id: int, packing: str = "shared_prefix"
) -> dict[str, torch.Tensor]:
    """Join encoded samples to a batch of B rows of S tokens.

    Returns `input_ids`, `labels`, `position_ids`, `segments` [B, S], `attention_mask` float [B, 1,
    S, S] and, where there are any, `image_pixels` and `video_pixels` [F, 3, side, side], frames in
    the order of their placeholders.
    """
    rows: list[Packed] = []
    pixels: dict[str, list[torch.Tensor]] = {"image": [], "video": []}
    for sample in samples:
        own = pack(sample, packing)
        rows += own
        if sample.pixels is not None:
            pixels[sample.kind] += [sample.pixels] * len(own)
    batch = pad_rows(rows, pad_id)
    batch["attention_mask"] = attention_mask(batch["segments"])
    return batch | {f"{kind}_pixels": torch.cat(found) for kind, found in pixels.items() if found}


def collate(
    base: Base, samples: Sequence[Sample], packing: str = "shared_prefix"
) -> dict[str, torch.Tensor]:
    """Encode samples and join them to a batch; see `batch_of`."""
    encoded = [encode(base, sample) for sample in samples]
    return batch_of(encoded, base.tokenizer.pad_token_id, packing)
