"""General skill: unmarked pictures and printed numbers. In: facts. Out: questions that need no marks.

These stand in for the general data that the paper mixes in (LLaVA-NeXT-Data), and for the text reading that
a web-scale encoder brings along. Numbers are printed beside things and on them, as on a shirt, but never on the middle
of one, and nobody asks what they are printed on: they are not marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .facts import FrameFacts, InstanceFacts
from .language import phrase
from .questions import Question, make, near_phrases
from .world import COLOURS, PLACES, SHAPES, place_of

ON_THING_SHARE = 0.5  # printed numbers that are on a thing
OFF_CENTRE = (0.35, 0.95)  # of a thing's radius: how far from its middle
DENSE = ("describe", "numbers")  # kinds that ask for everything in view
EDGES = (0.08, 0.92)  # where a number's centre may lie


def general_questions(frame: FrameFacts, rng: np.random.Generator) -> list[Question]:
    """Ask about an unmarked picture: colour, shape, place, count, existence, full description."""
    found = [count_question(frame), describe_question(frame), *existence_questions(frame, rng)]
    for f in frame.instances:
        others = [g for g in frame.instances if g != f]
        if f.shape not in {g.shape for g in others}:
            found.append(make("colour", f"what colour is the {f.shape}?", f.colour,
                              [g.colour for g in others], list(COLOURS)))  # fmt: skip
        if f.colour not in {g.colour for g in others}:
            found.append(make("shape", f"what shape is the {f.colour} thing?", f.shape,
                              [g.shape for g in others], list(SHAPES)))  # fmt: skip
        found.append(make("place", f"where is the {f.colour} {f.shape}?", f.place,
                          [g.place for g in others], list(PLACES)))  # fmt: skip
        found.append(make("size", f"what size is the {f.colour} {f.shape}?", f.size, [], ["small", "large"]))
        if f.place not in {g.place for g in others}:
            found += place_questions(f, others)
    return found


def place_questions(f: InstanceFacts, others: list[InstanceFacts]) -> list[Question]:
    """Ask for the looks of the one thing at a place."""
    return [
        make("at_place", f"what is at the {f.place}?", phrase(f), [phrase(g) for g in others], near_phrases(f)),
        make("colour", f"what colour is the thing at the {f.place}?", f.colour, [g.colour for g in others], list(COLOURS)),
        make("shape", f"what shape is the thing at the {f.place}?", f.shape, [g.shape for g in others], list(SHAPES)),
    ]


def count_question(frame: FrameFacts) -> Question:
    near = [str(n) for n in range(1, 6)]
    return make("count", "how many things are there?", str(len(frame.instances)), near, [])


def describe_question(frame: FrameFacts) -> Question:
    """List everything from left to right: the dense target that teaches reading (micro-model, rule 4)."""
    listed = ", ".join(phrase(f) for f in sorted(frame.instances, key=lambda f: f.x))
    return Question("describe", "describe the picture from left to right.", listed or "nothing")


def existence_questions(frame: FrameFacts, rng: np.random.Generator) -> list[Question]:
    """One thing that is there and one that is not; the absent one shares a word with a present one."""
    looks = {(f.colour, f.shape) for f in frame.instances}
    if not looks:
        return []
    colour, shape = sorted(looks)[int(rng.integers(len(looks)))]
    absent = [(colour, s) for s in SHAPES] + [(c, shape) for c in COLOURS]
    absent = [a for a in absent if a not in looks]
    missing = absent[int(rng.integers(len(absent)))]
    return [Question("exists", f"is there a {c} {s}?", answer)
            for (c, s), answer in (((colour, shape), "yes"), (missing, "no"))]  # fmt: skip


@dataclass(frozen=True)
class PrintedNumber:
    """A number printed in the picture: its value and centre, x and y in [0, 1]."""

    value: int
    x: float
    y: float


def print_numbers(
    picture: np.ndarray, frame: FrameFacts, rng: np.random.Generator, count: int | None = None,
    values: list[int] | None = None,
) -> tuple[np.ndarray, list[PrintedNumber]]:  # fmt: skip
    """Print 2 to 5 different numbers, or `count`, or these `values` on a picture, uint8 [H, W, 3], never on the middle of a thing."""
    image = Image.fromarray(picture)
    printed: list[PrintedNumber] = []
    wanted = int(rng.integers(2, 6)) if count is None else count
    drawn = rng.permutation(np.arange(1, 10))[:wanted] if values is None else values
    for value in drawn:
        on = bool(frame.instances) and rng.random() < ON_THING_SHARE
        for _ in range(30):
            x, y = beside_middle(frame.instances, rng) if on else rng.uniform(*EDGES, 2)
            central = any(np.hypot(x - f.x, y - f.y) < OFF_CENTRE[0] * f.radius for f in frame.instances)
            if not central and all(max(abs(x - p.x), abs(y - p.y)) > 0.17 for p in printed):
                printed.append(PrintedNumber(int(value), float(x), float(y)))
                stamp(image, int(value), x, y, rng)
                break
    return np.asarray(image), printed


def beside_middle(things: tuple[InstanceFacts, ...], rng: np.random.Generator) -> tuple[float, float]:
    """A point on one of the things, inside the frame, off its middle by `OFF_CENTRE` of its radius."""
    f = things[int(rng.integers(len(things)))]
    angle, off = rng.uniform(0, 2 * np.pi), rng.uniform(*OFF_CENTRE) * f.radius
    return tuple(float(v) for v in np.clip((f.x + off * np.cos(angle), f.y + off * np.sin(angle)), *EDGES))


def stamp(image: Image.Image, value: int, x: float, y: float, rng: np.random.Generator) -> None:
    """Print one digit on a panel, as a label: mostly dark on light, sometimes light on dark."""
    side = image.size[0]
    cap = rng.uniform(0.1, 0.135) * side
    ink, paper = ((0,) * 3, (255,) * 3) if rng.random() < 0.92 else ((255,) * 3, (0,) * 3)
    w, h = 0.42 * cap, 0.62 * cap
    draw = ImageDraw.Draw(image, "RGBA")
    draw.rectangle((x * side - w, y * side - h, x * side + w, y * side + h), fill=(*paper, int(rng.uniform(170, 245))))
    draw.text((x * side, y * side), str(value), ink, font=digit_font(round(cap * 1.39, 1)), anchor="mm")


@lru_cache(maxsize=256)
def digit_font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def number_questions(
    printed: list[PrintedNumber], frame: FrameFacts, rng: np.random.Generator
) -> list[Question]:
    """Read the printed numbers: by place, by the thing they are on, where each is, all from left to right.

    A thing may be named to ask for its number; a number never names a thing: that would make it a mark.
    """
    questions = []
    places = [place_of(p.x, p.y) for p in printed]
    for p, place in zip(printed, places):
        if places.count(place) == 1:
            questions.append(make("number_at", f"what number is at the {place}?", str(p.value),
                                  [str(q.value) for q in printed], list("123456789")))  # fmt: skip
        questions.append(make("where_number", f"where is number {p.value}?", place, places, list(PLACES)))
    questions += [q for f in frame.instances if (q := number_on(f, printed, frame, rng))]
    listed = ", ".join(f"{p.value} at the {place_of(p.x, p.y)}" for p in sorted(printed, key=lambda p: p.x))
    questions.append(Question("numbers", "list the numbers from left to right.", listed or "none"))
    return questions


def number_on(
    f: InstanceFacts, printed: list[PrintedNumber], frame: FrameFacts, rng: np.random.Generator
) -> Question | None:
    """Ask for the number on a thing, "none" without one; None where two are near it or one is at its edge."""
    near = [p for p in printed if np.hypot(p.x - f.x, p.y - f.y) < 1.4 * f.radius]
    if len(near) > 1 or any(np.hypot(p.x - f.x, p.y - f.y) > f.radius for p in near):
        return None
    name = name_of(f, frame, rng)
    answer = str(near[0].value) if near else "none"
    return make("number_on", f"what number is on the {name}?", answer, [str(p.value) for p in printed],
                list("123456789"))  # fmt: skip


def name_of(f: InstanceFacts, frame: FrameFacts, rng: np.random.Generator) -> str:
    """A name that fits one thing only: "red circle", or where that is enough "circle" or "red thing"."""
    others = [g for g in frame.instances if g != f]
    names = [f"{f.colour} {f.shape}"]
    if f.shape not in {g.shape for g in others}:
        names.append(f.shape)
    if f.colour not in {g.colour for g in others}:
        names.append(f"{f.colour} thing")
    return str(rng.choice(names))
