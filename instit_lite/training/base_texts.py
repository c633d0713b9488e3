"""Rows of the base without a picture. In: a random generator, a room in tokens. Out: samples of text and questions.

Options to choose from, a text in four parts, a text about a scene: reading, choosing and order in a text are what a
real language model brings along.
"""

from __future__ import annotations

import numpy as np

from ..scenes.facts import FrameFacts, InstanceFacts, changes, scene_facts
from ..scenes.language import frame_caption, summary
from ..scenes.questions import LETTERS, WAYS, Question, clip_questions, image_questions, presence_at
from ..scenes.sample import sample_scene
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES, place_of
from .collator import Sample
from .turns import count_tokens, turns_of

PLAIN_WORDS = (*COLOURS, *SHAPES)
POOLS = (
    list(COLOURS), list(SHAPES), list(PLACES), list(WAYS), [str(n) for n in range(1, 10)],
    [f"[{n}]" for n in range(1, 6)], [f"<{n}>" for n in range(1, 9)],
    [f"{size} {colour} {shape}" for size in SIZES for colour in COLOURS for shape in SHAPES],
)  # fmt: skip


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


def order_sample(rng: np.random.Generator, room: int) -> Sample:
    """A text of four parts of 16 words, in which a few numbers come and go, and questions about when and where to.

    Language models know which part of a long text a word stands in; this one has to be taught. Read as a 4 x 4 table,
    a part has a left and a right, a top and a bottom.
    """
    words = [plain_words(rng) for _ in range(4)]
    numbers = [int(n) for n in rng.permutation(np.arange(1, 6))[: int(rng.integers(1, 5))]]
    paths = {n: number_path(rng) for n in numbers}
    for number, path in paths.items():
        for part, cell in enumerate(path):
            if cell is not None:
                words[part][cell] = str(number)
    facts = [part_facts(words[part], numbers, part + 1) for part in range(4)]
    steps = [changes(a, b) for a, b in zip(facts, facts[1:])]
    asked = [q for q in clip_questions(facts, steps, rng) if q.kind not in ("colour", "shape", "present")]
    asked += [presence_at(n, f) for f in facts for n in numbers]
    context = " ".join(f"<{t}> {' '.join(part)}" for t, part in enumerate(words, start=1))
    turns = turns_of(asked, rng, room - count_tokens(context), 0.0)
    return Sample(frames=None, kind="text", turns=turns, context=context)


def plain_words(rng: np.random.Generator) -> list[str]:
    """The 16 words of a part: mostly "nothing", some colours and shapes."""
    return ["nothing" if rng.random() < 0.8 else str(rng.choice(PLAIN_WORDS)) for _ in range(16)]


def number_path(rng: np.random.Generator) -> list[int | None]:
    """The cell, 0 to 15, of a number in each part, None where it is absent: staying, moving, coming and going."""
    row, column = (int(v) for v in rng.integers(4, size=2))
    down, right = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)][int(rng.integers(5))]
    cells = [4 * int(np.clip(row + down * t, 0, 3)) + int(np.clip(column + right * t, 0, 3)) for t in range(4)]
    if rng.random() < 0.5:
        there = rng.random(4) < 0.5
    else:
        when = int(rng.integers(1, 4))
        there = (np.arange(4) >= when) == (rng.random() < 0.5)
    return [cell if seen else None for cell, seen in zip(cells, there)]


def part_facts(words: list[str], numbers: list[int], timestamp: int) -> FrameFacts:
    """Which numbers a part holds and where, as facts of a frame, so that the same questions can be asked."""
    found = []
    for number in sorted(numbers):
        if str(number) in words:
            r, c = divmod(words.index(str(number)), 4)
            x, y = (c + 0.5) / 4, (r + 0.5) / 4
            found.append(InstanceFacts(number, "circle", "red", "small", place_of(x, y), x, y, 0.1, 1.0))
    return FrameFacts(timestamp, tuple(found))


def reading_task(seed: int, rng: np.random.Generator) -> tuple[str, list[Question]]:
    """A text about a scene and questions that the text answers."""
    frames = scene_facts(sample_scene(seed), (0.125, 0.375, 0.625, 0.875))
    if rng.random() < 0.5:
        frame = frames[int(rng.integers(len(frames)))]
        return frame_caption(frame), image_questions(frame, rng)
    steps = [changes(a, b) for a, b in zip(frames, frames[1:])]
    return summary(frames, steps), clip_questions(frames, steps, rng)
