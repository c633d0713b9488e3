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
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..model.load import MICRO_FOLDER, Base, load_base, weights_hash
from ..model.micro import IMAGE_SIDE, grown, new_micro
from ..model.templates import TEMPLATES
from ..model.tokenizer import micro_tokenizer
from ..model.visual import inner_model
from ..profiles import atomic_write_text, build_dir
from .align import align_projector
from .base_rows import EARLIER, LARGE, PHASES, Phase, base_sample
from .collator import collate
from .loop import train_loop
from .fast_cpu import fast_cpu
from .tower import train_tower
from .trainer import packed_loss

ALIGN_STEPS, ALIGN_SEED = 300, 7 * 10**7
WHAT = {
    "small": "3 M parameters, the shipped base, from nothing",
    "earlier": "the shipped tower, a general stage cut short: from here the claims compare two orders of the data",
    "large": "10 M parameters, grown from the shipped base, for the claim that size does not help by itself",
}


def new_base(seed: int) -> Base:
    """The micro base with random weights."""
    tokenizer = micro_tokenizer()
    model = new_micro(tokenizer, seed)
    return Base(model, tokenizer, TEMPLATES["micro"], IMAGE_SIDE, "micro", MICRO_FOLDER)


def shipped_tower(seed: int) -> Base:
    """The micro base with random weights, but for the vision tower of the shipped one."""
    base, shipped = new_base(seed), load_base("micro")
    inner_model(base.model).vision_tower.load_state_dict(inner_model(shipped.model).vision_tower.state_dict())
    return base


def grown_base() -> Base:
    """The shipped base with more language layers, see `model.micro.grown`."""
    shipped = load_base("micro")
    return replace(shipped, model=grown(shipped.model, shipped.tokenizer))


def train_base(base: Base, folder: Path, phases: Sequence[Phase], seed: int, share: float, batch: int) -> None:
    """Teach projector and language model to answer, with the tower frozen, in place; `share` of each phase's steps."""
    base.model.requires_grad_(True)
    inner_model(base.model).vision_tower.requires_grad_(False)
    for phase in phases:

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
    listed = "; ".join(f"{name}: {about}" for name, about in WHAT.items())
    parser.add_argument("--size", choices=list(WHAT), default="small", help=listed)
    parser.add_argument("--out", type=Path, default=None, help="checkpoint folder to write")
    parser.add_argument("--work", type=Path, default=None, help="where the resumable state lives")
    parser.add_argument("--share", type=float, default=1.0, help="share of all steps, to try the road quickly")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    with fast_cpu():
        make_base(args)


def make_base(args: argparse.Namespace) -> None:
    """Go through the stages that the size needs and write the checkpoint."""
    began, work, figures = time.time(), args.work or build_dir("pretrain"), {}
    folder, base, phases = work / args.size, None, PHASES
    if args.size == "small":
        base = new_base(args.seed)
        print("stage 1 of 3: the vision tower, dense targets", flush=True)
        figures["tower"] = train_tower(base.model, work / "tower", args.seed, args.share)
        print(f"  {figures['tower']}")
    elif args.size == "earlier":
        base, phases = shipped_tower(args.seed), EARLIER
    if base is not None:
        print("stage 2 of 3: the projector learns the words", flush=True)
        align_projector(base, folder / "align", max(1, round(ALIGN_STEPS * args.share)), args.seed + ALIGN_SEED)
    else:
        base, phases = grown_base(), LARGE
    print("stage 3 of 3: projector and language model learn to answer, tower frozen", flush=True)
    train_base(base, folder, phases, args.seed, args.share, args.batch)
    out = args.out or (MICRO_FOLDER if args.size == "small" else folder / "out")
    save_base(base, out)
    figures |= {"minutes": round((time.time() - began) / 60, 1), "weights": weights_hash(out)}
    atomic_write_text(folder / "figures.json", json.dumps(figures, indent=1))
    print(f"wrote {out}; this sitting took {figures['minutes']} minutes")


if __name__ == "__main__":
    main()
