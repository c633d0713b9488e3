"""Some questions as multiple choice. In: dialogues. Out: the same, a share of their questions with four options.

Ours, not the paper's: INST-IT trains on open questions only. A micro model that never sees options in the SFT
unlearns to answer with a letter. Wrong answers are other answers to the same kind of question, from the same picture
first. Questions about a clip are answered with the words of the right option: a micro model that knows what happened
loses it on the way to a letter (README, "What it shows").
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..scenes.questions import Question, multiple_choice
from .dialogues import Dialogue, make_dialogue, turns_of

QUESTIONS = ("general", "video_qa", "image_qa")  # kinds of dialogues that ask; the others only describe
IN_WORDS = ("video_qa",)  # kinds whose options are chosen by their words, not by their letter


def add_choices(dialogues: Sequence[Dialogue], share: float, seed: int) -> list[Dialogue]:
    """Give a share of the questions four lettered options; a question with too few known answers stays open."""
    rng = np.random.default_rng(seed)
    pool: dict[str, dict[str, None]] = defaultdict(dict)
    for d in dialogues:
        for question, answer in turns_of(d) if d["kind"] in QUESTIONS else []:
            pool[pattern(question)].setdefault(answer)
    return [with_choices(d, share, pool, rng) if d["kind"] in QUESTIONS else d for d in dialogues]


def pattern(question: str) -> str:
    """What kind of question it is: its text without ids, moments and the words that name a thing."""
    return re.sub(r"\[\d+\]|<\d+>|\b\d+\b", "#", question).split(" the ")[0]


def moments(dialogue: Dialogue, answer: str) -> list[str]:
    """Every moment of the clip where a moment is asked for: few enough are ever an answer that none would be left."""
    return [f"<{t}>" for t in range(1, len(dialogue["image"]) + 1)] if re.fullmatch(r"<\d+>", answer) else []


def with_choices(dialogue: Dialogue, share: float, pool: dict[str, dict], rng: np.random.Generator) -> Dialogue:
    """One dialogue with options; `pool` holds the answers known for each pattern of question."""
    near, said = defaultdict(list), []
    for question, answer in turns_of(dialogue):
        near[pattern(question)].append(answer)
    for question, answer in turns_of(dialogue):
        kind = pattern(question)
        wrong = dict.fromkeys(a for a in [*near[kind], *moments(dialogue, answer)] if a != answer)
        far = [a for a in pool[kind] if a != answer and a not in wrong]
        lettered = None
        if rng.random() < share and "," not in answer:
            lettered = multiple_choice(Question("", question, answer, tuple(wrong), tuple(far)), rng)
        if lettered and dialogue["kind"] in IN_WORDS:
            lettered = lettered[0], answer
        said.append(lettered or (question, answer))
    return make_dialogue(dialogue["id"], dialogue["image"], said, dialogue["group"], dialogue["kind"])
