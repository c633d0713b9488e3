"""Rows of the base about printed numbers. In: a seed, a room in tokens. Out: samples of one picture and questions.

Is a number there, many to find, one picture cut in named strips or tiles. No mark on an instance, no video, no number
in a picture used as a name.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..model.micro import IMAGE_SIDE, PATCH
from ..scenes.facts import direction, frame_facts
from ..scenes.general import PrintedNumber, number_questions, print_numbers
from ..scenes.questions import WAYS, Question, make
from ..scenes.render import render
from ..scenes.sample import sample_scene
from ..scenes.world import PLACES, Knobs, place_of
from .collator import Sample
from .tower import draw_picture
from .turns import turns_of

CHOICE_SHARE = 0.3  # of the questions about tiles
DIGITS, NAMES = "123456789", [f"<{t}>" for t in range(1, 9)]
VISIBLE = ("is there a number {} at <{}>?", "is number {} visible at <{}>?")
PICTURE_TOKENS = (IMAGE_SIDE // PATCH) ** 2


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


def strips_sample(seed: int, room: int) -> Sample:
    """One picture cut in strips that are named in any order, and which printed number is in which.

    A visual token learns to take up the name before it. Easier than tiles, because a number is printed once, and
    the way there: tiles alone stay at chance.
    """
    rng = np.random.default_rng([seed, 5])
    picture, _, printed = draw_picture(seed, 1.0, many=rng.random() < 0.7)
    count = 4 if rng.random() < 0.7 else 2
    names = tuple(int(t) for t in rng.permutation(4)[:count] + 1)
    if rng.random() < 0.3:
        names = tuple(sorted(names))
    inside = [p for p in printed if abs(p.y - round(count * p.y) / count) > 0.05]  # not across two strips
    where = {p.value: names[int(count * p.y)] for p in inside}
    across = {p.value for p in printed} - where.keys()
    no = [(n, t) for n in range(1, 10) if n not in across for t in names if where.get(n) != t]
    no = [no[i] for i in rng.permutation(len(no))[: len(where) + 1]]
    form = str(rng.choice(VISIBLE))
    asked = [Question("strip", f"when is number {n} visible?", f"<{t}>") for n, t in where.items()]
    asked += [Question("strip", form.format(n, t), "yes") for n, t in where.items()]
    asked += [Question("strip", form.format(n, t), "no") for n, t in no]
    pooled = rng.random() < 0.5
    turns = turns_of(asked, rng, room - PICTURE_TOKENS // (4 if pooled else 1), 0.0)
    return Sample(picture[None], "video" if pooled else "image", turns, names=names)


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
        printed.append({p.value: p for p in found})
    names = tuple(sorted(range(1, 5), key=lambda _: rng.random()) if rng.random() < 0.5 else range(1, 5))
    turns = turns_of(tile_questions(dict(zip(names, printed)), values, rng), rng, room - PICTURE_TOKENS, CHOICE_SHARE)
    return Sample(np.stack(tiles), "video", turns, names=names)


def tile_questions(
    printed: dict[int, dict[int, PrintedNumber]], values: np.ndarray, rng: np.random.Generator
) -> list[Question]:
    """Which numbers a tile shows, `printed[name][value]`, where they are, and how tiles differ.

    As many yes as no. A number on two tiles lies another way in each; one is on a tile and not on another.
    """
    names = [f"<{t}>" for t in printed]
    asked = [
        make("tile", f"where is number {n} at <{t}>?", place_of(p.x, p.y), [], list(PLACES))
        for t, own in printed.items() for n, p in own.items()
    ]  # fmt: skip
    asked = [asked[i] for i in rng.permutation(len(asked))[:3]]
    form = str(rng.choice(VISIBLE))
    for n in values:
        there = [t for t in rng.permutation(list(printed)) if n in printed[t]]
        absent = [t for t in rng.permutation(list(printed)) if n not in printed[t]]
        few = min(len(there), len(absent), 1)
        asked += [Question("tile", form.format(n, t), "yes") for t in there[:few]]
        asked += [Question("tile", form.format(n, t), "no") for t in absent[:few]]
        if len(there) == 1:
            asked.append(make("tile", f"when is number {n} visible?", f"<{there[0]}>", names, list(NAMES)))
    pairs = [(a, b) for a in printed for b in printed if a < b]
    return asked + [q for i in rng.permutation(len(pairs))[:3] for q in pair_questions(printed, *pairs[i])]


def pair_questions(printed: dict[int, dict[int, PrintedNumber]], a: int, b: int) -> list[Question]:
    """Compare two tiles: which way a number lies, where that is clear, and which number only one of them shows."""
    asked = []
    for n in printed[a].keys() & printed[b].keys():
        dx, dy = printed[b][n].x - printed[a][n].x, printed[b][n].y - printed[a][n].y
        large, small = max(abs(dx), abs(dy)), min(abs(dx), abs(dy))
        if large > max(0.2, 1.5 * small):
            asked.append(make("way", f"which way is number {n} from <{a}> to <{b}>?", direction(dx, dy), [], list(WAYS)))
    for here, other in ((a, b), (b, a)):
        only = printed[here].keys() - printed[other].keys()
        if len(only) == 1:
            others = [str(n) for n in (*printed[here], *printed[other])]
            asked.append(make("only", f"which number is at <{here}> not at <{other}>?", str(*only), others, list(DIGITS)))
    return asked
