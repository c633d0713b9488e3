"""An INST-IT-shaped epoch: questions of one clip together, against one by one. In: made clips. Out: a table.

Seven frames and 16 questions a clip (the paper's videos average 7.3 and 15.6). The model's width and all counts of
tokens are a ninth of the 7B model's: attention and linear layers then cost what they cost there, one against the
other. The vocabulary is small because TRL's loss, on a CPU only, scores all positions: that must not count here.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from _arms import Arm, Running, difference, has_trl, made_clip
from _shapes import build, vicuna_config
from instit_lite.model.qlora import QLora, attach_qlora

FRAMES, QAS, CLIPS, QA_TOKENS, START = 7, 16, 2, 10, 4  # 7 x 144, 16 x 90 and 36 tokens in the 7B model
TEXT = {"hidden_size": 448, "intermediate_size": 1200, "num_hidden_layers": 4, "num_attention_heads": 7,
        "num_key_value_heads": 7, "vocab_size": 512}  # fmt: skip
VISION = {"hidden_size": 112, "intermediate_size": 448, "num_hidden_layers": 4, "num_attention_heads": 2,
          "image_size": 112}  # fmt: skip
SIZES = (1, 4, 16)  # sequences at a time, among which every arm's best is chosen
OURS = Arm("shared prefix")
KIT = [OURS, Arm("multi-turn (another objective)", "multi_turn"), Arm("one per sample", "one_per_sample")]
TRL_ONE = Arm("TRL, one per sample", "one_per_sample", trl=True)
TRL = [TRL_ONE, Arm("TRL's defaults (checkpointing), one per sample", "one_per_sample", True, True),
       Arm("TRL, multi-turn (another objective)", "multi_turn", True)]  # fmt: skip


def tables(quick: bool = False) -> Iterator[tuple[str, dict]]:
    yield "training_epoch", epoch_table(1, (16,)) if quick else epoch_table(9)


def tiny_model(rank: int = 16, frozen_layers: int | None = None, seed: int = 0) -> nn.Module:
    """A tiny LLaVA-NeXT with LoRA in fp32; LoRA's B is not zero, so that every part has a gradient."""
    model = attach_qlora(build(vicuna_config(TEXT, VISION), seed=seed), QLora(rank, None, frozen_layers, nf4=False))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.02)
    return model


def tuned(model: nn.Module, clips: Sequence, arm: Arm, sizes: Sequence[int] = SIZES) -> Running:
    """Choose how many sequences at a time are fastest for an arm; every arm trains a copy of the model."""
    count = len(clips) * (QAS if arm.packing == "one_per_sample" else 1)
    found = []
    for size in sorted({min(size, count) for size in sizes}):
        running = Running(copy.deepcopy(model), clips, Arm(arm.name, arm.packing, arm.trl, arm.checkpoint, size))
        running.steps(1)
        found.append((min(running.steps(2)), size, running))
    return min(found, key=lambda each: each[:2])[2]


def epoch_table(rounds: int, sizes: Sequence[int] = SIZES) -> dict:
    """Time one step over the same clips in every way, one after the other, `rounds` times."""
    torch.set_num_threads(1)
    model = tiny_model()
    clips = [made_clip(model, FRAMES, [QA_TOKENS] * QAS, seed, START) for seed in range(CLIPS)]
    arms = KIT + (TRL if has_trl() else [])
    reference = TRL_ONE if has_trl() else KIT[-1]
    fresh = {arm.name: Running(copy.deepcopy(model), clips, arm).gradients() for arm in arms}
    running = {arm.name: tuned(model, clips, arm, sizes) for arm in arms}
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, each in running.items():
            seconds[name] += each.steps(1)
    rows = []
    for name, each in running.items():
        ratios = [theirs / own for own, theirs in zip(seconds[name], seconds[reference.name])]
        rows.append([
            name, each.arm.at_once, each.tokens // CLIPS, each.answers / statistics.median(seconds[name]),
            statistics.median(ratios), f"{min(ratios):.1f}-{max(ratios):.1f}",
            f"{difference(fresh[name], fresh[reference.name]):.0e}",
        ])  # fmt: skip
    return {
        "title": f"An epoch of clips of {FRAMES} frames and {QAS} questions, fp32, one thread",
        "columns": ["way", "at a time", "tokens a clip", "answers/s", "ratio", "from-to", "gradient apart"],
        "rows": rows, "note": note(rounds, reference),
    }  # fmt: skip


def note(rounds: int, reference: Arm) -> str:
    lines = [
        f"Supervised answers per second of optimiser steps, batches ready; medians of {rounds} interleaved rounds. Each "
        "way at its fastest number of sequences at a time.",
        f"ratio: to '{reference.name}', within each round. gradient apart: all gradients (LoRA, projector, later "
        "encoder layers), relative to that way's. The model's width and all counts of tokens are a ninth of the 7B's.",
    ]
    if not has_trl():
        lines.append("TRL is not installed, so its rows are missing: pip install -c constraints.txt -e '.[bench]'")
    return "\n".join(lines)
