"""Where a model looks, and what a visual token resembles. In: a base, a picture. Out: maps over the grid of patches.

Neither explains an answer. A similarity says which words a token lies near; attention says from where values were
fetched, not what was done with them. The test of both is to move the mark and to ask again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import InstitError
from ..marks.draw import draw_marks
from ..marks.placement import Anchor
from ..model.load import Base, load_base
from ..model.visual import encode_frames, inner_model
from .answer import tokens_of, visual_outputs
from .asking import as_item
from .pictures import Drawn, instances, show


def word_base(base: Base) -> Base:
    """The base whose visual tokens lie near words: the micro base, whose projector was taught so.

    Says so where another is given.
    """
    if base.template.name == "micro":
        return base
    print(f"The words of this lesson are the micro base's: the projector of {base.name} was not taught any.")
    return load_base("micro")


@torch.inference_mode()
def word_similarity(base: Base, frame: np.ndarray, words: Sequence[str], *, pooled: bool) -> torch.Tensor:
    """Cosine of each visual token of a frame, uint8 [H, W, 3], with the input embedding of each word.

    Returns [n_words, g, g]. Raises `InstitError` for a word that is not exactly one token.
    """
    ids = [base.ids(word) for word in words]
    long = [word for word, own in zip(words, ids) if len(own) != 1]
    if long:
        raise InstitError(f"{long[0]!r} is not one token", cure="choose words of the micro-language")
    table = base.model.get_input_embeddings().weight
    pixels = base.pixels(frame[None]).to(table.device, table.dtype)
    tokens = F.normalize(encode_frames(base.model, pixels, pooled=pooled)[0], dim=-1)  # [g * g, d]
    near = F.normalize(table[[own[0] for own in ids]], dim=-1) @ tokens.T
    return square(near)


def patch_of(anchor: Anchor, side: int, grid: int) -> tuple[int, int]:
    """Row and column of the patch under a mark's centre, in a frame of `side` pixels cut into `grid` x `grid`."""
    x, y = anchor.centre
    return y * grid // side, x * grid // side


def under_mark(
    base: Base, frame: np.ndarray, anchor: Anchor, words: Sequence[str], *, pooled: bool
) -> dict[str, float]:
    """Similarity of the visual token under a mark's centre with each word."""
    near = word_similarity(base, frame, words, pooled=pooled)
    row, column = patch_of(anchor, len(frame), near.shape[-1])
    return dict(zip(words, near[:, row, column].tolist()))


@torch.inference_mode()
def attention_on(base: Base, frame: np.ndarray, question: str, word: str | None = None) -> torch.Tensor:
    """Where one position of the prompt looks in a picture, uint8 [H, W, 3]: [n_layers, g, g], each layer sums to 1.

    The position is where `word` ends that the question names last, or without it the one that the answer starts from.
    The mean is taken over heads; what goes to other text is left out. Raises `InstitError` where the prompt does
    not hold the word.
    """
    item = as_item(frame[None], question)
    prompt = tokens_of(base, item, blind=False)
    place = len(prompt) - 1 if word is None else last_place(prompt, base.ids(word)[-1], word)
    ids = torch.tensor([prompt], device=base.model.device)
    with attention_kept(base.model):
        out = base.model(input_ids=ids, mm_encoder_outputs=visual_outputs(base, [item]), output_attentions=True)
    seen = ids[0] == base.model.config.image_token_id
    rows = torch.stack([layer[0, :, place, seen].float().mean(0) for layer in out.attentions])
    return square(rows / rows.sum(-1, keepdim=True))


@contextmanager
def attention_kept(model: nn.Module) -> Iterator[None]:
    """Compute attention step by step ("eager"): the fused kernels never form the weights that are to be shown."""
    language = inner_model(model).language_model
    usual = language.config._attn_implementation
    language.set_attn_implementation("eager")
    try:
        yield
    finally:
        language.set_attn_implementation(usual)


def last_place(prompt: list[int], token: int, word: str) -> int:
    """Where a token stands last in a prompt."""
    places = [i for i, other in enumerate(prompt) if other == token]
    if not places:
        raise InstitError(f"{word!r} is no word of the question", cure="choose a word that the question holds")
    return places[-1]


def square(rows: torch.Tensor) -> torch.Tensor:
    """[k, g * g] -> [k, g, g]."""
    side = round(rows.shape[-1] ** 0.5)
    return rows.reshape(len(rows), side, side)


def region_of(drawn: Drawn, mark_id: int) -> np.ndarray:
    """The pixels of an instance and of its mark's box on a marked picture, bool [H, W]."""
    bare = show(drawn, "bare")
    found = instances(drawn, bare)[0]
    region = found.mask[found.tracker_id == mark_id][0].copy()
    region[draw_marks(bare[0], found, "micro")[1][mark_id].window] = True
    return region


def share_on(weights: torch.Tensor, mask: np.ndarray) -> torch.Tensor:
    """Which share of `weights` [..., g, g] lies on a region, bool [H, W]; a half covered patch counts half."""
    cover = F.adaptive_avg_pool2d(torch.tensor(mask, dtype=weights.dtype)[None], weights.shape[-2:])[0]
    return (weights * cover).sum((-2, -1)) / weights.sum((-2, -1))
