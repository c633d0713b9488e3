"""One job: build data, draw the bench, train and answer an arm, measure costs. In: a room, names. Out: files.

`python -m instit_lite.claims.work PROFILE KIND NAME SEED [CLAIMS]` is a job in a process of its own: one that fails
or is killed takes no other along. Every job goes on where it was killed.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ..dataset.build import build_micro, load_dataset
from ..errors import InstitError
from ..evaluation.item import BenchItem
from ..evaluation.report import answer_and_keep
from ..model.adapter import load_adapter
from ..model.load import Base, load_base
from ..model.templates import TEMPLATES
from ..model.visual import inner_model, tokens_per_frame
from ..profiles import atomic_write_text, read_lines
from ..training.collator import Sample
from ..training.recipe import SHARES, samples_of
from ..training.sft import LOG, SftResult, run_sft
from .arms import ARMS, FULL, Arm, arm_named, base_folders, missing_base
from .origin import made_here
from .room import (
    Need, Room, claims_named, facts_version, identity, is_trained, needs_of, read_cost, read_facts, read_json,
    room_of, scores_of,
)  # fmt: skip
from .views import facts_of, items_of, view_named

COST_STEPS = 24  # the first third warms up and is not counted
Say = Callable[[str], None]


def build_data(room: Room, arm: Arm, seed: int, say: Say = print) -> None:
    """Build the dataset of an arm and seed; other arms with the same data share it, and all share filmed clips."""
    filmed, own = (folder / "clips" for folder in (room.data_folder(ARMS["main"], seed), room.data_folder(arm, seed)))
    if arm.data == FULL and filmed.exists() and not own.exists():
        shutil.copytree(filmed, own)
    build_micro(room.data_profile(arm), seed, room.data_folder(arm, seed), say=say)


def keep_facts(room: Room, arm: Arm, need: Need, items: list[BenchItem]) -> list[dict]:
    """Keep what scoring needs to know of a view and split, and return it."""
    facts = facts_of(*need, items, room.profile)
    atomic_write_text(room.facts_file(arm, *need), json.dumps({"version": facts_version(room), "items": facts}) + "\n")
    return facts


def arm_base(arm: Arm) -> Base:
    """Load the base of an arm, on the GPU where there is one; all bases here speak the micro-language."""
    reason = missing_base(arm)
    if reason:
        raise InstitError(f"arm {arm.name!r} cannot run: {reason}", cure="run that command first")
    return prepared(load_base(str(base_folders()[arm.base][0])), arm)


def prepared(base: Base, arm: Arm) -> Base:
    """The micro template, the arm's pooling, the machine's device."""
    base.model.config.pool_video = arm.pooled
    base.model.to("cuda" if torch.cuda.is_available() else "cpu")
    return replace(base, template=TEMPLATES["micro"])


def trained(room: Room, arm: Arm, seed: int, say: Say = print) -> Base:
    """Train an arm, or load it where it is trained already; what another base or other settings left is removed."""
    base, folder, own = arm_base(arm), room.arm_folder(arm, seed), identity(room, arm, seed)
    card, adapter = room.card_file(arm, seed), folder / "sft" / "adapter"
    lost = arm.trains and is_trained(room, arm, seed) and not adapter.exists()  # only its scores came back
    if lost or read_json(card).get("identity") != own:
        shutil.rmtree(folder, ignore_errors=True)
        atomic_write_text(card, json.dumps({"identity": own, "finished": not arm.trains, **made_here()}) + "\n")
    if not arm.trains:
        return base
    if arm.general_first:
        base = general_first(room, arm, base, seed, say)
    if is_trained(room, arm, seed):
        return load_adapter(base, adapter)
    done = sft(room, arm, base, seed, folder / "sft", say)
    trained = {"seconds": round(done.seconds, 1), "loss": round(done.losses[-1], 4)}
    about = {"identity": own, "finished": True, **made_here(), **trained}
    atomic_write_text(card, json.dumps(about) + "\n")
    return done.base


def sft(
    room: Room, arm: Arm, base: Base, seed: int, out: Path, say: Say, general_only: bool = False
) -> SftResult:
    """The recipe of `training.recipe` with what the arm changes; the share of general data stays as groups change."""
    data = load_dataset(room.data_folder(arm, seed))
    own = [] if general_only else [d for d in data.dialogues if d["group"] in arm.groups]
    steps = max(1, round((arm.general_first if general_only else arm.steps) * room.profile.sft_steps))
    n = steps * room.profile.sft_batch
    share = SHARES["general"] if arm.general is None else arm.general
    samples = samples_of(base, own, data.general, data.folder, n, seed, share)
    return run_sft(base, samples, room.profile, out, seed=seed, steps=steps, say=say, **changes_of(arm, base))


def changes_of(arm: Arm, base: Base) -> dict:
    """Settings of the SFT that the arm changes."""
    layers = len(inner_model(base.model).vision_tower.encoder.layers)
    frozen = {"later half": None, "all": 0, "none": layers}[arm.tuned]
    return {"packing": arm.packing, "nf4": arm.nf4, "frozen_layers": frozen}


def general_first(room: Room, arm: Arm, base: Base, seed: int, say: Say) -> Base:
    """Train on general data alone, and make a base of the result: what a continuous SFT starts from."""
    folder = room.arm_folder(arm, seed) / "general"
    if not (folder / "base" / "config.json").exists():
        done = sft(room, arm, base, seed, folder / "sft", say, general_only=True)
        with TemporaryDirectory(dir=folder, prefix=".base.") as scratch:
            partial = Path(scratch) / "base"
            done.base.model.merge_and_unload().save_pretrained(partial)
            base.tokenizer.save_pretrained(partial)
            os.replace(partial, folder / "base")
    return prepared(load_base(str(folder / "base")), arm)


def train_and_answer(room: Room, arm: Arm, seed: int, needs: dict[Need, set[str]], say: Say = print) -> None:
    """Train an arm where it is not, and answer what is not answered yet."""
    base = trained(room, arm, seed, say)
    for (view, split), formats in needs.items():
        items = None
        if read_facts(room, arm, view, split) is None:
            items = items_of(view, split, room.profile, arm.frames)
            keep_facts(room, arm, (view, split), items)
        if scores_of(room, arm, seed, view, split, formats) is not None:
            continue
        items = items or items_of(view, split, room.profile, arm.frames)
        asked = [i for i in items if i.format in formats]
        say(f"answering {len(asked)} questions: {view} {split}")
        path, blind = room.answers_file(arm, seed, view, split), view_named(view).blind
        answer_and_keep(base, asked, path, batch=room.profile.eval_batch, blind=blind, progress=False)


def measure_cost(room: Room, arm: Arm, repeat: int, say: Say = print) -> None:
    """Train a few steps on clips only, in this process: tokens of a clip, seconds of a step, peak memory.

    Memory is the growth of this process's peak over what it was with the base loaded; on a GPU, that of the GPU.
    """
    if read_cost(room, arm, repeat):
        return
    base, gpu = arm_base(arm), torch.cuda.is_available()
    before = peak_mb()
    data = load_dataset(room.data_folder(arm, 0))
    clips = [d for d in data.dialogues if d["kind"] in ("video_caption", "video_qa")]
    steps = min(COST_STEPS, max(3, room.profile.sft_steps))
    samples = samples_of(base, clips, [], data.folder, steps * room.profile.sft_batch, 0)
    with TemporaryDirectory(prefix="costs-") as scratch:
        run_sft(base, samples, room.profile, scratch, steps=steps, say=say, **changes_of(arm, base))
        rows = read_lines(Path(scratch) / LOG)
    warm = rows[len(rows) // 3 - 1]
    found = {
        "identity": identity(room, arm, 0), "finished": True, **made_here(),
        "tokens": visual_tokens(base, samples[0]),
        "seconds": (rows[-1]["seconds"] - warm["seconds"]) / (rows[-1]["step"] - warm["step"]),
        "memory": torch.cuda.max_memory_allocated() / 2**20 if gpu else max(1.0, peak_mb() - before),
    }  # fmt: skip
    atomic_write_text(room.cost_file(arm.name, repeat), json.dumps(found) + "\n")


def visual_tokens(base: Base, clip: Sample) -> int:
    """Visual tokens that a clip costs in the context."""
    return len(clip.frames) * tokens_per_frame(base.model, pooled=base.model.config.pool_video)


def peak_mb() -> float:
    """Peak memory of this process in MiB; Linux counts in KiB, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def work(room: Room, kind: str, name: str, seed: int, only: list[str] | None = None, say: Say = print) -> None:
    """Do one job; `only` names the claims whose needs count."""
    arm = arm_named(name)
    if kind == "data":
        build_data(room, arm, seed, say)
    elif kind == "arm":
        train_and_answer(room, arm, seed, needs_of(claims_named(only))[name], say)
    elif kind == "cost":
        measure_cost(room, arm, seed, say)
    else:
        raise InstitError(f"there is no job {kind!r}", cure="choose data, arm or cost")


def end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone: two runs must not write the same files."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(3)


def main(arguments: list[str]) -> int:
    """Run one job in this process, on one thread."""
    profile, kind, name, seed, *only = arguments
    torch.set_num_threads(1)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    began = time.perf_counter()

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        work(room_of(profile), kind, name, int(seed), only[0].split(",") if only else None, say)
    except InstitError as problem:
        print(f"{type(problem).__name__}: {problem}", flush=True)
        return 2
    say(f"done in {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
