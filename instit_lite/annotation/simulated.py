"""The simulated annotator. In: the requests of the three equations. Out: replies from exact facts.

It knows a picture by the hash of the pixels that were posted, so that a wrong, missing or swapped frame is
noticed; it sees nothing else, and proves the plumbing, not how well any model sees.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InstitError, ReplyError
from ..scenes.facts import Change, FrameFacts, changes
from ..scenes.language import (
    change_caption, frame_caption, parse_change_caption, parse_frame_caption, phrase, summary,
)
from ..scenes.questions import Question, attribute_questions, clip_questions, image_questions, presence_at
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES
from .pictures import decode_picture, pixel_hash
from .prompts import NO_CHANGE
from .schema import FORMS, FRAME, VIDEO

USUAL_PAIRS, MAX_PAIRS, PRESENCE_PAIRS = 12, 20, 3
MAX_WRONG_ID = 9
REPLIES = 2  # counted up when the same request gets another reply, so that no ledger mixes them
ATTRIBUTES = {"colour": tuple(COLOURS), "shape": SHAPES, "size": tuple(SIZES), "place": PLACES}


@dataclass(frozen=True)
class ErrorModel:
    """How often equation 1 goes wrong, as chances; equations 2 and 3 hand on the errors that they read."""

    swap_attribute: float = 0.0  # per instance: a wrong colour, shape, size or place
    wrong_id: float = 0.0  # per instance: the mark is misread
    miss_change: float = 0.0  # per change: it is not told
    drop_instance: float = 0.0  # per instance: it is not told


class Unanswerable(InstitError):
    """A request that the simulated annotator cannot answer; HTTP 422."""


class Simulator:
    """Answers the three equations; the same requests with the same seed and errors get the same replies."""

    def __init__(self, seed: int = 0, errors: ErrorModel = ErrorModel()) -> None:
        self.seed, self.errors = seed, errors
        self.truth: dict[str, FrameFacts] = {}

    @property
    def identity(self) -> str:
        """A name for seed and error model, part of the server's address, so that ledgers keep them apart."""
        return f"{zlib.crc32(repr((REPLIES, self.seed, self.errors)).encode()):08x}"

    def know_frame(self, marked: np.ndarray, facts: FrameFacts) -> None:
        """Register what is true of a marked frame, uint8 [H, W, 3], by its pixels."""
        self.truth[pixel_hash(marked)] = facts

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the content for a chat completion's request; raise `Unanswerable` where there is none."""
        try:
            kind = kind_of(request)
            parts = request["messages"][1]["content"]  # later ones only ask for a better reply
            text = "\n".join(part["text"] for part in parts if part["type"] == "text")
            pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        except (KeyError, TypeError, IndexError, AttributeError, StopIteration):
            raise Unanswerable("this is none of the three equations", cure="use the kit's client") from None
        if kind == FRAME:
            return self.answer_frame([self.recognise(uri) for uri in pictures])
        frames, found = read_notes(text)
        if kind == VIDEO:
            return {"video_level_caption": summary(frames, found)}
        pairs = choose_questions(frames, found, self.rng(text))
        return {"question_answer_pairs": [{"question": q.question, "answer": q.answer} for q in pairs]}

    def recognise(self, uri: str) -> tuple[str, FrameFacts]:
        """Return the pixel hash and the facts of a posted picture."""
        known = pixel_hash(decode_picture(uri))
        if known not in self.truth:
            reason = "the simulated annotator does not know this picture"
            raise Unanswerable(reason, cure="register it with know_frame")
        return known, self.truth[known]

    def answer_frame(self, pictures: list[tuple[str, FrameFacts]]) -> dict[str, Any]:
        """Equation 1, with the previous picture first where there are two."""
        if not pictures:
            raise Unanswerable("equation 1 needs a picture", cure="post the current frame")
        key, exact = pictures[-1]
        rng = self.rng(key)
        told = mistake(exact, self.errors, rng)
        instances = [{"id": f.mark_id, "caption": phrase(f)} for f in told.instances]
        reply = {"instance_level": instances, "image_level": frame_caption(told), "temporal_change": None}
        if len(pictures) > 1:
            found = [c for c in changes(pictures[0][1], exact) if rng.random() >= self.errors.miss_change]
            reply["temporal_change"] = change_caption(found)
        return reply

    def rng(self, about: str) -> np.random.Generator:
        """Return randomness that depends on the seed and on what is asked, not on the order of calls."""
        return np.random.default_rng([self.seed, *hashlib.sha256(about.encode()).digest()[:8]])


