"""Ways to train on the same clips. In: a model, encoded clips, an arm. Out: seconds of each optimiser step, gradients.

An arm is a packing and a trainer: the kit's, or TRL's `SFTTrainer` where it is installed. Both run their own
`train()` with their own loss; what is timed is one optimiser step over all clips, batches ready. TRL has neither a
video collator nor pooling after the projector: it is given both, so that it trains on exactly the same tokens.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from datasets import Dataset
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from _shapes import PAD, VIDEO, WORDS
from instit_lite.model.freeze import remove_input_grad_hooks
from instit_lite.model.tokenizer import micro_tokenizer
from instit_lite.model.visual import encode_frames, inner_model, mm_outputs, tokens_per_frame
from instit_lite.training.collator import Encoded, batch_of
from instit_lite.training.packing import PADDING, Branch
from instit_lite.training.trainer import LossModule, SftTrainer

QA_TOKENS, ANSWER_TOKENS = 90, 60  # of a question with its answer, assumed; see the design notes
START = 36  # tokens before the frames
RATES = {"lora": 1e-4, "projector": 1e-4, "tower": 1e-5}


@dataclass(frozen=True)
class Arm:
    """`at_once`: sequences per micro-batch. `checkpoint`: recompute activations in the backward pass."""

    name: str
    packing: str = "shared_prefix"
    trl: bool = False
    checkpoint: bool = False
    at_once: int = 1


def has_trl() -> bool:
    return importlib.util.find_spec("trl") is not None


def made_clip(
    model: nn.Module, frames: int, qa_tokens: Sequence[int], seed: int = 0, start: int = START
) -> Encoded:
    """Make a clip of random pixels and words; `qa_tokens`: lengths of its questions with answers, 2/3 answer."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary, side = model.config.text_config.vocab_size, model.config.vision_config.image_size

    def words(count: int) -> list[int]:
        return torch.randint(WORDS, vocabulary, (count,), generator=generator).tolist()

    prefix = words(start) + [VIDEO] * (frames * tokens_per_frame(model, pooled=True))
    asked = QA_TOKENS - ANSWER_TOKENS
    branches = [Branch(tuple(words(n)), max(1, n * asked // QA_TOKENS)) for n in qa_tokens]
    pixels = torch.randn(frames, 3, side, side, generator=generator)
    return Encoded(prefix, branches, pixels, "video")


def sequences(clips: Sequence[Encoded], packing: str) -> list[Encoded]:
    """What one row of a batch is made from: a clip, or one of its questions with the clip again."""
    if packing != "one_per_sample":
        return list(clips)
    return [replace(clip, branches=[branch]) for clip in clips for branch in clip.branches]


def collated(rows: Sequence[Encoded], arm: Arm) -> dict[str, torch.Tensor]:
    """Batch sequences; without shared prefixes the mask is plain, which allows the faster causal kernels."""
    batch = batch_of(rows, PAD, arm.packing)
    if arm.packing != "shared_prefix":
        batch["attention_mask"] = (batch["segments"] != PADDING).long()
    if not arm.trl:
        return batch
    names = {"video_pixels": "pixel_values_videos"} | {n: n for n in ("input_ids", "labels", "attention_mask")}
    return {theirs: batch[own] for own, theirs in names.items()}


def video_features(model: nn.Module, pixel_values_videos: torch.Tensor, **rest: object) -> object:
    """INST-IT's visual tokens (pooled after the projector), where the stock class asks for its own."""
    return mm_outputs(videos=[encode_frames(model, pixel_values_videos, pooled=True)])["video"]


class Watch(TrainerCallback):
    """Time every optimiser step, and keep the gradients of the last where asked to."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.keep, self.gradients = False, {}

    def now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    def on_step_begin(self, *_: object, **__: object) -> None:
        self.start = self.now()

    def on_pre_optimizer_step(self, *_: object, model: nn.Module, **__: object) -> None:
        if self.keep:
            named = {n.removeprefix("model."): p for n, p in model.named_parameters()}
            self.gradients = {n.removeprefix("base_model.model."): p.grad.clone() for n, p in named.items()
                              if p.grad is not None}  # fmt: skip

    def on_step_end(self, *_: object, **__: object) -> None:
        self.seconds.append(self.now() - self.start)


class Running:
    """An arm at work on a model, which it changes: give each arm its own, or let them follow each other."""

    def __init__(self, model: nn.Module, clips: Sequence[Encoded], arm: Arm) -> None:
        rows = sequences(clips, arm.packing)
        assert len(rows) % arm.at_once == 0, "all micro-batches are alike"
        self.arm, self.watch, self.answers = arm, Watch(), sum(len(clip.branches) for clip in clips)
        self.tokens = sum(len(row.prefix) + sum(len(b.ids) for b in row.branches) for row in rows)
        set_checkpointing(model, arm.checkpoint and not arm.trl)
        self.out = tempfile.TemporaryDirectory()
        common = common_arguments(self.out.name, len(rows) // arm.at_once, arm.at_once)
        given = {"train_dataset": Dataset.from_dict({"row": range(len(rows))}), "callbacks": [self.watch],
                 "data_collator": lambda picked: collated([rows[p["row"]] for p in picked], arm)}  # fmt: skip
        make = trl_trainer if arm.trl else kit_trainer
        self.trainer = make(model, common, arm, given)

    def steps(self, count: int = 1) -> list[float]:
        """Train for `count` steps; return the seconds of each."""
        self.trainer.args.max_steps = count
        self.watch.seconds.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated names inside the libraries
            self.trainer.train()
        return list(self.watch.seconds)

    def gradients(self) -> dict[str, torch.Tensor]:
        """The gradients of one more step."""
        self.watch.keep = True
        self.steps(1)
        self.watch.keep = False
        return self.watch.gradients


def common_arguments(out: str, parts: int, at_once: int) -> dict:
    """What both trainers are told: no clipping, no saving, no schedule, `parts` micro-batches a step."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": out, "max_steps": 1, "per_device_train_batch_size": at_once, "max_grad_norm": 0.0,
        "gradient_accumulation_steps": parts, "learning_rate": RATES["lora"], "lr_scheduler_type": "constant",
        "save_strategy": "no", "logging_strategy": "no", "report_to": "none", "disable_tqdm": True,
        "log_level": "error", "use_cpu": not gpu, "bf16": gpu, "remove_unused_columns": False,
        "dataloader_pin_memory": False, "weight_decay": 0.0,
    }  # fmt: skip


def kit_trainer(model: nn.Module, common: dict, arm: Arm, given: dict) -> Trainer:
    return SftTrainer(LossModule(model), TrainingArguments(**common), RATES, {}, **given)


def trl_trainer(model: nn.Module, common: dict, arm: Arm, given: dict) -> Trainer:
    """TRL's trainer on the wrapped model; a tokenizer keeps it from looking for the model's own, and is not used.

    TRL turns what trains on a 4-bit model to bf16; it is turned back, so that all arms train in the same precision.
    """
    from trl import SFTConfig, SFTTrainer

    inner_model(model).get_video_features = partial(video_features, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its name changes between the supported versions
        args = SFTConfig(**common, max_length=None, gradient_checkpointing=arm.checkpoint,
                         dataset_kwargs={"skip_prepare_dataset": True})  # fmt: skip
    before = {name: p.dtype for name, p in model.named_parameters() if p.requires_grad}
    trainer = SFTTrainer(model, args, processing_class=micro_tokenizer(), **given)
    for name, parameter in model.named_parameters():
        if name in before:
            parameter.data = parameter.data.to(before[name])
    trainer.remove_callback(PrinterCallback)
    return trainer


def set_checkpointing(model: nn.Module, on: bool) -> None:
    """Switch checkpointing on or off, and undo what an arm before has left: hooks at the inputs."""
    base = model.get_base_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its name changes between the supported versions
        if on:
            base.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            base.gradient_checkpointing_disable()
    remove_input_grad_hooks(model)


def difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of all gradients together, relative to the norm of the expected ones."""
    assert found.keys() == expected.keys() and expected
    apart = torch.cat([(found[n].float() - g.float()).flatten() for n, g in expected.items()]).norm()
    return float(apart / torch.cat([g.float().flatten() for g in expected.values()]).norm())
