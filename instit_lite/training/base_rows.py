"""What the base reads and is asked in its last stage. In: a seed and a phase. Out: one row of questions.

Five kinds of rows: an unmarked picture, some with printed numbers; many numbers to find; options to choose from, about
a word that the question itself says; a text to read; a text in four parts, about the order of what it says. No mark on
an instance, no video, no number in a picture used as a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from ..model.micro import IMAGE_SIDE, PATCH
from ..scenes.facts import FrameFacts, InstanceFacts, changes, frame_facts, scene_facts
from ..scenes.general import DENSE, PrintedNumber, general_questions, number_questions, print_numbers
from ..scenes.language import frame_caption, summary
from ..scenes.questions import LETTERS, WAYS, Question, clip_questions, image_questions, multiple_choice, presence_at
from ..scenes.render import render
from ..scenes.sample import sample_scene
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES, Knobs, place_of
from .collator import Sample
from .tower import draw_picture

PICTURE_TOKENS = (IMAGE_SIDE // PATCH) ** 2
PRINTED_SHARE = 0.5  # pictures with printed numbers
PLAIN_WORDS = (*COLOURS, *SHAPES)


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
    if phase.order_share and rng.random() < phase.order_share:
        return order_sample(rng, phase.row_tokens)
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


def presence_questions(printed: list[PrintedNumber], rng: np.random.Generator) -> list[Question]:
    """Two numbers that are printed and two that are not: looking for one without knowing that it is there."""
    values = [p.value for p in printed]
    there = rng.permutation(values)[:2]
    missing = rng.permutation([n for n in range(1, 10) if n not in values])[:2]
    return [Question("exists", f"is there a number {n}?", "yes" if n in values else "no") for n in (*there, *missing)]


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


def tiles_sample(seed: int, room: int) -> Sample:
    """One large picture, cut in four tiles as AnyRes cuts it, and which printed number is in which tile.

    Each tile is encoded and pooled on its own and has a name; the names come in any order. From the name before
    it a visual token learns which tile it belongs to: nothing else in it says so. Numbers may be printed on several
    tiles.
    """
    rng = np.random.default_rng([seed, 5])
    scene = sample_scene(seed, Knobs(n_things=(1, 4)))
    u = float(rng.uniform(0.05, 0.95))
    large, facts = render(scene, u, 2 * IMAGE_SIDE)[0], frame_facts(scene, u)
    values = rng.permutation(np.arange(1, 10))[: int(rng.integers(2, 6))]
    tiles, printed = [], []
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        tile = large[row * IMAGE_SIDE :, column * IMAGE_SIDE :][:IMAGE_SIDE, :IMAGE_SIDE]
        things = tuple(replace(f, x=2 * f.x - column, y=2 * f.y - row, radius=2 * f.radius) for f in facts.instances)
        own = [int(v) for v in values if rng.random() < 0.5]
        tile, found = print_numbers(tile, replace(facts, instances=things), rng, values=own)
        tiles.append(tile)
        printed.append({p.value: place_of(p.x, p.y) for p in found})
    names = tuple(sorted(range(1, 5), key=lambda _: rng.random()) if rng.random() < 0.5 else range(1, 5))
    turns = turns_of(tile_questions(dict(zip(names, printed)), values, rng), rng, room - PICTURE_TOKENS, 0.0)
    return Sample(np.stack(tiles), "video", turns, names=names)


def tile_questions(printed: dict[int, dict[int, str]], values: np.ndarray, rng: np.random.Generator) -> list[Question]:
    """Which numbers `printed[name]` a tile shows and where: as many yes as no, and the tile of a lone number."""
    asked = [Question("tile", f"where is number {n} at <{t}>?", own[n]) for t, own in printed.items() for n in own]
    asked = [asked[i] for i in rng.permutation(len(asked))[:5]]
    form = str(rng.choice(["is there a number {} at <{}>?", "is number {} visible at <{}>?"]))
    for n in values:
        there = [t for t in rng.permutation(list(printed)) if n in printed[t]]
        absent = [t for t in rng.permutation(list(printed)) if n not in printed[t]]
        few = min(len(there), len(absent))
        asked += [Question("tile", form.format(n, t), "yes") for t in there[:few]]
        asked += [Question("tile", form.format(n, t), "no") for t in absent[:few]]
        if len(there) == 1:
            asked.append(Question("tile", f"when is number {n} visible?", f"<{there[0]}>"))
    return asked


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
