"""Ask and move. In: a base, frames, a question; or a drawn scene and two mark ids. Out: an answer; the same scene
with the two marks exchanged, and what became of the answer.

Exchanging two ids changes nothing but two digits. A model that reads marks must then answer about another instance;
one that guesses from what pictures usually show has no reason to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import InstitError
from ..model.load import Base
from ..scenes.facts import scene_facts
from ..scenes.language import phrase
from ..scenes.questions import image_questions
from .answer import answer_items
from .item import BenchItem
from .pictures import Drawn
from .score import normalise

TOGETHER = 64  # questions to the micro base at once; a real base needs 2,900 tokens a picture, and takes one
FOLLOWED, STAYED, NEITHER = "followed the mark", "stayed with the instance", "named neither"


def ask(base: Base, frames: np.ndarray, question: str) -> str:
    """Answer one question about one picture, or a clip, uint8 [F, H, W, 3] RGB; greedy."""
    return ask_all(base, [(frames, question)])[0]


def ask_all(base: Base, asked: Sequence[tuple[np.ndarray, str]]) -> list[str]:
    """Answer pairs of frames and question, in batches; the answers are those that `ask` gives one by one."""
    batch = TOGETHER if base.template.name == "micro" else 1
    items = [as_item(frames, question) for frames, question in asked]
    return answer_items(base, items, batch, progress=False)


def as_item(frames: np.ndarray, question: str) -> BenchItem:
    """A question that nobody scores: one frame is a picture, several are a clip."""
    split, moments = "image" if len(frames) == 1 else "video", tuple(range(1, len(frames) + 1))
    return BenchItem("0-1", "", "open", split, question, "", None, "0", frames, moments, possible=1)


def move_mark(drawn: Drawn, mark_id: int, to: int) -> Drawn:
    """Move `mark_id` to the instance that bears `to`, whose mark goes the other way; facts and questions follow.

    `drawn` is a marked picture. Raises `InstitError` for an id that it does not show.
    """
    missing = [i for i in (mark_id, to) if drawn.split != "image" or i not in drawn.ids]
    if missing:
        reason = f"mark {missing[0]} is not on this {drawn.split}"
        raise InstitError(reason, cure=f"choose from {', '.join(map(str, drawn.ids))} on a marked picture")
    ids = {mark_id: to, to: mark_id}
    things = [replace(thing, mark_id=ids.get(thing.mark_id, thing.mark_id)) for thing in drawn.scene.things]
    scene = replace(drawn.scene, things=tuple(sorted(things, key=lambda thing: thing.mark_id)))
    facts = scene_facts(scene, drawn.clock)
    asked = image_questions(facts[0], np.random.default_rng([scene.seed, 8]))
    return replace(drawn, scene=scene, facts=tuple(facts), questions=asked)


def name_of(drawn: Drawn, mark_id: int) -> str:
    """What bears the mark, as an answer to "what is [2]?" says it: "small red circle"."""
    return phrase(drawn.facts[0].get(mark_id))


def outcome(answer: str, before: str, after: str, free: bool = False) -> str:
    """Say which instance an answer names: the mark's new bearer `after`, the old one `before`, or neither.

    `free`: the answer is a free sentence, as a real base gives it, with colour and shape of one of the two.
    """
    said = normalise(answer)
    if free:
        words = set(re.findall(r"[a-z]+", said))
        new, old = (words.issuperset(normalise(name).split()[-2:]) for name in (after, before))
        return NEITHER if new == old else FOLLOWED if new else STAYED
    return FOLLOWED if said == normalise(after) else STAYED if said == normalise(before) else NEITHER
