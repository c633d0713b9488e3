"""Make the micro base: `make pretrain`. In: nothing but seeds. Out: the shipped checkpoint folder and its card.

Three stages: the tower learns to see (tower.py, standing in for CLIP), the projector learns the words (align.py,
LLaVA's alignment in small), then projector and language model learn to answer with the tower frozen, on unmarked
pictures, printed numbers, and plain text. The base never sees a mark drawn on an instance, nor a video: that is what
the paper's continuous SFT is for.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..model.load import MICRO_FOLDER, Base, weights_hash
from ..model.micro import IMAGE_SIDE, PATCH, new_micro
from ..model.templates import TEMPLATES
from ..model.tokenizer import micro_tokenizer
from ..model.visual import inner_model
from ..profiles import atomic_write_text, build_dir
from ..scenes.facts import changes, scene_facts
from ..scenes.general import general_questions, number_questions
from ..scenes.language import frame_caption, summary
from ..scenes.questions import Question, clip_questions, image_questions, multiple_choice
from ..scenes.sample import sample_scene
from .align import align_projector
from .collator import Sample, collate
from .loop import train_loop
from .tower import draw_picture, train_tower
from .trainer import packed_loss

PICTURE_TOKENS = (IMAGE_SIDE // PATCH) ** 2
PRINTED_SHARE = 0.5  # pictures with printed numbers
ALIGN_STEPS, ALIGN_SEED = 300, 7 * 10**7
DENSE = ("describe", "numbers")


@dataclass(frozen=True)
class Phase:
    """A part of the last stage. Rows of one length waste no padding; `row_tokens` are filled with questions.

    `text_share`: rows without a picture, for reading comprehension, which a real language model brings along;
    `choice_share`: questions with four options; `both`: a picture with printed numbers is asked about its things too;
    `find_share`: rows that only look for many numbers by their value, the look-up that comes last.
    """

    name: str
    steps: int
    lr: float
    first_seed: int
    row_tokens: int
    text_share: float
    choice_share: float
    both: bool
    find_share: float = 0.0


PHASES = (
    Phase("base", 1300, 2e-3, 0, 192, 0.2, 0.15, both=False),
    Phase("settle", 1400, 1.5e-3, 2 * 10**8, 256, 0.08, 0.06, both=True),
    Phase("find", 300, 1.5e-3, 4 * 10**8, 256, 0.0, 0.0, both=False, find_share=1.0),
    Phase("join", 320, 1.5e-3, 5 * 10**8, 256, 0.08, 0.06, both=True, find_share=0.4),
)


def base_sample(seed: int, phase: Phase) -> Sample:
    """One row of the last stage: a picture or a text, and as many independent questions as fit."""
    rng = np.random.default_rng([seed, 2])
    if phase.find_share and rng.random() < phase.find_share:
        return find_sample(seed)
    if rng.random() < phase.text_share:
        context, questions = reading_task(seed, rng)
        room = phase.row_tokens - count_tokens(context)
        return Sample(frames=None, kind="text", turns=turns_of(questions, rng, room, phase.choice_share), context=context)
    picture, facts, printed = draw_picture(seed, PRINTED_SHARE)
    questions = number_questions(printed) if printed else []
    if phase.both or not printed:
        questions = questions + general_questions(facts, rng)
    turns = turns_of(questions, rng, phase.row_tokens - PICTURE_TOKENS, phase.choice_share)
    return Sample(frames=picture[None], kind="image", turns=turns)


def find_sample(seed: int) -> Sample:
    """A row about 6 to 9 printed numbers: where is each, and which number is at some of the places."""
    picture, _, printed = draw_picture(seed, 1.0, many=True)
    questions = number_questions(printed)
    asked = [q for q in questions if q.kind == "where_number"] + [q for q in questions if q.kind == "number_at"][:4]
    return Sample(frames=picture[None], kind="image", turns=[(q.question, q.answer) for q in asked])


def reading_task(seed: int, rng: np.random.Generator) -> tuple[str, list[Question]]:
    """A text about a scene and questions that the text answers."""
    frames = scene_facts(sample_scene(seed), (0.125, 0.375, 0.625, 0.875))
    if rng.random() < 0.5:
        frame = frames[int(rng.integers(len(frames)))]
        return frame_caption(frame), image_questions(frame, rng)
    steps = [changes(a, b) for a, b in zip(frames, frames[1:])]
    return summary(frames, steps), clip_questions(frames, steps, rng)


def turns_of(
    questions: list[Question], rng: np.random.Generator, room: int, choice_share: float
) -> list[tuple[str, str]]:
    """Choose questions until `room` tokens are full, the dense ones first, some turned into multiple choice."""
    dense = [q for q in questions if q.kind in DENSE]
    others = [q for q in questions if q.kind not in DENSE]
    turns = []
    for q in dense + [others[i] for i in rng.permutation(len(others))]:
        lettered = multiple_choice(q, rng) if rng.random() < choice_share else None
        turn = lettered or (q.question, q.answer)
        room -= count_tokens(" ".join(turn)) + 3
        if room < 0 and turns:
            break
        turns.append(turn)
    return turns or [("how many things are there?", "0")]


def count_tokens(text: str) -> int:
    """Tokens of a text in the micro tokenizer: words and signs."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def new_base(seed: int) -> Base:
    """The micro base with random weights."""
    tokenizer = micro_tokenizer()
    model = new_micro(tokenizer, seed)
    return Base(model, tokenizer, TEMPLATES["micro"], IMAGE_SIDE, "micro", MICRO_FOLDER)


def train_base(base: Base, folder: Path, seed: int, share: float, batch: int) -> None:
    """Teach projector and language model to answer, with the tower frozen, in place; `share` of each phase's steps."""
    base.model.requires_grad_(True)
    inner_model(base.model).vision_tower.requires_grad_(False)
    for phase in PHASES:

        def make(step: int, phase: Phase = phase) -> dict:
            first = seed + phase.first_seed + step * batch
            return collate(base, [base_sample(first + i, phase) for i in range(batch)])

        train_loop(base.model, lambda data: packed_loss(base.model, data), make, folder / phase.name,
                   steps=max(1, round(phase.steps * share)), lr=phase.lr)  # fmt: skip


def save_base(base: Base, folder: Path) -> None:
    """Write the checkpoint folder: fp16 safetensors, configuration, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    base.model.half().save_pretrained(folder)
    base.model.float()
    base.tokenizer.save_pretrained(folder)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make pretrain", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=MICRO_FOLDER, help="checkpoint folder to write")
    parser.add_argument("--work", type=Path, default=None, help="where the resumable state lives")
    parser.add_argument("--share", type=float, default=1.0, help="share of all steps, to try the road quickly")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    work = args.work or build_dir("pretrain")
    began = time.time()
    base = new_base(args.seed)
    print("stage 1 of 3: the vision tower, dense targets", flush=True)
    tower = train_tower(base.model, work / "tower", args.seed, args.share)
    print(f"stage 2 of 3: the projector learns the words (tower: {tower})", flush=True)
    align_projector(base, work / "align", max(1, round(ALIGN_STEPS * args.share)), args.seed + ALIGN_SEED)
    print("stage 3 of 3: projector and language model learn to answer, tower frozen", flush=True)
    train_base(base, work / "answer", args.seed, args.share, args.batch)
    save_base(base, args.out)
    figures = {"tower": tower, "minutes": round((time.time() - began) / 60, 1), "weights": weights_hash(args.out)}
    atomic_write_text(work / "figures.json", json.dumps(figures, indent=1))
    print(f"wrote {args.out} after {figures['minutes']} minutes")


if __name__ == "__main__":
    main()
