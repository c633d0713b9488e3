"""Let the model answer. In: a base and bench items. Out: one text per item, by the model's own `generate()`.

Prompts come from the collator, so a question looks as it did in training. The visual tokens are made here, in
INST-IT's order, and handed to `generate` as `mm_encoder_outputs`, which it passes on at prefill only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm
from transformers import GenerationConfig

from ..model.anyres import encode_images
from ..model.load import Base
from ..model.tokenizer import tidy
from ..model.visual import encode_frames, mm_outputs, pools
from ..training.collator import prompt_ids
from .item import BenchItem
from .score import UNFINISHED

MAX_NEW_TOKENS = 24  # the longest right answer describes four things: 15 words and commas, and the end


def answer_items(
    base: Base, items: Sequence[BenchItem], batch: int = 64, blind: bool = False, progress: bool = True,
    max_new_tokens: int = MAX_NEW_TOKENS, known: dict[str, str] | None = None,
    keep: Callable[[list[BenchItem], list[str]], None] | None = None,
) -> list[str]:  # fmt: skip
    """Answer each item greedily; the answers are in the order of `items` and do not depend on `batch`.

    `blind` leaves the picture out of the prompt: what a model knows without looking. An answer that the model
    did not end itself within `max_new_tokens` ends in `UNFINISHED`. `known` holds answers of an earlier,
    killed run by `item.key`, which are not asked again; `keep(items, answers)` is called after each batch.
    """
    answers = [(known or {}).get(item.key) for item in items]
    asked = {i: tokens_of(base, items[i], blind) for i, answer in enumerate(answers) if answer is None}
    was_training = base.model.training
    base.model.eval()
    try:
        for rows in tqdm(batches(items, asked, batch), disable=not progress, unit="batch"):
            shown = [items[i] for i in rows]
            texts = answer_batch(base, shown, [asked[i] for i in rows], blind, max_new_tokens)
            for i, text in zip(rows, texts):
                answers[i] = text
            if keep is not None:
                keep(shown, texts)
    finally:
        base.model.train(was_training)
    return answers


def tokens_of(base: Base, item: BenchItem, blind: bool) -> list[int]:
    """The prompt's ids, exactly as in training."""
    if blind:
        return prompt_ids(base, "text", 0, item.prompt)
    kind, size = "video" if item.split == "video" else "image", item.frames.shape[1:3]
    return prompt_ids(base, kind, len(item.frames), item.prompt, size=size)


def batches(items: Sequence[BenchItem], asked: dict[int, list[int]], size: int) -> list[list[int]]:
    """Places of the items in batches: like frames in one batch, prompts of like length together."""
    groups: dict[tuple, list[int]] = defaultdict(list)
    for i in sorted(asked, key=lambda i: len(asked[i])):
        groups[items[i].split == "video", items[i].frames.shape].append(i)
    return [rows[k : k + size] for rows in groups.values() for k in range(0, len(rows), size)]


@torch.inference_mode()
def answer_batch(
    base: Base, items: list[BenchItem], prompts: list[list[int]], blind: bool, max_new_tokens: int
) -> list[str]:
    """Answer one batch of like items."""
    model = base.model
    ids, mask = pad_left(prompts, base.tokenizer.pad_token_id, model.device)
    ends = end_tokens(base)
    greedy = GenerationConfig(
        do_sample=False, num_beams=1, max_new_tokens=max_new_tokens, eos_token_id=ends,
        pad_token_id=base.tokenizer.pad_token_id, bos_token_id=base.tokenizer.bos_token_id,
    )  # fmt: skip
    seen = {} if blind else {"mm_encoder_outputs": visual_outputs(base, items)}
    rows = model.generate(input_ids=ids, attention_mask=mask, generation_config=greedy, **seen)
    return [read_answer(base, row, ends) for row in rows[:, ids.shape[1] :].tolist()]


def visual_outputs(base: Base, items: list[BenchItem]) -> dict:
    """Visual tokens of like items: whole grids or AnyRes tiles for images, pooled grids for videos."""
    video, weight = items[0].split == "video", base.model.get_input_embeddings().weight
    shown = [base.views(item.frames, "video" if video else "image") for item in items]
    pixels = torch.cat([pixels for pixels, _ in shown]).to(weight.device, weight.dtype)
    if not video:
        cut = shown[0][1] is not None
        views = torch.tensor([(len(pixels), *size) for pixels, size in shown]) if cut else None
        return mm_outputs(images=encode_images(base.model, pixels, views))
    tokens = encode_frames(base.model, pixels, pooled=pools(base.model, items[0].split))  # [items * F, n, d]
    return mm_outputs(videos=list(tokens.split([len(item.frames) for item in items])))


def pad_left(prompts: list[list[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, each int64 [B, S]; padding stands left, so that every row goes on at its own end."""
    rows = [torch.tensor(prompt, device=device) for prompt in prompts]
    ids = pad_sequence(rows, batch_first=True, padding_value=pad, padding_side="left")
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True, padding_side="left")
    return ids, mask


def end_tokens(base: Base) -> list[int]:
    """The ids that end an answer: the tokenizer's, and the template's where that is another."""
    return sorted({base.tokenizer.eos_token_id, base.ids(base.template.end)[-1]})


def read_answer(base: Base, row: list[int], ends: list[int]) -> str:
    """New tokens up to the end token, as text; `UNFINISHED` is added where there is no end token."""
    stop = next((i for i, token in enumerate(row) if token in ends), None)
    text = base.tokenizer.decode(row[:stop], skip_special_tokens=True).strip()
    text = tidy(text) if base.template.name == "micro" else text
    return text if stop is not None else f"{text} {UNFINISHED}"
