"""Some questions as multiple choice. In: dialogues. Out: the same, a share of their questions with four options.

Ours, not the paper's: INST-IT trains on open questions only. A micro model that never sees options in the SFT
unlearns to answer with a letter. Wrong answers are other answers to the same kind of question, from the same picture
first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..scenes.questions import Question, multiple_choice
from .dialogues import PLACEHOLDER, Dialogue, turns_of

QUESTIONS = ("general", "video_qa", "image_qa")


def add_choices(dialogues: Sequence[Dialogue], share: float, seed: int) -> list[Dialogue]:
    """Give a share of the questions four lettered options; a question with too few known answers stays open."""
    rng = np.random.default_rng(seed)
    pool: dict[str, dict[str, None]] = defaultdict(dict)
    for d in dialogues:
        for question, answer in question_turns(d):
            pool[pattern(question)].setdefault(answer)
    return [with_choices(d, share, pool, rng) if d["kind"] in QUESTIONS else d for d in dialogues]


def question_turns(dialogue: Dialogue) -> list[tuple[str, str]]:
    """The (question, answer) pairs of a dialogue that asks questions; none of one that only describes."""
    return turns_of(dialogue) if dialogue["kind"] in QUESTIONS else []


def pattern(question: str) -> str:
    """What kind of question it is: its text without ids, moments and the words that name a thing."""
    return re.sub(r"\[\d+\]|<\d+>|\b\d+\b", "#", question).split(" the ")[0]


def with_choices(dialogue: Dialogue, share: float, pool: dict[str, dict], rng: np.random.Generator) -> Dialogue:
    turns, near = question_turns(dialogue), defaultdict(list)
    for question, answer in turns:
        near[pattern(question)].append(answer)
    said = []
    for i, (question, answer) in enumerate(turns):
        kind = pattern(question)
        wrong = dict.fromkeys(a for a in near[kind] if a != answer)
        far = [a for a in pool[kind] if a != answer and a not in wrong]
        lettered = None
        if rng.random() < share and "," not in answer:
            lettered = multiple_choice(Question("", question, answer, tuple(wrong), tuple(far)), rng)
        asked, told = lettered or (question, answer)
        head = f"{PLACEHOLDER}\n" * len(dialogue["image"]) if i == 0 else ""
        said += [{"from": "human", "value": head + asked}, {"from": "gpt", "value": told}]
    return {**dialogue, "conversations": said}
