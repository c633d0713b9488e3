"""Checks before training. In: a model, samples, batches. Out: nothing, or a `PreflightError` that
says what to do.

Each of these mistakes trains without complaint and costs a GPU day: no label, labels on
placeholders, a context that cuts answers off, a vision tower in 4 bits or under LoRA, frozen
layers in the backward pass, a mask added as 0 and 1, talk of marks that no picture carries.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from ..annotation.claims_in_text import ID
from ..errors import PreflightError
from ..model.anyres import image_tokens
from ..model.context import overflow_cure
from ..model.nf4 import count_linears
from ..model.qlora import frozen_layers
from ..model.visual import encode_frames, inner_model, pools, tokens_per_frame
from .collator import PACKINGS, Encoded, Sample, batch_of
from .packing import IGNORE


def check_sample(sample: Sample, name: str = "sample") -> None:
    """Refuse a sample without frames where it should have some, or without anything to learn from."""
    if sample.kind != "text" and (sample.frames is None or not len(sample.frames)):
        reason = f"{name} is of kind {sample.kind!r} but has no frames"
        raise PreflightError(reason, cure="give frames, or kind 'text'")
    if not sample.turns:
        reason = f"{name} has no question: no token of it would be supervised"
        raise PreflightError(reason, cure="leave it out")
    for question, answer in sample.turns:
        if not question.strip() or not answer.strip():
            reason = f"{name} has an empty question or answer: {question!r}, {answer!r}"
            raise PreflightError(reason, cure="leave it out")


def marks_in(texts: Iterable[str]) -> list[str]:
    """The marks, `[1]`, that texts speak of, each once."""
    return list(dict.fromkeys(found[0] for text in texts for found in ID.finditer(text)))


def missing_marks(sample: Sample) -> list[str]:
    """The marks that a sample speaks of although its source says that its frames carry none.

    Known from `Sample.marked` alone: pixels do not tell a mark from a printed number.
    """
    if sample.marked is not False or sample.kind == "text":
        return []
    return marks_in([sample.context, *(text for turn in sample.turns for text in turn)])


def check_marks(sample: Sample, name: str = "sample") -> None:
    """Refuse a sample that would teach the model to talk about marks that it cannot see."""
    if found := missing_marks(sample):
        raise no_marks(f"{name} speaks of {found[0]}")


def no_marks(who: str, path: str | Path | None = None) -> PreflightError:
    reason = f"{who}, and its source says that its pictures carry no marks"
    cure = "train on marked pictures, or allow it as a control: `unmarked=True`, `train --unmarked`"
    return PreflightError(reason, path=path, cure=cure)


def check_context(model: nn.Module, sample: Encoded, packing: str = PACKINGS[0], name: str = "sample") -> None:
    """Refuse a sample that needs more positions than the language model has; cutting it would cut
    its answers.
    """
    lengths = [len(branch.ids) for branch in sample.branches]
    needed = len(sample.prefix) + (sum(lengths) if packing == "multi_turn" else max(lengths))
    room = model.config.text_config.max_position_embeddings
    if needed > room:
        n_frames = len(sample.pixels) if sample.kind == "video" else 0
        before = f"{len(sample.prefix)} before its questions"
        reason = f"{name} needs {needed} positions ({before}), the model has {room}"
        raise PreflightError(reason, cure=overflow_cure(model, needed, n_frames))


def check_batch(model: nn.Module, batch: dict, blanks: int = 0) -> None:
    """Refuse a batch whose labels, placeholders or mask do not fit.

    `blanks`: rows at its end that teach nothing on purpose, see `EncodedSamples`.
    """
    labels, ids, segments = batch["labels"], batch["input_ids"], batch["segments"]
    supervised = labels != IGNORE
    if not supervised[: len(labels) - blanks].any(dim=1).all():
        cure = "check that answers are not empty or cut off"
        raise PreflightError("a row has no supervised token", cure=cure)
    config = model.config
    placeholders = {"image": config.image_token_id, "video": config.video_token_id}
    if torch.isin(labels, torch.tensor(list(placeholders.values()), device=labels.device)).any():
        cure = "label answers only, never `labels = input_ids`"
        raise PreflightError("visual placeholders carry labels", cure=cure)
    crossing = supervised[:, 1:] & (segments[:, 1:] != segments[:, :-1])
    if supervised[:, 0].any() or crossing.any():
        cure = "start each branch with an unlabelled question token"
        raise PreflightError("a label crosses branches", cure=cure)
    for kind, placeholder in placeholders.items():
        pixels = batch.get(f"{kind}_pixels")
        per_frame = tokens_per_frame(model, pooled=pools(model, kind))
        features = 0 if pixels is None else len(pixels) * per_frame
        if kind == "image" and batch.get("image_views") is not None:
            cut = batch["image_views"].tolist()
            fitting = sum(count for count, *_ in cut) == len(pixels)
            sizes = [image_tokens(model, size) if size[0] else per_frame for _, *size in cut]
            features = sum(sizes) if fitting else -1
        tokens = int((ids == placeholder).sum())
        if tokens != features:
            reason = f"{tokens} {kind} placeholders for {features} visual tokens"
            raise PreflightError(reason, cure="build prompts with `prefix_ids` and never cut them")
    check_mask(model, batch["attention_mask"])


def check_mask(model: nn.Module, mask: torch.Tensor) -> None:
    """Refuse a bool 4-D mask with eager attention, which adds it as 0 and 1 and so blocks nothing."""
    attention = model.config.text_config._attn_implementation
    if mask.dtype == torch.bool and attention == "eager":
        cure = "use `attention_mask(segments)`"
        raise PreflightError("a bool mask with eager attention blocks nothing", cure=cure)
    if attention.startswith("flash"):
        cure = 'load with attn_implementation="sdpa"'
        raise PreflightError(f"{attention} ignores 4-D masks", cure=cure)


def check_model(model: nn.Module, frozen: int | None = None) -> None:
    """Refuse a model of which the wrong parts are quantised, adapted or trained.

    `frozen`: encoder layers that must not train; None takes the number that is frozen now.
    """
    counts = count_linears(model)
    if counts["tower"]["nf4"] or counts["projector"]["nf4"]:
        cure = "quantise with `model.nf4.quantise`"
        raise PreflightError("the vision tower or the projector is in 4 bits", cure=cure)
    if counts["tower"]["lora"] or counts["projector"]["lora"]:
        reason = "LoRA leaked into the vision tower or the projector"
        raise PreflightError(reason, cure="use `attach_qlora`")
    if not any(p.requires_grad for p in model.parameters()):
        raise PreflightError("nothing trains", cure="use `attach_qlora`")
    check_frozen(model, frozen_layers(model) if frozen is None else frozen)


def check_frozen(model: nn.Module, frozen: int) -> None:
    """Refuse frozen encoder layers that require gradients, or that take part in the backward pass
    all the same.
    """
    tower = inner_model(model).vision_tower
    early = [tower.embeddings, *tower.encoder.layers[:frozen]]
    if any(p.requires_grad for module in early for p in module.parameters()):
        reason = f"the first {frozen} encoder layers should be frozen"
        raise PreflightError(reason, cure="call `freeze_first_layers`")
    seen = []
    hook = early[-1].register_forward_hook(lambda module, args, output: seen.append(output))
    side, parameter = model.config.vision_config.image_size, next(tower.parameters())
    try:
        pixels = torch.zeros(1, 3, side, side, dtype=parameter.dtype, device=parameter.device)
        encode_frames(model, pixels, pooled=False)
    finally:
        hook.remove()
    output = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    if output.requires_grad:
        reason = "frozen encoder layers are in the backward pass: a hook makes their input require gradients"
        cure = "call `remove_input_grad_hooks` after anything that enables checkpointing"
        raise PreflightError(reason, cure=cure)


def preflight(
    model: nn.Module, samples: Iterable[Encoded], packing: str = PACKINGS[0], frozen: int | None = None
) -> None:
    """Check the model, and the given samples one by one and as batches."""
    check_model(model, frozen)
    for number, sample in enumerate(samples):
        check_context(model, sample, packing, f"sample {number}")
        check_batch(model, batch_of([sample], 0, packing))
