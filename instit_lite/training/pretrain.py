"""Make the micro base: `make pretrain`. In: nothing but seeds. Out: the shipped checkpoint folder and its card.

Three stages: the tower learns to see (tower.py, standing in for CLIP), the projector learns the words (align.py,
LLaVA's alignment in small), then projector and language model learn to answer with the tower frozen, on unmarked
pictures, printed numbers, and plain text. The base never sees a mark drawn on an instance, nor a video: that is what
the paper's continuous SFT is for.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

from ..model.load import MICRO_FOLDER, Base, weights_hash
from ..model.micro import IMAGE_SIDE, MICRO_SIZES, new_micro
from ..model.templates import TEMPLATES
from ..model.tokenizer import micro_tokenizer
from ..model.visual import inner_model
from ..profiles import atomic_write_text, build_dir
from .align import align_projector
from .base_rows import EARLIER, PHASES, Phase, base_sample
from .collator import collate
from .loop import train_loop
from .fast_cpu import fast_cpu
from .tower import train_tower
from .trainer import packed_loss

ALIGN_STEPS, ALIGN_SEED = 300, 7 * 10**7


def new_base(seed: int, size: str = "small") -> Base:
    """The micro base with random weights."""
    tokenizer = micro_tokenizer()
    model = new_micro(tokenizer, seed, size)
    return Base(model, tokenizer, TEMPLATES["micro"], IMAGE_SIDE, "micro", MICRO_FOLDER)


def train_base(base: Base, folder: Path, seed: int, share: float, batch: int) -> None:
    """Teach projector and language model to answer, with the tower frozen, in place; `share` of each phase's steps.

    The state before the phase `EARLIER` is kept as a checkpoint of its own, `folder/earlier`: what happens when INST-IT
    data are mixed in from there on, instead of afterwards, is one of the paper's questions (Table 6).
    """
    base.model.requires_grad_(True)
    inner_model(base.model).vision_tower.requires_grad_(False)
    for phase in PHASES:
        if phase.name == EARLIER:
            save_base(base, folder / "earlier")

        def make(step: int, phase: Phase = phase) -> dict:
            first = seed + phase.first_seed + step * batch
            return collate(base, [base_sample(first + i, phase) for i in range(batch)])

        train_loop(base.model, lambda data: packed_loss(base.model, data), make, folder / phase.name,
                   steps=max(1, round(phase.steps * share)), lr=phase.lr)  # fmt: skip


def save_base(base: Base, folder: Path) -> None:
    """Write the checkpoint folder: fp16 safetensors, configuration, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(base.model).half().save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make pretrain", description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=list(MICRO_SIZES), default="small", help="3 M parameters, the shipped base, or 10 M")
    parser.add_argument("--out", type=Path, default=None, help="checkpoint folder to write")
    parser.add_argument("--work", type=Path, default=None, help="where the resumable state lives")
    parser.add_argument("--share", type=float, default=1.0, help="share of all steps, to try the road quickly")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    with fast_cpu():
        make_base(args)


def make_base(args: argparse.Namespace) -> None:
    """Go through the three stages and write the checkpoint."""
    work = args.work or build_dir("pretrain")
    began = time.time()
    base = new_base(args.seed, args.size)
    print("stage 1 of 3: the vision tower, dense targets", flush=True)
    tower = train_tower(base.model, work / "tower", args.seed, args.share)
    print(f"stage 2 of 3: the projector learns the words (tower: {tower})", flush=True)
    align_projector(base, work / args.size / "align", max(1, round(ALIGN_STEPS * args.share)), args.seed + ALIGN_SEED)
    print("stage 3 of 3: projector and language model learn to answer, tower frozen", flush=True)
    train_base(base, work / args.size, args.seed, args.share, args.batch)
    out = args.out or (MICRO_FOLDER if args.size == "small" else work / args.size / "out")
    save_base(base, out)
    figures = {"tower": tower, "minutes": round((time.time() - began) / 60, 1), "weights": weights_hash(out)}
    atomic_write_text(work / args.size / "figures.json", json.dumps(figures, indent=1))
    print(f"wrote {out}; this sitting took {figures['minutes']} minutes")


if __name__ == "__main__":
    main()