def kind_of(request: dict[str, Any]) -> str:
    """Return the kind of a question by the schema, which may stand in the text alone."""
    form = request.get("response_format", {})
    if "json_schema" in form:
        return form["json_schema"]["name"]
    return next(kind for kind, form in FORMS.items() if f'"{next(iter(form.model_fields))}"' in request["messages"][0]["content"])


def mistake(exact: FrameFacts, errors: ErrorModel, rng: np.random.Generator) -> FrameFacts:
    """Return the facts as a careless annotator would tell them."""
    free = [i for i in range(1, MAX_WRONG_ID + 1) if exact.get(i) is None]
    told = []
    for f in exact.instances:
        drop, swap, misread = rng.random(3) < (errors.drop_instance, errors.swap_attribute, errors.wrong_id)
        if drop:
            continue
        if swap:
            name = str(rng.choice(list(ATTRIBUTES)))
            others = [value for value in ATTRIBUTES[name] if value != getattr(f, name)]
            f = replace(f, **{name: str(rng.choice(others))})
        if misread and free:
            f = replace(f, mark_id=free.pop(int(rng.integers(len(free)))))
        told.append(f)
    return replace(exact, instances=tuple(sorted(told, key=lambda f: f.mark_id)))


def read_notes(text: str) -> tuple[list[FrameFacts], list[list[Change]]]:
    """Read the notes of `prompts.frame_notes` back into facts per frame and changes between frames."""
    blocks = re.findall(r"^<(\d+)>\n(?:\[\d+\]: .*\n)*Frame: (.*)\nChange: (.*)$", text, flags=re.MULTILINE)
    if not blocks:
        raise Unanswerable("there are no frame notes in the request", cure="use the kit's client")
    try:
        frames = [FrameFacts(int(timestamp), parse_frame_caption(scene)) for timestamp, scene, _ in blocks]
        found = [[] if told == NO_CHANGE else parse_change_caption(told) for _, _, told in blocks[1:]]
    except ReplyError as problem:
        raise Unanswerable(problem.reason, cure="the simulated annotator reads its own texts only") from None
    return frames, found


def choose_questions(
    frames: list[FrameFacts], found: list[list[Change]], rng: np.random.Generator
) -> list[Question]:
    """Choose 10 to 20 questions, the paper's range, or as many as there are.

    A single frame is a picture: it is asked about looks and places, not about motion. A clip is asked about what
    happens in it, one look of each mark, and about moments.
    """
    if len(frames) == 1:
        chosen = distinct(image_questions(frames[0], rng))
    else:
        asked = clip_questions(frames, found, rng)
        looks = {q.question.split("[")[1][0]: q for q in shuffled(asked, rng) if q.kind in ("colour", "shape")}
        chosen = [q for q in asked if q.kind not in ("colour", "shape", "present")]
        chosen = distinct([*chosen, *looks.values(), *presence_questions(frames, rng)])
        wanted = max(len(chosen), USUAL_PAIRS)
        chosen = distinct([*chosen, *shuffled(moment_questions(frames), rng)])[:wanted]
    if len(chosen) > MAX_PAIRS:
        chosen = [chosen[i] for i in sorted(rng.choice(len(chosen), MAX_PAIRS, replace=False))]
    return chosen


def presence_questions(frames: list[FrameFacts], rng: np.random.Generator) -> list[Question]:
    """Ask whether an instance is there at a moment: as many no as yes, so that "yes" is not the usual answer."""
    seen = sorted({f.mark_id for frame in frames for f in frame.instances})
    asked = shuffled([presence_at(i, frame) for frame in frames for i in seen], rng)
    absent = [q for q in asked if q.answer == "no"][:PRESENCE_PAIRS]
    return absent + [q for q in asked if q.answer == "yes"][: max(1, len(absent))]


def moment_questions(frames: list[FrameFacts]) -> list[Question]:
    """Ask about a moment: what and where each instance is: "where is [1] at <2>?"."""
    return [
        replace(q, question=f"{q.question[:-1]} at <{frame.timestamp}>?")
        for frame in frames for f in frame.instances for q in attribute_questions(f, [], f"[{f.mark_id}]")
        if q.kind in ("place", "size", "phrase")
    ]  # fmt: skip


def shuffled(questions: list[Question], rng: np.random.Generator) -> list[Question]:
    return [questions[i] for i in rng.permutation(len(questions))]


def distinct(questions: list[Question]) -> list[Question]:
    """Drop repeated questions, keeping the first."""
    return list({q.question: q for q in reversed(questions)}.values())[::-1]
