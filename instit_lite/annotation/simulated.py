"""The simulated annotator. In: the requests of the three equations. Out: replies from exact facts.

It knows a picture by the hash of the pixels that were posted, so that a wrong, missing or swapped frame is
noticed; it sees nothing else, and proves the plumbing, not how well any model sees.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InstitError, ReplyError
from ..scenes.facts import Change, FrameFacts, InstanceFacts, changes
from ..scenes.language import (
    change_caption,
    frame_caption,
    parse_change_caption,
    parse_frame_caption,
    phrase,
    summary,
)
from ..scenes.questions import Question, attribute_questions, clip_questions, image_questions
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES
from .equations import FRAME, QA, VIDEO
from .pictures import decode_picture, pixel_hash
from .prompts import NO_CHANGE

MIN_PAIRS, MAX_PAIRS = 10, 20
MAX_WRONG_ID = 9
ATTRIBUTES = {"colour": tuple(COLOURS), "shape": SHAPES, "size": tuple(SIZES), "place": PLACES}


@dataclass(frozen=True)
class ErrorModel:
    """How often equation 1 goes wrong, as chances: per instance, and per change for `miss_change`.

    `swap_attribute` tells a wrong colour, shape, size or place; `wrong_id` misreads the mark; `drop_instance`
    says nothing of an instance; `miss_change` says nothing of a change. Equations 2 and 3 add no errors: they
    hand on those of the texts that they read.
    """

    swap_attribute: float = 0.0
    wrong_id: float = 0.0
    miss_change: float = 0.0
    drop_instance: float = 0.0


class Unanswerable(InstitError):
    """A request that the simulated annotator cannot answer; HTTP 422."""


class Simulator:
    """Answers the three equations; the same requests with the same seed and errors get the same replies."""

    def __init__(self, seed: int = 0, errors: ErrorModel = ErrorModel()) -> None:
        self.seed, self.errors = seed, errors
        self.truth: dict[str, FrameFacts] = {}
        self.seen: dict[str, str] = {}  # hash of a posted picture's text -> hash of its pixels

    @property
    def identity(self) -> str:
        """A name for seed and error model, part of the server's address, so that ledgers keep them apart."""
        return f"{zlib.crc32(repr((self.seed, self.errors)).encode()):08x}"

    def know_frame(self, marked: np.ndarray, facts: FrameFacts) -> None:
        """Register what is true of a marked frame, uint8 [H, W, 3], by its pixels."""
        self.truth[pixel_hash(marked)] = facts

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the content for a chat completion's request; raise `Unanswerable` where there is none."""
        try:
            kind = request["response_format"]["json_schema"]["name"]
            content = request["messages"][-1]["content"]
            texts = [part["text"] for part in content if part["type"] == "text"]
            pictures = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        except (KeyError, TypeError, IndexError):
            raise Unanswerable("this is none of the three equations", cure="use the kit's client") from None
        if kind == FRAME:
            return self.answer_frame([self.recognise(uri) for uri in pictures])
        if kind in (VIDEO, QA):
            frames, found = read_notes("\n".join(texts))
            if kind == VIDEO:
                return {"video_level_caption": summary(frames, found)}
            pairs = choose_questions(frames, found, self.rng("\n".join(texts)))
            return {"question_answer_pairs": [{"question": q.question, "answer": q.answer} for q in pairs]}
        raise Unanswerable(f"{kind!r} is no equation", cure=f"ask for {FRAME}, {VIDEO} or {QA}")

    def recognise(self, uri: str) -> tuple[str, FrameFacts]:
        """Return the pixel hash and the facts of a posted picture."""
        posted = hashlib.sha256(uri.encode()).hexdigest()
        if posted not in self.seen:
            self.seen[posted] = pixel_hash(decode_picture(uri))
        known = self.seen[posted]
        if known not in self.truth:
            raise Unanswerable(
                "the simulated annotator does not know this picture", cure="register it with know_frame"
            )
        return known, self.truth[known]

    def answer_frame(self, pictures: list[tuple[str, FrameFacts]]) -> dict[str, Any]:
        """Equation 1, with the previous picture first where there are two."""
        if len(pictures) not in (1, 2):
            reason = f"equation 1 takes 1 or 2 pictures, not {len(pictures)}"
            raise Unanswerable(reason, cure="post the current frame, after the previous one")
        key, exact = pictures[-1]
        rng = self.rng(key)
        told = mistake(exact, self.errors, rng)
        change = None
        if len(pictures) == 2:
            found = [c for c in changes(pictures[0][1], exact) if rng.random() >= self.errors.miss_change]
            change = change_caption(found)
        return {
            "instance_level": [{"id": f.mark_id, "caption": phrase(f)} for f in told.instances],
            "image_level": frame_caption(told),
            "temporal_change": change,
        }

    def rng(self, about: str) -> np.random.Generator:
        """Return randomness that depends on the seed and on what is asked, not on the order of calls."""
        return np.random.default_rng([self.seed, *hashlib.sha256(about.encode()).digest()[:8]])


