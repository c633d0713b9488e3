"""The tuned model as annotator, and the audit of what it says. In: a base, drawn scenes. Out: annotations, doubts.

The model is asked what the kit's annotator is asked, of every mark and frame. The audit may know what drew the marks,
their masks, and what the model said elsewhere. The scene's truth never filters: it says afterwards what was right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import supervision as sv

from ..annotation.audit import audit, far_apart
from ..annotation.claims_in_text import ids_in
from ..annotation.regions import measure_regions
from ..annotation.schema import ClipAnnotation, FrameAnnotation, InstanceCaption, QAPair
from ..dataset.dialogues import ASK_CHANGE, Dialogue, image_dialogues, qa_dialogue, video_dialogues
from ..dataset.records import image_record, video_record
from ..evaluation.answer import answer_items
from ..evaluation.asking import as_item
from ..evaluation.pictures import Drawn, instances, show
from ..evaluation.score import UNFINISHED
from ..model.load import Base
from ..scenes.facts import FrameFacts, InstanceFacts, changes
from ..scenes.language import change_caption, frame_caption, phrase
from ..scenes.questions import (
    Question, attribute_questions, clip_questions, left_questions, presence_at, which_question,
)  # fmt: skip

SETTLED = ("motion", "enters", "leaves", "who", "present", "left_of")  # kinds of question that masks answer
LOOKS = ("colour", "shape", "size")
LONGEST = 40  # tokens of an answer: changes of four marks
WHAT, WHERE = "what is [{}]?", "where is [{}]?"
Unit = tuple[str, int]  # what is kept or dropped as a whole: ("frame", t), ("change", t) or ("question", n), from 1


class Asked(NamedTuple):
    """A question to the model: of which clip, shown how ("image" or "video"), frames `start` to `stop` of it."""

    clip: int
    split: str
    start: int
    stop: int
    question: str


@dataclass(frozen=True)
class Told:
    """What the model said of one clip or picture.

    `frames`: marked, uint8 [T, H, W, 3]; `found`: their masks; `asked`: the questions of the annotation's pairs, with
    the masks' answer where masks settle it, and the mark meant where a description was asked back.
    """

    drawn: Drawn
    frames: np.ndarray
    found: list[sv.Detections]
    asked: list[Question]
    annotation: ClipAnnotation


def mask_facts(found: Sequence[sv.Detections]) -> list[FrameFacts]:
    """What masks tell of each frame: who is there, where and how large; shapes and colours stay blank."""
    return [
        FrameFacts(t, tuple(
            InstanceFacts(i, "", "", "", r.place, r.x, r.y, r.area**0.5, 1.0) for i, r in measure_regions(d).items()
        ))
        for t, d in enumerate(found, start=1)
    ]  # fmt: skip


def questions_of(drawn: Drawn, frames: list[FrameFacts]) -> list[Question]:
    """The kit's own questions, as far as masks say that they apply."""
    if drawn.split == "video":
        steps = [changes(a, b) for a, b in zip(frames, frames[1:])]
        return clip_questions(frames, steps, np.random.default_rng([drawn.scene.seed, 9]))
    one = frames[0]
    return [q for f in one.instances for q in (*attribute_questions(f, [], f"[{f.mark_id}]"), *left_questions(f, one))]


def annotate(
    base: Base, scenes: Sequence[Drawn], batch: int = 64, said: dict[Asked, str] | None = None
) -> list[Told]:
    """Let the model annotate marked clips and pictures: equations (1) and (3) of the paper, without a summary.

    `said` holds answers of an earlier run, which are not asked again; new ones are added to it.
    """
    said = {} if said is None else said
    shown = [show(d) for d in scenes]
    found = [instances(d, frames) for d, frames in zip(scenes, shown)]
    facts = [mask_facts(f) for f in found]
    asked = [questions_of(d, f) for d, f in zip(scenes, facts)]
    answer(base, shown, [ask for n, d in enumerate(scenes) for ask in plan(n, d, facts[n], asked[n])], batch, said)
    back = [[] if d.split == "video" else asked_back(n, d, facts[n][0], said) for n, d in enumerate(scenes)]
    answer(base, shown, [of_whole(n, scenes[n], q) for n, own in enumerate(back) for q in own], batch, said)
    return [
        Told(d, shown[n], found[n], own, written(n, d, facts[n], own, said))
        for n, d in enumerate(scenes) for own in [[*asked[n], *back[n]]]
    ]  # fmt: skip


