"""What bench questions are about. In: a split and a seed. Out: a scene, its questions, and its frames in a view.

A view shows the same scenes, questions and answers with other marks: what a model says then tells what it looks at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import supervision as sv

from ..marks.clip import Clip
from ..marks.draw import mark_clip
from ..marks.instances import from_scene
from ..scenes.facts import FrameFacts, changes, frame_facts, scene_facts
from ..scenes.general import general_questions, number_questions, print_numbers
from ..scenes.questions import Question, clip_questions, image_questions
from ..scenes.render import render
from ..scenes.sample import sample_scene
from ..scenes.world import Knobs, Scene

SIDE = 128  # pixels of a bench frame
STILLS = Knobs(n_things=(1, 4), motion=False)  # what the base saw most of in its pretraining
MARKED = ("image", "video")  # the splits that have marks
VIEWS = {
    "marked": "every visible instance bears its id in every frame",
    "bare": "no marks",
    "permuted": "ids exchanged among the instances, each bearing another's in every frame",
    "other_style": "the right ids, white on black",
    "first_frame": "each instance is marked in the first frame that shows it, and in no later one",
}


@dataclass(frozen=True)
class Drawn:
    """A scene, the moments shown, their facts, all that can be asked; `printed`: the picture where it has numbers."""

    split: str
    scene: Scene
    clock: tuple[float, ...]
    facts: tuple[FrameFacts, ...]
    questions: list[Question]
    printed: np.ndarray | None = None

    @property
    def ids(self) -> list[int]:
        """The mark ids of all instances that are visible at one of the moments, ascending."""
        return sorted({f.mark_id for frame in self.facts for f in frame.instances})


def draw(split: str, seed: int, n_frames: int, knobs: Knobs | None = None) -> Drawn:
    """Write the scene of `seed` and ask everything about the moments that are shown.

    `knobs` are those of training for the marked splits and `STILLS` for the others, unless given.
    """
    rng = np.random.default_rng([seed, 3])
    scene = sample_scene(seed, knobs or (Knobs() if split in MARKED else STILLS))
    if split == "video":
        clock = even_clock(n_frames)
        facts = scene_facts(scene, clock)
        asked = clip_questions(facts, [changes(a, b) for a, b in zip(facts, facts[1:])], rng)
        return Drawn(split, scene, clock, tuple(facts), asked)
    u = float(rng.uniform(0.05, 0.95))
    facts = frame_facts(scene, u)
    if split == "reading":
        picture, printed = print_numbers(render(scene, u, SIDE)[0], facts, np.random.default_rng([seed, 6]))
        return Drawn(split, scene, (u,), (facts,), number_questions(printed, facts, rng), picture)
    ask = image_questions if split == "image" else general_questions
    return Drawn(split, scene, (u,), (facts,), ask(facts, rng))


def even_clock(n_frames: int) -> tuple[float, ...]:
    """The centres of `n_frames` equal parts of a clip, as clips are sampled."""
    return tuple((i + 0.5) / n_frames for i in range(n_frames))


def show(drawn: Drawn, view: str = "marked", clock: Sequence[float] | None = None) -> np.ndarray:
    """Render a scene with its marks, if its split has any: uint8 [F, 128, 128, 3]; `view` is one of `VIEWS`.

    `clock` shows other moments than those that were asked about.
    """
    if drawn.printed is not None:
        return drawn.printed[None]
    clock = drawn.clock if clock is None else clock
    frames = np.stack([render(drawn.scene, u, SIDE)[0] for u in clock])
    if view == "bare" or drawn.split not in MARKED:
        return frames
    found, only = instances(drawn, frames, clock), None
    if view == "permuted":
        found = renumbered(found, exchange(drawn))
    if view == "first_frame":
        only = first_seen(found)
    return mark_clip(frames, found, "micro_dark" if view == "other_style" else "micro", only)


def instances(drawn: Drawn, frames: np.ndarray, clock: Sequence[float] | None = None) -> list[sv.Detections]:
    """The visible instances of each frame, uint8 [F, H, W, 3], under their mark ids; `clock` as for `show`."""
    n, clock = len(frames), drawn.clock if clock is None else clock
    clip = Clip(frames, np.asarray(clock), np.arange(n), n, 1.0, f"scene {drawn.scene.seed}")
    return from_scene(drawn.scene, clip, clock)


def exchange(drawn: Drawn) -> dict[int, int]:
    """Drawn id by true id: each instance of the clip gets another one's; a single instance keeps its own."""
    order = np.random.default_rng([drawn.scene.seed, 7]).permutation(drawn.ids).tolist()
    return dict(zip(order, [*order[1:], *order[:1]]))


def answer_as_drawn(question: Question, drawn: Drawn) -> str | None:
    """The answer that the ids of the permuted view give, or None where the same is not asked of that instance."""
    borne = exchange(drawn)
    if question.kind in ("which", "who"):
        return f"[{borne[int(question.answer[1:-1])]}]"
    true = {after: before for before, after in borne.items()}
    text = re.sub(r"\[(\d+)\]", lambda found: f"[{true[int(found[1])]}]", question.question)
    return next((q.answer for q in drawn.questions if q.question == text), None)


def renumbered(found: Sequence[sv.Detections], ids: dict[int, int]) -> list[sv.Detections]:
    """The same instances under other ids; an id that `ids` lacks stays."""
    other = [np.array([ids.get(i, i) for i in d.tracker_id.tolist()], int) for d in found]
    return [sv.Detections(xyxy=d.xyxy, mask=d.mask, class_id=d.class_id, tracker_id=i) for d, i in zip(found, other)]


def first_seen(found: Sequence[sv.Detections]) -> list[set[int]]:
    """Per frame the ids that no earlier frame has."""
    seen, first = set(), []
    for detections in found:
        here = set(detections.tracker_id.tolist())
        first.append(here - seen)
        seen |= here
    return first
