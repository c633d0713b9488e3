"""Continuous SFT, start to end. In: a base, samples, settings. Out: an adapter folder and a log of losses.

The paper's recipe (section 4) in small: AdamW, cosine schedule, image and video jointly, first
layers of the encoder frozen. What it leaves open (learning rates, warm-up, batch) are settings here,
not claims about the paper.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import PeftModel
from transformers import TrainerCallback, TrainingArguments
from transformers.utils import logging

from ..errors import PreflightError
from ..model.adapter import base_facts, load_adapter, save_adapter
from ..model.load import Base
from ..model.memory import Work
from ..model.qlora import QLora, attach_qlora, parts_table, trainable_parts
from ..profiles import Profile, atomic_write_text, read_lines
from .board import FOLDER, Board
from .collator import Sample
from .encoded import EncodedSamples
from .fast_cpu import fast_cpu
from .forecast import forecast, noted, plan_run, summary
from .order import Order, Passes
from .plan import Plan
from .precision import autocast_type, fp32_masters
from .preflight import preflight
from .processes import Processes, processes, share
from .progress import LossLog
from .proof import Proof
from .resume import newest_whole_checkpoint, remove_checkpoints
from .settings import SftSettings, run_identity, settings_of, spread
from .trainer import LossModule, SftTrainer

ADAPTER, LOG, RUN = "adapter", "losses.jsonl", "run.json"
NEW, BEGUN, OTHER, FINISHED = (
    "a new run",
    "this run was begun before",
    "a new run takes the place of the one that was here",
    "this run is finished, loading its adapter",
)


@dataclass(frozen=True)
class SftResult:
    """What a run leaves: `base` with the trained adapter, its folder, the loss of each step,
    seconds of training.
    """

    base: Base
    adapter_dir: Path
    losses: list[float]
    seconds: float
    log: Path


def run_sft(
    base: Base, samples: Sequence[Sample], settings: SftSettings | Profile | None, out_dir: str | Path, *,
    resume: bool = True, in_place: bool = False, unmarked: bool = False, tensorboard: bool = False,
    say: Callable[[str], None] = print, callbacks: Sequence[TrainerCallback] = (), **changes,
) -> SftResult:  # fmt: skip
    """Train an adapter on `samples` and save it as `out_dir/adapter`; log each step in `out_dir/losses.jsonl`.

    With `resume`, a killed run goes on from its newest whole checkpoint and a finished one is loaded; a folder
    that holds a run with other settings, samples or base (or the same base, loaded with other options) is
    started afresh. `changes` override single settings. `base` stays as it is, unless `in_place` saves the copy
    of a large model. `unmarked` allows a control whose samples speak of marks that their frames do not carry;
    `tensorboard` writes `out_dir/tensorboard` beside the log. Started several times by a launcher, with the same
    arguments, it trains what one process would. Raises `PreflightError` before anything is trained wrongly,
    `ModelError` for a resume that is not the run it was.
    """
    settings, out, team = settings_of(settings, changes), Path(out_dir), processes()
    if not len(samples):
        raise PreflightError("there are no samples", path=out, cure="build the dataset first")
    say, board = team.only_main(say), Board(out) if tensorboard else None
    own = base if in_place else replace(base, model=copy.deepcopy(base.model))
    identity = run_identity(own.model, samples, settings) | {"options": own.options}
    state = state_of(out, identity, resume)
    say(f"{out}: {state}")
    if state == FINISHED:
        return result_of(load_adapter(own, out / ADAPTER), out)
    torch.manual_seed(settings.seed)
    card = base_facts(own)
    parts = QLora(settings.rank, settings.alpha, settings.frozen_layers, settings.nf4)
    model = attach_qlora(own.model, parts)
    say(parts_table(trainable_parts(model)))
    data = EncodedSamples(own, samples, settings.packing, unmarked)
    plan = checked(model, data, settings, team)
    say(summary(plan))
    begin(out, identity, state, team)
    with fp32_masters(model):
        with quiet(), fast_cpu(), forecast(plan) as memory:
            train(model, data, settings, out, card, team, board, say, callbacks)
        say(str(memory))
        if data.markless:
            say(f"a control: {len(data.markless)} of the samples used speak of marks that no frame carries")
        if team.main:
            save_adapter(model, out / ADAPTER, **card)
            remove_checkpoints(out)
        team.wait()
    return result_of(replace(own, model=model.eval()), out)


def checked(model: PeftModel, data: EncodedSamples, settings: SftSettings, team: Processes) -> Plan:
    """Refuse what would train wrongly; plan the memory of the samples that a process takes at a time."""
    at_once, _ = share(settings.batch, settings.accumulate, team.count)
    works: list[Work] = []
    probes = noted((data[i] for i in spread(len(data))), settings.packing, works)
    preflight(model, probes, settings.packing, settings.frozen_layers)
    return plan_run(model, works, at_once)


def state_of(out: Path, identity: dict, resume: bool) -> str:
    """Say whether a folder holds this run, begun or finished, another run, or none.

    What an older run did not note of itself is not compared.
    """
    if not (out / RUN).exists():
        return NEW
    try:
        found = json.loads((out / RUN).read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not resume or not isinstance(found, dict) or identity | found != identity:
        return OTHER
    return FINISHED if (out / ADAPTER).exists() else BEGUN


def begin(out: Path, identity: dict, state: str, team: Processes) -> None:
    """Make a folder ready for its run; one process does so, when all have seen what it held."""
    team.wait()
    if state != BEGUN and team.main:
        clear(out, identity)
    team.wait()


def clear(out: Path, identity: dict) -> None:
    """Remove what another run left, and name the one that begins."""
    remove_checkpoints(out)
    for folder in (out / ADAPTER, out / FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
    (out / LOG).unlink(missing_ok=True)
    atomic_write_text(out / RUN, json.dumps(identity, indent=1) + "\n")


def train(
    model: PeftModel, data: EncodedSamples, settings: SftSettings, out: Path, card: dict, team: Processes,
    board: Board | None, say: Callable[[str], None], callbacks: Sequence[TrainerCallback],
) -> None:  # fmt: skip
    """Run the Trainer from the newest whole checkpoint, or from the start."""
    at_once, _ = share(settings.batch, settings.accumulate, team.count)
    order = Order(len(data), settings.seed, settings.batch, at_once, team.count)
    module, proof = LossModule(model), []
    checkpoint, notes = newest_whole_checkpoint(out)
    for note in notes:
        say(f"  {note}")
    if checkpoint is not None:
        proof = [Proof(checkpoint, model, order, data, team, say)]
    arguments = training_arguments(settings, out, autocast_type(model), team)
    trainer = SftTrainer(
        module, arguments, settings.rates, card, order, team,
        train_dataset=data, data_collator=data.collate,
        callbacks=[*proof, Passes(order), LossLog(out / LOG, module, say, team, board), *callbacks],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def training_arguments(
    settings: SftSettings, out: Path, autocast: torch.dtype | None = None, team: Processes = Processes()
) -> TrainingArguments:
    """The HF Trainer's view of the settings; `autocast`: see `precision.autocast_type`.

    AdamW and the cosine are the paper's; it prints neither moments nor decay nor clipping: those are ours.
    """
    gpu = torch.cuda.is_available()
    at_once, times = share(settings.batch, settings.accumulate, team.count)
    return TrainingArguments(
        output_dir=str(out), max_steps=settings.steps, seed=settings.seed,
        per_device_train_batch_size=at_once, gradient_accumulation_steps=times,
        learning_rate=settings.lr, lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup * settings.steps),
        adam_beta2=0.98, weight_decay=0.0, max_grad_norm=1.0,
        save_steps=settings.save_every or max(1, settings.steps // 10),
        logging_steps=1, logging_nan_inf_filter=False,
        report_to="none", disable_tqdm=True, log_level="error",
        use_cpu=not gpu, bf16=autocast == torch.bfloat16, fp16=autocast == torch.float16,
        dataloader_pin_memory=gpu, remove_unused_columns=False,
    )  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the Trainer's log level from outliving the run."""
    level = logging.get_verbosity()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def result_of(base: Base, out: Path) -> SftResult:
    rows = read_lines(out / LOG)
    losses, seconds = [row["loss"] for row in rows], rows[-1]["seconds"] if rows else 0.0
    return SftResult(base, out / ADAPTER, losses, seconds, out / LOG)