def of_whole(n: int, drawn: Drawn, question: Question) -> Asked:
    return Asked(n, drawn.split, 0, len(drawn.clock), question.question)


def plan(n: int, drawn: Drawn, frames: list[FrameFacts], asked: Sequence[Question]) -> list[Asked]:
    """Everything that is asked of a clip at first: each mark of each frame, each change, each question."""
    marks = [
        Asked(n, "image", t, t + 1, q.format(f.mark_id))
        for t, frame in enumerate(frames) for f in frame.instances for q in (WHAT, WHERE)
    ]  # fmt: skip
    steps = [Asked(n, "image", t - 1, t + 1, ASK_CHANGE) for t in range(1, len(frames))]
    return list(dict.fromkeys([*marks, *steps, *(of_whole(n, drawn, q) for q in asked)]))


def asked_back(n: int, drawn: Drawn, frame: FrameFacts, said: dict[Asked, str]) -> list[Question]:
    """Ask for the mark by the looks that the model told: a rephrasing, whose answer should be the same mark."""
    looks = []
    for f in frame.instances:
        words = said[Asked(n, "image", 0, 1, WHAT.format(f.mark_id))].split()
        looks.append(replace(f, colour=words[-2], shape=words[-1]) if len(words) == 3 else f)
    told, rng = FrameFacts(1, tuple(looks)), np.random.default_rng([drawn.scene.seed, 10])
    return [q for f in looks if f.colour and (q := which_question(f, told, rng))]


def answer(base: Base, shown: list[np.ndarray], asked: list[Asked], batch: int, said: dict[Asked, str]) -> None:
    """Add to `said` the model's answer to each question that it lacks."""
    new = [a for a in dict.fromkeys(asked) if a not in said]
    items = [replace(as_item(shown[a.clip][a.start : a.stop], a.question), split=a.split) for a in new]
    said |= zip(new, answer_items(base, items, batch, progress=False, max_new_tokens=LONGEST))


def written(n: int, drawn: Drawn, frames: list[FrameFacts], asked: list[Question], said: dict) -> ClipAnnotation:
    """Put the answers into the kit's own form; a description of changes that never ended is left out."""
    told, ended = [], lambda text: None if text.endswith(UNFINISHED) else text
    for t, frame in enumerate(frames):
        ids = [f.mark_id for f in frame.instances]
        what, where = ([said[Asked(n, "image", t, t + 1, q.format(i))] for i in ids] for q in (WHAT, WHERE))
        told.append(FrameAnnotation(
            timestamp=t + 1, frame_name=f"{t + 1:05d}.jpg",
            instances=[InstanceCaption(id=i, caption=w) for i, w in zip(ids, what)],
            image_level=" ".join(f"[{i}] is a {w} at the {p}." for i, w, p in zip(ids, what, where)),
            temporal_change=ended(said[Asked(n, "image", t - 1, t + 1, ASK_CHANGE)]) if t else None,
        ))  # fmt: skip
    pairs = [QAPair(question=q.question, answer=said[of_whole(n, drawn, q)]) for q in asked]
    return ClipAnnotation(frames=told, video_level_caption=None, question_answer_pairs=pairs,
                          annotator="the tuned model", model="micro")  # fmt: skip


def doubts(told: Told) -> dict[Unit, str]:
    """What the audit doubts, and why; nothing here reads the scene."""
    found: dict[Unit, str] = {}
    for finding in audit(told.annotation, told.found, told.frames.shape[1:3]):
        number = int(re.search(r"\d+", finding.where)[0]) if finding.where else finding.timestamp
        what = "question" if finding.where.startswith("question") else "frame" if finding.kind == "place" else "change"
        found.setdefault((what, number), finding.kind)
    usual = {}
    for i in {c.id for frame in told.annotation.frames for c in frame.instances}:
        captions = [c.caption for frame in told.annotation.frames for c in frame.instances if c.id == i]
        usual[i] = Counter(captions).most_common(1)[0][0].split()
    for n, (q, pair) in enumerate(zip(told.asked, told.annotation.question_answer_pairs), start=1):
        if why := doubt_of(q, pair.answer, usual):
            found.setdefault(("question", n), why)
            if why == "looks" and told.drawn.split == "image":  # which of the two is wrong nobody knows
                found.setdefault(("frame", 1), why)
    for frame in told.annotation.frames:
        if any(c.caption.split()[-2:] != usual[c.id][-2:] for c in frame.instances):
            found.setdefault(("frame", frame.timestamp), "looks")
    return found


