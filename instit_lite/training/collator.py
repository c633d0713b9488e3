"""Samples to batches. In: frames with questions and answers. Out: padded packed token rows and pixel values.

Images and videos train jointly, in one batch (paper section 4). A video's frames are pooled 2 x 2;
image pairs keep their whole grid; a single image does so too, and is cut into tiles where the base
has AnyRes; text-only samples have no visual tokens at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import PreflightError
from ..model.anyres import image_tokens, uses_anyres
from ..model.load import Base
from ..model.templates import split_space
from ..model.visual import pools, tokens_per_frame
from .packing import Branch, Packed, attention_mask, multi_turn, one_per_sample, pad_rows, shared_prefix

KINDS = ("image", "video", "text")
PACKINGS = ("shared_prefix", "multi_turn", "one_per_sample")


@dataclass(frozen=True)
class Sample:
    """One visual input and what is asked about it.

    `frames`: uint8 [F, H, W, 3] RGB, or None for text only. `kind`: "image" (several frames:
    several images), "video" or "text". `turns`: (question, answer) pairs. `context`: text that
    stands before every question. `names`: what the parts of the visual input are called, where a
    clip's frames are not 1, 2, ...; one picture with several names is cut in as many strips.
    `marked`: whether its source says that the frames carry marks; None where nobody says.
    """

    frames: np.ndarray | None
    kind: str
    turns: Sequence[tuple[str, str]]
    context: str = ""
    names: tuple[int, ...] = ()
    marked: bool | None = None


@dataclass(frozen=True)
class Encoded:
    """A sample as the model sees it: token ids, and pixel values [F, 3, side, side] or None.

    `size`: (height, width) of an image that AnyRes cut into F views.
    """

    prefix: list[int]
    branches: list[Branch]
    pixels: torch.Tensor | None
    kind: str
    size: tuple[int, int] | None = None


def visual_ids(base: Base, kind: str, n_frames: int, size: tuple[int, int] | None = None) -> list[int]:
    """The placeholder ids that visual tokens replace: one frame after the other, nothing between
    them. `size`: (height, width) of the frames, which decides how many tokens AnyRes makes.
    """
    if kind not in KINDS:
        cure = f"use one of {', '.join(KINDS)}"
        raise PreflightError(f"a sample is of kind {kind!r}", cure=cure)
    if kind == "text" or n_frames == 0:
        return []
    config = base.model.config
    placeholder = config.video_token_id if kind == "video" else config.image_token_id
    if uses_anyres(base.model, kind, n_frames):
        if size is None:
            cure = "give `size`, the image's height and width"
            raise PreflightError("an AnyRes image needs its size to know its tokens", cure=cure)
        return [placeholder] * image_tokens(base.model, size)
    return [placeholder] * (n_frames * tokens_per_frame(base.model, pooled=pools(base.model, kind)))


def named(base: Base, visual: list[int], names: Sequence[int]) -> list[int]:
    """Cut visual tokens evenly and write its name, `<3>`, before each part, where the template does so.

    What a token attends to carries no position of its own: from the name before it, a visual token learns
    which frame it belongs to. INST-IT leaves this to the positions, which a large model can count.
    """
    if not base.template.frame or not names:
        return visual
    size = len(visual) // len(names)
    cut = [visual[i : i + size] for i in range(0, len(visual), size)]
    return [token for t, part in zip(names, cut) for token in base.ids(base.template.frame.format(t)) + part]


def prefix_ids(
    base: Base, kind: str, n_frames: int, context: str = "", size: tuple[int, int] | None = None,
    names: Sequence[int] = (),
) -> list[int]:  # fmt: skip
    """Everything that the questions of one sample share, up to and with the visual tokens."""
    names = names or (range(1, n_frames + 1) if n_frames > 1 else ())
    template, visual = base.template, named(base, visual_ids(base, kind, n_frames, size), names)
    if visual:
        ids = base.ids(template.start) + visual + base.ids(template.gap)
        return ids + base.ids(context + template.gap, template.gap) if context else ids
    return base.ids(template.start + context + template.gap if context else template.opening(shared=False)[0])


def prompt_ids(
    base: Base, kind: str, n_frames: int, question: str, context: str = "", size: tuple[int, int] | None = None
) -> list[int]:
    """The ids before an answer, exactly as training saw them: what `generate` starts from."""
    before, lead = base.template.opening(shared=n_frames > 0 or bool(context))
    prefix = prefix_ids(base, kind, n_frames, context, size)
    return prefix + base.ids(lead + base.template.ask(question), before)


def encode_branches(
    base: Base, turns: Sequence[tuple[str, str]], shared: bool = True, packing: str = PACKINGS[0]
) -> list[Branch]:
    """Tokenise questions and answers; only the answer and its end token are supervised.

    `shared`: visual tokens or a context stand before the questions. In `multi_turn` packing all but
    the first begin with what the template puts between turns.
    """
    template, between = base.template, base.template.again
    if not turns:
        return []
    if packing == "multi_turn" and between and len(turns) > 1:
        first = encode_branches(base, turns[:1], shared)
        before, lead = split_space(between)
        return first + branches_after(base, turns[1:], base.ids(before), before, lead)
    return branches_after(base, turns, [], *template.opening(shared))


def branches_after(
    base: Base, turns: Sequence[tuple[str, str]], own: list[int], before: str, lead: str
) -> list[Branch]:
    """Tokenise turns that go on from the text `before`; each begins with the ids `own`."""
    template = base.template
    asked = base.ids_of([lead + template.ask(question) for question, _ in turns], before)
    answered = base.ids_of([template.answer(answer) for _, answer in turns], template.assistant)
    return [Branch((*own, *q, *a), len(own) + len(q)) for q, a in zip(asked, answered)]


def encode(base: Base, sample: Sample, packing: str = PACKINGS[0]) -> Encoded:
    """Turn a sample into token ids, as `packing` needs them, and pixel values."""
    frames, n_frames, pixels, size = sample.frames, 0, None, None
    if frames is not None and len(frames):
        n_frames, (pixels, size) = len(frames), base.views(frames, sample.kind)
    prefix = prefix_ids(base, sample.kind, n_frames, sample.context, size, sample.names)
    branches = encode_branches(base, sample.turns, n_frames > 0 or bool(sample.context), packing)
    return Encoded(prefix, branches, pixels, sample.kind, size)


def pack(sample: Encoded, packing: str = PACKINGS[0]) -> list[Packed]:
    """Pack one sample into rows: one row, or one per question for `one_per_sample`."""
    if packing == "shared_prefix":
        return [shared_prefix(sample.prefix, sample.branches)]
    if packing == "multi_turn":
        return [multi_turn(sample.prefix, sample.branches)]
    if packing == "one_per_sample":
        return one_per_sample(sample.prefix, sample.branches)
    cure = f"use one of {', '.join(PACKINGS)}"
    raise PreflightError(f"there is no packing {packing!r}", cure=cure)


def batch_of(samples: Sequence[Encoded], pad_id: int, packing: str = PACKINGS[0]) -> dict[str, torch.Tensor]:
    """Join encoded samples to a batch of B rows of S tokens.

    Returns `input_ids`, `labels`, `position_ids`, `segments` [B, S], `attention_mask` float [B, 1,
    S, S] and, where there are any, `image_pixels` and `video_pixels` [F, 3, side, side], frames in
    the order of their placeholders. Where AnyRes cut an image, `image_views` [images, 3] says of
    each image how many of `image_pixels` are its views, and its height and width.
    """
    rows: list[Packed] = []
    pixels: dict[str, list[torch.Tensor]] = {"image": [], "video": []}
    views: list[tuple[int, int, int]] = []
    for sample in samples:
        own = pack(sample, packing)
        rows += own
        if sample.pixels is not None:
            pixels[sample.kind] += [sample.pixels] * len(own)
        if sample.kind == "image" and sample.pixels is not None:
            views += views_of(sample) * len(own)
    batch = pad_rows(rows, pad_id)
    batch["attention_mask"] = attention_mask(batch["segments"])
    if any(height for _, height, _ in views):
        batch["image_views"] = torch.tensor(views)
    return batch | {f"{kind}_pixels": torch.cat(found) for kind, found in pixels.items() if found}


def views_of(sample: Encoded) -> list[tuple[int, int, int]]:
    """Views, height and width of each image of a sample; 1, 0, 0 for one that AnyRes did not cut."""
    count = len(sample.pixels)
    return [(1, 0, 0)] * count if sample.size is None else [(count, *sample.size)]


def collate(base: Base, samples: Sequence[Sample], packing: str = PACKINGS[0]) -> dict[str, torch.Tensor]:
    """Encode samples and join them to a batch; see `batch_of`."""
    encoded = [encode(base, sample, packing) for sample in samples]
    return batch_of(encoded, base.tokenizer.pad_token_id, packing)
