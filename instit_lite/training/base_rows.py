"""What the base reads and is asked in its last stage. In: a seed and a phase. Out: one row of questions.

Seven kinds of rows: an unmarked picture, some with printed numbers; many numbers to find; one picture in named strips;
one large picture in named tiles; options to choose from, about a word that the question itself says; a text to read; a
text in four parts, about the order of what it says. No mark on an instance, no video, no number in a picture used as a
name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..scenes.general import general_questions, number_questions
from .base_pictures import PICTURE_TOKENS, find_sample, presence_questions, strips_sample, tiles_sample
from .base_texts import options_sample, order_sample, reading_task
from .collator import Sample
from .tower import draw_picture
from .turns import count_tokens, turns_of

PRINTED_SHARE = 0.5  # pictures with printed numbers


@dataclass(frozen=True)
class Phase:
    """A part of the last stage. Rows of one length waste no padding; `row_tokens` are filled with questions.

    `text_share`: rows without a picture, for reading comprehension, which a real language model brings along;
    `choice_share`: questions with four options; `both`: a picture with printed numbers is asked about its things too;
    `find_share`: rows that only look for many numbers by their value, the look-up that comes last; `pooled_share`:
    single pictures shown through pooled tokens, a coarse look such as a thumbnail gives; `options_share`: rows that
    only choose among options, without a picture; `order_share`: texts in four parts, about which comes when; `presence`:
    asks whether a number is printed anywhere.
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
    order_share: float = 0.0
    strips_share: float = 0.0
    tiles_share: float = 0.0
    presence: bool = False


PHASES = (
    Phase("base", 1300, 2e-3, 0, 192, 0.2, 0.0, both=False),
    Phase("options", 300, 2e-3, 6 * 10**8, 128, 0.0, 0.0, both=False, options_share=1.0),
    Phase("settle", 1400, 1.5e-3, 2 * 10**8, 256, 0.08, 0.25, both=True, pooled_share=0.3, options_share=0.08),
    Phase("find", 300, 1.5e-3, 4 * 10**8, 256, 0.0, 0.0, both=False, find_share=1.0),
    Phase("join", 400, 1.5e-3, 5 * 10**8, 256, 0.08, 0.25, both=True, find_share=0.3, pooled_share=0.3, options_share=0.05),
    Phase("order", 700, 2e-3, 9 * 10**8, 256, 0.0, 0.0, both=False, order_share=1.0),
    Phase("polish", 2600, 1.5e-3, 8 * 10**8, 256, 0.05, 0.38, both=True, find_share=0.08, pooled_share=0.25, options_share=0.04, order_share=0.1, presence=True),
    Phase("strips", 700, 1.5e-3, 10 * 10**8, 256, 0.05, 0.38, both=True, find_share=0.05, pooled_share=0.25, options_share=0.03, order_share=0.2, strips_share=0.35, presence=True),
    Phase("tiles", 1900, 1.5e-3, 11 * 10**8, 256, 0.05, 0.38, both=True, find_share=0.05, pooled_share=0.25, options_share=0.03, order_share=0.12, tiles_share=0.45, presence=True),
)  # fmt: skip

EARLIER = PHASES[:5]  # not done yet, but numbers can be read: where they cannot, no order of the data teaches marks
LARGE = (replace(PHASES[-1], name="large", steps=600, lr=8e-4, first_seed=12 * 10**8),)  # the end of it, for longer


def base_sample(seed: int, phase: Phase) -> Sample:
    """One row of the last stage: a picture or a text, and as many independent questions as fit."""
    rng = np.random.default_rng([seed, 2])
    if phase.find_share and rng.random() < phase.find_share:
        return find_sample(seed)
    if phase.options_share and rng.random() < phase.options_share:
        return options_sample(rng, phase.row_tokens)
    if phase.order_share and rng.random() < phase.order_share:
        return order_sample(rng, phase.row_tokens)
    if phase.strips_share and rng.random() < phase.strips_share:
        return strips_sample(seed, phase.row_tokens)
    if phase.tiles_share and rng.random() < phase.tiles_share:
        return tiles_sample(seed, phase.row_tokens)
    if rng.random() < phase.text_share:
        context, questions = reading_task(seed, rng)
        room = phase.row_tokens - count_tokens(context)
        return Sample(frames=None, kind="text", turns=turns_of(questions, rng, room, phase.choice_share), context=context)
    picture, facts, printed = draw_picture(seed, PRINTED_SHARE)
    questions = number_questions(printed, facts, rng) if printed else []
    if printed and phase.presence:
        questions += presence_questions(printed, rng)
    if phase.both or not printed:
        questions = questions + general_questions(facts, rng)
    pooled = rng.random() < phase.pooled_share
    room = phase.row_tokens - PICTURE_TOKENS // (4 if pooled else 1)
    turns = turns_of(questions, rng, room, phase.choice_share)
    return Sample(frames=picture[None], kind="video" if pooled else "image", turns=turns)
