"""The micro bench. In: a profile and a seed nobody trained on. Out: `BenchItem`s with exact answers.

As INST-IT Bench (paper section 3.4): images and videos with marks, the same questions open-ended and with four
options. Beside them a general split: unmarked pictures, for what a model may lose. Kinds of question are equally
represented in each split and answers are balanced within a kind, so that a habit scores no better than chance.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import InstitError
from ..marks.clip import Clip
from ..marks.draw import mark_clip
from ..marks.instances import from_scene
from ..profiles import Profile
from ..scenes.facts import changes, frame_facts, scene_facts
from ..scenes.general import general_questions, number_questions, print_numbers
from ..scenes.questions import LETTERS, WAYS, Question, clip_questions, ids, image_questions, multiple_choice
from ..scenes.render import render
from ..scenes.sample import sample_scene
from ..scenes.seeds import BENCH_SEED, BENCH_SPAN
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES, Knobs, Scene

SIDE = 128  # pixels of a bench frame
PER_CLIP = 2  # questions about one clip, at most: more clips make narrower intervals than more questions
STILLS = Knobs(n_things=(1, 4), motion=False)  # what the base saw most of in its pretraining
KINDS = {
    "image": ("colour", "shape", "size", "place", "phrase", "which", "left_of"),
    "video": ("colour", "shape", "motion", "enters", "leaves", "turns", "present", "who"),
    "general": ("colour", "shape", "size", "place", "count", "exists", "at_place", "number_at", "where_number"),
}
SPLITS = tuple(KINDS)
PHRASES = len(SIZES) * len(COLOURS) * len(SHAPES)
ANSWERS = {
    "colour": len(COLOURS), "turns": len(COLOURS), "shape": len(SHAPES), "size": len(SIZES),
    "place": len(PLACES), "where_number": len(PLACES), "phrase": PHRASES, "at_place": PHRASES,
    "which": len(ids()), "who": len(ids()), "motion": len(WAYS), "left_of": 2, "present": 2,
    "exists": 2, "count": STILLS.n_things[1], "number_at": 9,
}  # fmt: skip
SEED_STEP = BENCH_SPAN // 10  # seeds kept for each split


@dataclass(frozen=True, eq=False)
class BenchItem:
    """One question. Open-ended and multiple choice share the `question_id`, "<clip>-<k>", as upstream.

    `frames`: uint8 [F, 128, 128, 3] RGB, one for a picture; `timestamps`: 1-based, as `<t>` counts them; `answer`: a
    text, or the letter where `options` are given; `possible`: how many answers there are to choose from.
    """

    question_id: str
    kind: str
    format: str  # "open" or "choice"
    split: str  # "image", "video" or "general"
    question: str
    answer: str
    options: dict[str, str] | None
    clip_id: str
    frames: np.ndarray = field(repr=False)
    timestamps: tuple[int, ...]
    possible: int

    @property
    def prompt(self) -> str:
        """What is asked: the question, and the options as `scenes.questions.multiple_choice` writes them."""
        return " ".join([self.question, *(f"{k}: {v}" for k, v in (self.options or {}).items())])

    @property
    def key(self) -> str:
        """A name that no other item of the bench has."""
        return f"{self.format}/{self.question_id}"

    @property
    def chance(self) -> float:
        """Probability that a blind guess among the possible answers is right."""
        return 1 / self.possible


@dataclass(frozen=True)
class Drawn:
    """A scene, the moments shown, what can be asked about them; `printed`: the picture if it has printed numbers."""

    scene: Scene
    clock: tuple[float, ...]
    questions: list[Question]
    printed: np.ndarray | None = None


def build_bench(
    profile: Profile, seed: int = BENCH_SEED, mark: bool = True, splits: tuple[str, ...] = SPLITS
) -> list[BenchItem]:
    """Return the bench: `profile.n_bench` open-ended questions a split, and most with four options too.

    `mark=False` gives the very same items without marks: the control that shows what marks contribute. General
    pictures have none either way. The same seed gives the same bench. Raises `InstitError` for an unknown split.
    """
    for split in splits:
        if split not in KINDS:
            raise InstitError(f"there is no split {split!r}", cure=f"choose from {', '.join(SPLITS)}")
    found: list[BenchItem] = []
    for split in splits:
        first = seed + SPLITS.index(split) * SEED_STEP
        letters = Counter()
        for offset, drawn, questions in choose(split, profile.n_bench, profile.n_frames, first):
            frames = show(drawn, mark and split != "general")
            rng, clip_id = np.random.default_rng([first + offset, 5]), f"{split}{offset:05d}"
            for k, q in enumerate(questions, start=1):
                item = BenchItem(
                    f"{clip_id}-{k:02d}", q.kind, "open", split, q.question, q.answer, None, clip_id, frames,
                    tuple(range(1, len(frames) + 1)), answers_of(q.kind, len(frames)),
                )  # fmt: skip
                found += [item, *with_options(item, q, letters, rng)]
    return sorted(found, key=lambda item: (splits.index(item.split), item.format != "open"))


def general_items(profile: Profile, seed: int = BENCH_SEED) -> list[BenchItem]:
    """Return the general split of `build_bench` alone."""
    return build_bench(profile, seed, splits=("general",))


def choose(split: str, n: int, n_frames: int, first: int) -> Iterator[tuple[int, Drawn, list[Question]]]:
    """Go through scenes, take the questions that the balance needs; yield (offset, drawn, questions).

    No answer is taken more often than its even share of its kind, until so many scenes have passed that the missing
    answers must be rare; then any answer fills the rest.
    """
    kinds = KINDS[split]
    quota = {kind: n // len(kinds) + (i < n % len(kinds)) for i, kind in enumerate(kinds)}
    taken, answers = Counter(), Counter()
    for offset in range(SEED_STEP):
        if taken.total() == n:
            return
        drawn = draw(split, first + offset, n_frames)
        limit = {k: -(-q // answers_of(k, n_frames)) if offset < 4 * n + 50 else q for k, q in quota.items()}
        rng = np.random.default_rng([first + offset, 4])
        picked = pick(drawn.questions, quota, limit, taken, answers, rng)
        if picked:
            yield offset, drawn, picked
    raise InstitError(f"{SEED_STEP} scenes do not fill {n} questions", cure="ask for fewer questions a split")


def pick(
    questions: list[Question], quota: dict, limit: dict, taken: Counter, answers: Counter, rng: np.random.Generator
) -> list[Question]:
    """Take at most `PER_CLIP` questions of different kinds, the least filled kind first; count them."""
    picked: list[Question] = []
    shuffled = [questions[i] for i in rng.permutation(len(questions)) if questions[i].kind in quota]
    for q in sorted(shuffled, key=lambda q: taken[q.kind] / max(1, quota[q.kind])):
        wanted = taken[q.kind] < quota[q.kind] and answers[q.kind, q.answer] < limit[q.kind]
        if wanted and q.kind not in {p.kind for p in picked} and len(picked) < PER_CLIP:
            picked.append(q)
            taken[q.kind] += 1
            answers[q.kind, q.answer] += 1
    return picked


def answers_of(kind: str, n_frames: int) -> int:
    """How many answers a kind of question has; a thing can enter or leave at every frame but the first."""
    return max(1, n_frames - 1) if kind in ("enters", "leaves") else ANSWERS[kind]


def draw(split: str, seed: int, n_frames: int) -> Drawn:
    """Write the scene of `seed` and ask everything about the moments that are shown."""
    rng = np.random.default_rng([seed, 3])
    if split == "video":
        scene, clock = sample_scene(seed), tuple((i + 0.5) / n_frames for i in range(n_frames))
        facts = scene_facts(scene, clock)
        return Drawn(scene, clock, clip_questions(facts, [changes(a, b) for a, b in zip(facts, facts[1:])], rng))
    scene = sample_scene(seed, STILLS if split == "general" else Knobs())
    u = float(rng.uniform(0.05, 0.95))
    facts = frame_facts(scene, u)
    if split == "image":
        return Drawn(scene, (u,), image_questions(facts, rng))
    if rng.random() < 0.7:
        return Drawn(scene, (u,), general_questions(facts, rng))
    picture, printed = print_numbers(render(scene, u, SIDE)[0], facts, np.random.default_rng([seed, 6]))
    return Drawn(scene, (u,), number_questions(printed), picture)


def show(drawn: Drawn, mark: bool) -> np.ndarray:
    """Render what an item shows: uint8 [F, 128, 128, 3], marks drawn where asked for."""
    if drawn.printed is not None:
        return drawn.printed[None]
    frames = np.stack([render(drawn.scene, u, SIDE)[0] for u in drawn.clock])
    if not mark:
        return frames
    n = len(frames)
    clip = Clip(frames, np.asarray(drawn.clock), np.arange(n), n, 1.0, f"scene {drawn.scene.seed}")
    return mark_clip(frames, from_scene(drawn.scene, clip, drawn.clock), style="micro")


def with_options(item: BenchItem, question: Question, letters: Counter, rng: np.random.Generator) -> list[BenchItem]:
    """The multiple-choice form of an open item, or nothing where there are no three wrong answers (yes or no).

    Wrong answers come from the same clip first. Within a kind each letter is right equally often.
    """
    wanted = LETTERS[(KINDS[item.split].index(item.kind) + letters[item.kind]) % 4]
    lettered = multiple_choice(question, rng)
    if lettered is None:
        return []
    while lettered[1] != wanted:
        lettered = multiple_choice(question, rng)
    letters[item.kind] += 1
    options = dict(re.findall(r"([A-D]): (.+?)(?= [A-D]: |$)", lettered[0][len(item.question) :]))
    return [replace(item, format="choice", answer=wanted, options=options, possible=len(LETTERS))]


def majority_answers(
    items: list[BenchItem], profile: Profile, seed: int = BENCH_SEED, n_clips: int = 120
) -> list[str]:
    """What a model would say that knows only which answer a kind of question mostly has.

    Counted over the questions of `n_clips` other scenes, as they fall, not over the bench itself. For multiple
    choice: the letter of the option that was the right answer most often there.
    """
    counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for split in {item.split for item in items}:
        first = seed + (len(SPLITS) + SPLITS.index(split)) * SEED_STEP
        for other in range(first, first + n_clips):
            for q in draw(split, other, profile.n_frames).questions:
                counts[split, q.kind][q.answer] += 1
    found = []
    for item in items:
        common, options = counts[item.split, item.kind], item.options
        if options:
            found.append(max(options, key=lambda letter: common[options[letter]]))
        else:
            found.append(max(sorted(common), key=common.get, default=""))
    return found