def doubt_of(question: Question, answer: str, usual: dict[int, list[str]]) -> str:
    """Why an answer is doubted, "" where it is not: the masks say otherwise, or the model itself does."""
    if question.kind in SETTLED and answer != question.answer:
        return "masks"
    if question.kind == "place" and far_apart(answer, question.answer):
        return "masks"
    if question.kind in LOOKS and answer not in usual[ids_in(question.question)[0]]:
        return "looks"
    return "asked back" if question.kind == "which" and answer != question.answer else ""


def without(annotation: ClipAnnotation, doubted: dict[Unit, str]) -> ClipAnnotation:
    """The annotation without what is doubted."""
    frames = []
    for frame in annotation.frames:
        drop = {"instances": [], "image_level": ""} if ("frame", frame.timestamp) in doubted else {}
        drop |= {"temporal_change": None} if ("change", frame.timestamp) in doubted else {}
        frames.append(frame.model_copy(update=drop))
    pairs = [p for n, p in enumerate(annotation.question_answer_pairs, start=1) if ("question", n) not in doubted]
    return annotation.model_copy(update={"frames": frames, "question_answer_pairs": pairs})


def true_answers(drawn: Drawn) -> dict[str, str]:
    """What is true of a scene, by question; a question that does not apply is not there."""
    if drawn.split == "video":
        present = [presence_at(i, frame) for frame in drawn.facts for i in drawn.ids]
        return {q.question: q.answer for q in (*drawn.questions, *present)}
    frame, true = drawn.facts[0], {}
    for f in frame.instances:
        own = [*attribute_questions(f, [], f"[{f.mark_id}]"), *left_questions(f, frame)]
        named = [which_question(f, frame, np.random.default_rng(k)) for k in range(40)]  # every way
        true |= {q.question: q.answer for q in (*own, *named) if q}
    return true


def truthful(told: Told) -> ClipAnnotation:
    """The same annotation with the scene's truth in place of each answer; what does not apply is left out."""
    true, facts = true_answers(told.drawn), told.drawn.facts
    frames = []
    for t, frame in enumerate(told.annotation.frames):
        captions = [InstanceCaption(id=f.mark_id, caption=phrase(f)) for f in facts[t].instances]
        scene = frame_caption(facts[t]) if captions else ""
        change = change_caption(changes(facts[t - 1], facts[t])) if t else None
        frames.append(frame.model_copy(update={
            "instances": captions, "image_level": scene, "temporal_change": change,
        }))  # fmt: skip
    pairs = [p.model_copy(update={"answer": true[p.question]})
             for p in told.annotation.question_answer_pairs if p.question in true]  # fmt: skip
    return told.annotation.model_copy(update={"frames": frames, "question_answer_pairs": pairs})


def units(told: Told) -> list[tuple[Unit, str, bool]]:
    """Every unit with its kind, and whether it is right."""
    true, rows = true_answers(told.drawn), []
    for frame, right in zip(told.annotation.frames, truthful(told).frames):
        if frame.instances:
            rows.append((("frame", frame.timestamp), "frame caption", frame.image_level == right.image_level))
        if frame.temporal_change is not None:
            same = frame.temporal_change == right.temporal_change
            rows.append((("change", frame.timestamp), "temporal change", same))
    for n, (q, pair) in enumerate(zip(told.asked, told.annotation.question_answer_pairs), start=1):
        rows.append((("question", n), f"{told.drawn.split}: {q.kind}", true.get(pair.question) == pair.answer))
    return rows


def dialogues_of(number: int, told: Told, annotation: ClipAnnotation, folder: str) -> list[Dialogue]:
    """The dialogues of an annotation by the kit's four rules; frames lie in `folder` of the dataset."""
    if told.drawn.split == "video":
        return video_dialogues(video_record(number, folder, annotation))
    path = f"{folder}/{annotation.frames[0].frame_name}"
    pairs = [(p.question, p.answer) for p in annotation.question_answer_pairs]
    own = qa_dialogue(path, pairs, f"image-{number}-qa")
    return image_dialogues(image_record(number, path, annotation.frames[0])) + ([own] if own else [])
