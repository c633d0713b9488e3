"""Questions with exact answers. In: facts. Out: `Question`s about marked frames and clips.

Each question carries wrong answers, those from the same picture apart from the rest, for multiple choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .facts import Change, FrameFacts, InstanceFacts, direction
from .language import phrase
from .world import COLOURS, PLACES, SHAPES, SIZES

LETTERS = "ABCD"
WAYS = ("left", "right", "up", "down", "it stays")


@dataclass(frozen=True)
class Question:
    """One single-turn question with its wrong answers: `near` from the same picture, `far` from the world."""

    kind: str
    question: str
    answer: str
    near: tuple[str, ...] = ()
    far: tuple[str, ...] = ()


def make(kind: str, question: str, answer: str, near: list[str], far: list[str]) -> Question:
    """Build a question; the answer and repeats are dropped from `near` and `far`."""
    close = dict.fromkeys(w for w in near if w != answer)
    rest = dict.fromkeys(w for w in far if w != answer and w not in close)
    return Question(kind, question, answer, tuple(close), tuple(rest))


def image_questions(frame: FrameFacts, rng: np.random.Generator) -> list[Question]:
    """Ask about the marks of one frame: colour, shape, size, place, phrase, which mark, left of."""
    found: list[Question] = []
    for f in frame.instances:
        found.extend(attribute_questions(f, [g for g in frame.instances if g != f], f"[{f.mark_id}]"))
        found.append(which_question(f, frame, rng))
        found.extend(left_questions(f, frame))
    return [q for q in found if q is not None]


def attribute_questions(f: InstanceFacts, others: list[InstanceFacts], name: str) -> list[Question]:
    """The five attributes of one instance; wrong answers come from the other instances first."""
    phrases = [phrase(g) for g in others]
    return [
        make("colour", f"what colour is {name}?", f.colour, [g.colour for g in others], list(COLOURS)),
        make("shape", f"what shape is {name}?", f.shape, [g.shape for g in others], list(SHAPES)),
        make("size", f"what size is {name}?", f.size, [g.size for g in others], list(SIZES)),
        make("place", f"where is {name}?", f.place, [g.place for g in others], list(PLACES)),
        make("phrase", f"what is {name}?", phrase(f), phrases, near_phrases(f)),
    ]


def near_phrases(f: InstanceFacts) -> list[str]:
    return [f"{f.size} {c} {f.shape}" for c in COLOURS] + [f"{f.size} {f.colour} {s}" for s in SHAPES]


def which_question(f: InstanceFacts, frame: FrameFacts, rng: np.random.Generator) -> Question | None:
    """The reverse look-up: from a description that fits exactly one instance to its mark id."""
    for words in rng.permutation(["colour", "shape", "colour shape"]):
        said = tuple(getattr(f, w) for w in words.split())
        if sum(tuple(getattr(g, w) for w in words.split()) == said for g in frame.instances) == 1:
            name = f"the {' '.join(said)}" if "shape" in words else f"the {said[0]} thing"
            others = [f"[{g.mark_id}]" for g in frame.instances]
            return make("which", f"which mark is {name}?", f"[{f.mark_id}]", others, ids())
    return None


def left_questions(f: InstanceFacts, frame: FrameFacts) -> list[Question]:
    """Compare places of two marks where the answer is beyond doubt."""
    return [
        Question("left_of", f"is [{f.mark_id}] left of [{g.mark_id}]?", "yes" if f.x < g.x else "no")
        for g in frame.instances
        if abs(f.x - g.x) > 0.15
    ]


def clip_questions(
    frames: list[FrameFacts], found: list[list[Change]], rng: np.random.Generator
) -> list[Question]:
    """Ask about the marks of a clip: attributes, motion, entry and exit, order, presence at a moment.

    `found[i]` are the changes between frame i and frame i + 1.
    """
    questions: list[Question] = []
    ids_seen = sorted({f.mark_id for frame in frames for f in frame.instances})
    first = {i: next(fr.get(i) for fr in frames if fr.get(i)) for i in ids_seen}
    for mark_id in ids_seen:
        f, others = first[mark_id], [first[i] for i in ids_seen if i != mark_id]
        events = [(frames[t + 1].timestamp, c) for t, step in enumerate(found) for c in step if c.mark_id == mark_id]
        asked = attribute_questions(f, others, f"[{mark_id}]")
        questions += [q for q in asked if q.kind == "shape" or (q.kind == "colour" and not turned(events))]
        questions += motion_questions(mark_id, frames, events)
        questions += event_questions(mark_id, frames, events)
        questions.append(presence_question(mark_id, frames, rng))
    return questions + order_questions(found, frames)


def turned(events: list[tuple[int, Change]]) -> bool:
    return any(c.kind == "turns" for _, c in events)


def motion_questions(mark_id: int, frames: list[FrameFacts], events: list[tuple[int, Change]]) -> list[Question]:
    """Ask which way an instance moves overall, where its steps agree with the whole."""
    steps = {c.detail for _, c in events if c.kind == "moves"}
    seen = [frame.get(mark_id) for frame in frames if frame.get(mark_id)]
    if len(seen) < 2 or len(steps) > 1:
        return []
    way = steps.pop() if steps else direction(seen[-1].x - seen[0].x, seen[-1].y - seen[0].y) or "it stays"
    return [make("motion", f"which way does [{mark_id}] move?", way, [], list(WAYS))]


def event_questions(mark_id: int, frames: list[FrameFacts], events: list[tuple[int, Change]]) -> list[Question]:
    """Ask when an instance enters or leaves, and what colour it turns."""
    moments = [f"<{frame.timestamp}>" for frame in frames]
    questions = []
    for kind in ("enters", "leaves"):
        when = [t for t, c in events if c.kind == kind]
        if len(when) == 1:
            text = f"when does [{mark_id}] {kind[:-1]}?"
            questions.append(make(kind, text, f"<{when[0]}>", moments, [f"<{t}>" for t in range(1, 9)]))
    for _, change in events:
        if change.kind == "turns":
            text = f"what colour does [{mark_id}] turn?"
            questions.append(make("turns", text, change.detail, [], list(COLOURS)))
    return questions


def presence_question(mark_id: int, frames: list[FrameFacts], rng: np.random.Generator) -> Question:
    """Ask whether an instance is visible at a moment; where it is ever absent, absence is asked half the time."""
    absent = [frame for frame in frames if not frame.get(mark_id)]
    present = [frame for frame in frames if frame.get(mark_id)]
    chosen = absent if absent and rng.random() < 0.5 else present
    return presence_at(mark_id, chosen[int(rng.integers(len(chosen)))])


def presence_at(mark_id: int, frame: FrameFacts) -> Question:
    """Ask whether an instance is visible in a frame."""
    return Question("present", f"is [{mark_id}] visible at <{frame.timestamp}>?", "yes" if frame.get(mark_id) else "no")


def order_questions(found: list[list[Change]], frames: list[FrameFacts]) -> list[Question]:
    """Ask which mark enters or leaves, where exactly one does."""
    everyone = sorted({f.mark_id for frame in frames for f in frame.instances})
    questions = []
    for kind in ("enters", "leaves"):
        who = [c.mark_id for step in found for c in step if c.kind == kind]
        if len(who) == 1:
            near = [f"[{i}]" for i in everyone]
            questions.append(make("who", f"which mark {kind}?", f"[{who[0]}]", near, ids()))
    return questions


def ids() -> list[str]:
    return [f"[{i}]" for i in range(1, 6)]


def multiple_choice(question: Question, rng: np.random.Generator) -> tuple[str, str] | None:
    """Turn a question into four lettered options; None where three wrong answers cannot be found.

    Returns the full text, options included, and the right letter. Positions are equally likely.
    """
    wrong = [*rng.permutation(question.near), *rng.permutation(question.far)][:3]
    if len(wrong) < 3:
        return None
    options = [question.answer, *wrong]
    order = rng.permutation(4)
    listed = " ".join(f"{letter}: {options[k]}" for letter, k in zip(LETTERS, order))
    return f"{question.question} {listed}", LETTERS[int(np.flatnonzero(order == 0)[0])]
