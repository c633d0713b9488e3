"""The loss on answers, and the HF `Trainer` around it. In: packed batches. Out: a trained adapter,
checkpoints.

The `Trainer` brings schedules, accumulation, checkpoints and resuming. Ours are the visual front
(encode, project, pool, hand the features in), the loss at answer positions only, and one learning
rate per kind of part.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset, Sampler
from transformers import PrinterCallback, Trainer, TrainingArguments

from ..model.adapter import load_weights, save_adapter
from ..model.anyres import encode_images
from ..model.visual import encode_frames, inner_model, mm_outputs, pools
from .order import Order
from .packing import IGNORE, PADDING
from .processes import Processes
from .proof import standing
from .resume import PART, seal


def visual_features(model: nn.Module, batch: dict) -> dict:
    """Encode a batch's pixels for `forward(mm_encoder_outputs=...)`: whole grids for images,
    pooled ones for videos.
    """
    images = videos = None
    if batch.get("image_pixels") is not None:
        images = encode_images(model, batch["image_pixels"], batch.get("image_views"))
    if batch.get("video_pixels") is not None:
        videos = [encode_frames(model, batch["video_pixels"], pooled=pools(model, "video"))]
    return mm_outputs(images, videos)


def answer_states(model: nn.Module, batch: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the model without its head; return the states [N, d] that predict answer tokens, and
    those tokens [N].
    """
    dtype = model.get_input_embeddings().weight.dtype
    mask = batch["attention_mask"]
    if mask.is_floating_point():
        mask = mask.to(dtype).clamp_(min=torch.finfo(dtype).min)
    states = inner_model(model)(
        input_ids=batch["input_ids"], attention_mask=mask, position_ids=batch["position_ids"],
        mm_encoder_outputs=visual_features(model, batch), use_cache=False,
    ).last_hidden_state  # fmt: skip
    targets = batch["labels"][:, 1:]
    supervised = targets != IGNORE
    return states[:, :-1][supervised], targets[supervised]


def summed_loss(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum of the cross-entropies of N positions; the logits of all other positions are never computed.

    Chunked in fp32, and where that pays: N not below the width, more words than that. In 16 bits torch rounds
    the loss itself; and a clip's answers are too few for a 7B model's width: every chunk reads the whole head.
    """
    if states.dtype == torch.float32 and hasattr(F, "linear_cross_entropy"):
        chunked = len(states) >= states.shape[1] and len(weight) > states.shape[1]
        options = nn.LinearCrossEntropyOptions() if chunked else None
        return F.linear_cross_entropy(states, weight, targets, reduction="sum", options=options)
    return F.cross_entropy(F.linear(states, weight).float(), targets, reduction="sum")


def packed_loss(model: nn.Module, batch: dict, n_items: torch.Tensor | int | None = None) -> torch.Tensor:
    """Mean cross-entropy per answer token.

    `n_items`: answer tokens of the whole optimiser step, where this batch is only a part of it
    (accumulation).
    """
    states, targets = answer_states(model, batch)
    total = summed_loss(states, model.get_output_embeddings().weight, targets)
    return total / (len(targets) if n_items is None else n_items)


class LossModule(nn.Module):
    """The model with its loss as forward: what the `Trainer` calls, and what data parallelism may wrap.

    `tokens` counts the tokens seen, padding left out.
    """

    accepts_loss_kwargs = True  # so that the Trainer passes the answer tokens of the whole step

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.tokens = 0

    def forward(
        self, num_items_in_batch: torch.Tensor | int | None = None, **batch: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        self.tokens += int((batch["segments"] != PADDING).sum())
        return {"loss": packed_loss(self.model, batch, num_items_in_batch)}


def parameter_groups(model: nn.Module, rates: dict[str, float]) -> list[dict]:
    """Group the trainable parameters as "lora", "projector" and "tower", each with its learning rate."""
    groups: dict[str, list[nn.Parameter]] = {kind: [] for kind in rates}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            in_projector = "multi_modal_projector." in name
            kind = "tower" if "vision_tower." in name else "projector" if in_projector else "lora"
            groups[kind].append(parameter)
    found = {kind: parameters for kind, parameters in groups.items() if parameters}
    return [{"params": found[kind], "lr": rates[kind], "name": kind} for kind in found]


class SftTrainer(Trainer):
    """HF `Trainer` for a `LossModule`: its checkpoints hold the adapter instead of the whole model.

    `rates`: learning rate of each of "lora", "projector" and "tower". `card`: what `save_adapter` keeps of
    the base. `order`: of the samples; needed for checkpoints. `team`: the processes that train together.
    """

    def __init__(
        self, module: LossModule, args: TrainingArguments, rates: dict[str, float], card: dict[str, Any],
        order: Order | None = None, team: Processes = Processes(), **rest,
    ) -> None:  # fmt: skip
        self.rates, self.card, self.order, self.team = rates, card, order, team
        args._n_gpu = min(1, args.n_gpu)  # several GPUs need `accelerate launch`: one process each
        super().__init__(module, args, **rest)
        self.remove_callback(PrinterCallback)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            args, groups = self.args, parameter_groups(model or self.model, self.rates)
            betas = (args.adam_beta1, args.adam_beta2)
            self.optimizer = torch.optim.AdamW(groups, betas=betas, weight_decay=args.weight_decay)
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        return self.order or super()._get_train_sampler(train_dataset)

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Write a checkpoint beside its place, seal it and move it there: it appears whole or not at all."""
        folder, step = Path(self.args.output_dir), self.state.global_step
        if self.team.main:
            shutil.rmtree(folder / PART, ignore_errors=True)
        self.team.wait()
        self.args.output_dir = str(folder / PART)
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = str(folder)
        self.team.wait()
        if self.team.main:
            state = standing(self.model.model, self.optimizer, self.lr_scheduler, self.order, step)
            seal(folder / PART / f"checkpoint-{step}", folder, state, self.team.count)
        self.team.wait()

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if self.team.main:
            save_adapter(self.model.model, output_dir or self.args.output_dir, **self.card)
        self.team.wait()  # the others add files of their own to the folder that appears here

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_weights((model or self.model).model, resume_from_checkpoint)