def mistake(exact: FrameFacts, errors: ErrorModel, rng: np.random.Generator) -> FrameFacts:
    """Return the facts as a careless annotator would tell them."""
    free = [i for i in range(1, MAX_WRONG_ID + 1) if exact.get(i) is None]
    told: list[InstanceFacts] = []
    for f in exact.instances:
        drop, swap, misread = rng.random(3) < (errors.drop_instance, errors.swap_attribute, errors.wrong_id)
        if drop:
            continue
        if swap:
            name = str(rng.choice(list(ATTRIBUTES)))
            others = [value for value in ATTRIBUTES[name] if value != getattr(f, name)]
            f = replace(f, **{name: others[int(rng.integers(len(others)))]})
        if misread and free:
            f = replace(f, mark_id=free.pop(int(rng.integers(len(free)))))
        told.append(f)
    return replace(exact, instances=tuple(sorted(told, key=lambda f: f.mark_id)))


def read_notes(text: str) -> tuple[list[FrameFacts], list[list[Change]]]:
    """Read the notes of `prompts.frame_notes` back into facts per frame and changes between frames."""
    frames, found = [], []
    blocks = re.findall(r"^<(\d+)>\n(?:\[\d+\]: .*\n)*Frame: (.*)\nChange: (.*)$", text, flags=re.MULTILINE)
    try:
        for timestamp, scene, change in blocks:
            frames.append(FrameFacts(int(timestamp), parse_frame_caption(scene)))
            found.append([] if change == NO_CHANGE else parse_change_caption(change))
    except ReplyError as problem:
        raise Unanswerable(problem.reason, cure="the simulated annotator reads its own texts only") from None
    if not frames:
        raise Unanswerable("there are no frame notes in the request", cure="use the kit's client")
    return frames, found[1:]


def choose_questions(
    frames: list[FrameFacts], found: list[list[Change]], rng: np.random.Generator
) -> list[Question]:
    """Choose 10 to 20 questions, or as many as there are: on the clip first, on moments to fill up.

    A single frame is a picture: it is asked about looks and places, not about motion.
    """
    still = len(frames) == 1
    chosen = distinct(image_questions(frames[0], rng) if still else clip_questions(frames, found, rng))
    if len(chosen) < MIN_PAIRS and not still:
        chosen = distinct([*chosen, *moment_questions(frames, rng)])[:MIN_PAIRS]
    if len(chosen) > MAX_PAIRS:
        chosen = [chosen[i] for i in sorted(rng.choice(len(chosen), MAX_PAIRS, replace=False))]
    return chosen


def moment_questions(frames: Sequence[FrameFacts], rng: np.random.Generator) -> list[Question]:
    """Ask what and where each instance is at a moment: "where is [1] at <2>?"."""
    asked = []
    for frame in frames:
        for f in frame.instances:
            name = f"[{f.mark_id}]"
            about = [q for q in attribute_questions(f, [], name) if q.kind in ("place", "size", "phrase")]
            asked += [replace(q, question=f"{q.question[:-1]} at <{frame.timestamp}>?") for q in about]
    return [asked[i] for i in rng.permutation(len(asked))]


def distinct(questions: Sequence[Question]) -> list[Question]:
    """Drop repeated questions, keeping the first."""
    return list({q.question: q for q in reversed(questions)}.values())[::-1]
