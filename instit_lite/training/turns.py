"""Questions to turns that fill a row. In: questions, a room in tokens. Out: (question, answer) pairs."""

from __future__ import annotations

import re

import numpy as np

from ..scenes.general import DENSE
from ..scenes.questions import Question, multiple_choice


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
