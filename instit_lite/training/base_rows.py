"""What the base reads and is asked in its last stage. In: a seed and a phase. Out: one row of questions.

Four kinds of rows: an unmarked picture, some with printed numbers; many numbers to find; four options to choose from,
about a word that the question itself says; a text to read. No mark on an instance, no video, no number used as a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..model.micro import IMAGE_SIDE, PATCH
from ..scenes.facts import changes, scene_facts
from ..scenes.general import general_questions, number_questions
from ..scenes.language import frame_caption, summary
from ..scenes.questions import LETTERS, WAYS, Question, clip_questions, image_questions, multiple_choice
from ..scenes.sample import sample_scene
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES
from .collator import Sample
from .tower import draw_picture

PICTURE_TOKENS = (IMAGE_SIDE // PATCH) ** 2
PRINTED_SHARE = 0.5  # pictures with printed numbers
DENSE = ("describe", "numbers")


@dataclass(frozen=True)
class Phase:
    """A part of the last stage. Rows of one length waste no padding; `row_tokens` are filled with questions.

    `text_share`: rows without a picture, for reading comprehension, which a real language model brings along;
    `choice_share`: questions with four options; `both`: a picture with printed numbers is asked about its things too;
    `find_share`: rows that only look for many numbers by their value, the look-up that comes last; `pooled_share`:
    single pictures shown through pooled tokens, a coarse look such as a thumbnail gives; `options_share`: rows that
    only choose among options, without a picture.
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
    pooled_share: float = 0.0
    options_share: float = 0.0


PHASES = (
    Phase("base", 1300, 2e-3, 0, 192, 0.2, 0.0, both=False),
    Phase("options", 300, 2e-3, 6 * 10**8, 128, 0.0, 0.0, both=False, options_share=1.0),
    Phase("settle", 1400, 1.5e-3, 2 * 10**8, 256, 0.08, 0.25, both=True, pooled_share=0.3, options_share=0.08),
    Phase("find", 300, 1.5e-3, 4 * 10**8, 256, 0.0, 0.0, both=False, find_share=1.0),
    Phase("join", 400, 1.5e-3, 5 * 10**8, 256, 0.08, 0.25, both=True, find_share=0.3, pooled_share=0.3, options_share=0.05),
    Phase("polish", 1600, 1.5e-3, 8 * 10**8, 256, 0.05, 0.3, both=True, find_share=0.08, pooled_share=0.2, options_share=0.04),
)  # fmt: skip
POOLS = (
    list(COLOURS), list(SHAPES), list(PLACES), list(WAYS), [str(n) for n in range(1, 10)],
    [f"[{n}]" for n in range(1, 6)], [f"<{n}>" for n in range(1, 9)],
    [f"{size} {colour} {shape}" for size in SIZES for colour in COLOURS for shape in SHAPES],
)  # fmt: skip


def base_sample(seed: int, phase: Phase) -> Sample:
    """One row of the last stage: a picture or a text, and as many independent questions as fit."""
    rng = np.random.default_rng([seed, 2])
    if phase.find_share and rng.random() < phase.find_share:
        return find_sample(seed)
    if phase.options_share and rng.random() < phase.options_share:
        return options_sample(rng, phase.row_tokens)
    if rng.random() < phase.text_share:
        context, questions = reading_task(seed, rng)
        room = phase.row_tokens - count_tokens(context)
        return Sample(frames=None, kind="text", turns=turns_of(questions, rng, room, phase.choice_share), context=context)
    picture, facts, printed = draw_picture(seed, PRINTED_SHARE)
    questions = number_questions(printed, facts, rng) if printed else []
    if phase.both or not printed:
        questions = questions + general_questions(facts, rng)
    pooled = rng.random() < phase.pooled_share
    room = phase.row_tokens - PICTURE_TOKENS // (4 if pooled else 1)
    turns = turns_of(questions, rng, room, phase.choice_share)
    return Sample(frames=picture[None], kind="video" if pooled else "image", turns=turns)


def find_sample(seed: int) -> Sample:
    """A row about 6 to 9 printed numbers: where is each, which is on each thing, which is at some of the places."""
    picture, facts, printed = draw_picture(seed, 1.0, many=True)
    questions = number_questions(printed, facts, np.random.default_rng([seed, 3]))
    asked = [q for q in questions if q.kind in ("where_number", "number_on")]
    asked += [q for q in questions if q.kind == "number_at"][:4]
    return Sample(frames=picture[None], kind="image", turns=[(q.question, q.answer) for q in asked])


def options_sample(rng: np.random.Generator, room: int) -> Sample:
    """A row of "which is red? A: blue B: red": 2 to 4 options, one of which repeats the question's word.

    Choosing a letter is two look-ups, from the answer to its option and from there to the letter before it. Mixed
    with everything else it stays at chance for thousands of steps; alone it is learned in 200, and keeps.
    """
    turns: list[tuple[str, str]] = []
    while room > 0:
        pool = POOLS[int(rng.integers(len(POOLS)))]
        options = [pool[i] for i in rng.permutation(len(pool))[: int(rng.integers(2, 5))]]
        right = int(rng.integers(len(options)))
        listed = " ".join(f"{letter}: {option}" for letter, option in zip(LETTERS, options))
        turns.append((f"which is {options[right]}? {listed}", LETTERS[right]))
        room -= count_tokens(" ".join(turns[-1])) + 3
    return Sample(frames=None, kind="text", turns=turns)


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
