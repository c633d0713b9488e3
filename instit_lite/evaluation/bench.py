"""The micro bench. In: a profile and a seed nobody trained on. Out: `BenchItem`s with exact answers.

As INST-IT Bench (paper section 3.4): images and videos with marks, the same questions open-ended and with four
options. Beside them three splits of unmarked pictures, for what a model may lose: general questions, full
descriptions, reading printed numbers. Kinds of question are equally represented in each split and answers are
balanced within a kind, so that a habit scores no better than chance.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..errors import InstitError
from ..profiles import Profile
from ..scenes.questions import LETTERS, Question, multiple_choice
from ..scenes.seeds import BENCH_SEED
from ..scenes.world import Knobs
from .chance import needs_mark, picture_prior
from .item import KINDS, SEED_STEP, SPLITS, BenchItem, answers_of, first_seed
from .pictures import MARKED, VIEWS, Drawn, answer_as_drawn, draw, even_clock, show

PER_CLIP = 2  # questions about one clip, at most: more clips make narrower intervals than more questions
AS_THEY_FALL = ("describe",)  # so many answers that no habit pays; evening them would leave out small pictures


@dataclass(frozen=True)
class Plan:
    """What is asked of one split: `n` questions of `kinds`, at moments of `n_frames` frames, of scenes of `knobs`.

    `fits` says which questions of a scene may be asked, all of them without it.
    """

    split: str
    n: int
    n_frames: int
    first: int
    kinds: tuple[str, ...]
    knobs: Knobs | None = None
    fits: Callable[[Question, Drawn], bool] | None = None


def build_bench(
    profile: Profile, seed: int = BENCH_SEED, view: str = "marked", splits: tuple[str, ...] = SPLITS,
    knobs: Knobs | None = None,
) -> list[BenchItem]:  # fmt: skip
    """Return the bench: `profile.n_bench` open-ended questions a split, and most with four options too.

    Every `view` of `pictures.VIEWS` gives the very same items, in the same order, under other marks; splits without
    marks look alike in all. `knobs` replaces those of the images. A question about a marked picture needs its mark:
    what the picture answers without one is not asked (the colour of [2] where all are red, when [3] enters where
    nothing else does). The same seed gives the same bench. Raises `InstitError` for an unknown split or view.
    """
    found: list[BenchItem] = []
    for split in splits:
        found += build_items(plan_of(profile, seed, split, knobs if split == "image" else None), view)
    return found


def plan_of(profile: Profile, seed: int, split: str, knobs: Knobs | None = None) -> Plan:
    """What `build_bench` asks of a split."""
    if split not in KINDS:
        raise InstitError(f"there is no split {split!r}", cure=f"choose from {', '.join(SPLITS)}")
    first = first_seed(seed, SPLITS.index(split))
    fits = needs_mark if split in MARKED else None
    return Plan(split, profile.n_bench, profile.n_frames, first, KINDS[split], knobs, fits)


def build_items(plan: Plan, view: str = "marked", shown: int | None = None) -> list[BenchItem]:
    """Ask what is planned, open-ended items first; `shown` frames are shown where not those that are asked about."""
    if view not in VIEWS:
        raise InstitError(f"there is no view {view!r}", cure=f"choose from {', '.join(VIEWS)}")
    found, letters, permuted = [], Counter(), view == "permuted" and plan.split in MARKED
    for offset, drawn, questions in choose(plan):
        frames = show(drawn, view, even_clock(shown) if shown else None)
        rng, clip_id = np.random.default_rng([plan.first + offset, 5]), f"{plan.split}{offset:05d}"
        for k, q in enumerate(questions, start=1):
            item = BenchItem(
                f"{clip_id}-{k:02d}", q.kind, "open", plan.split, q.question, q.answer, None, clip_id, frames,
                tuple(range(1, len(frames) + 1)), answers_of(q.kind, plan.n_frames),
                picture_prior(q, drawn), answer_as_drawn(q, drawn) if permuted else None,
            )  # fmt: skip
            found += [item, *with_options(item, q, drawn, letters, rng)]
    return sorted(found, key=lambda item: item.format != "open")


@lru_cache(maxsize=32)
def choose(plan: Plan) -> list[tuple[int, Drawn, list[Question]]]:
    """Go through scenes, take the questions that the balance needs; return (offset, drawn, questions) of each scene.

    No answer is taken more often than its even share of its kind, until so many scenes have passed that the missing
    answers must be rare; then any answer fills the rest. The choice is kept for the next view.
    """
    kinds, n = plan.kinds, plan.n
    quota = {kind: n // len(kinds) + (i < n % len(kinds)) for i, kind in enumerate(kinds)}
    even = {k: q if k in AS_THEY_FALL else -(-q // answers_of(k, plan.n_frames)) for k, q in quota.items()}
    taken, answers, found = Counter(), Counter(), []
    for offset in range(SEED_STEP):
        if taken.total() == n:
            return found
        drawn = draw(plan.split, plan.first + offset, plan.n_frames, plan.knobs)
        rng = np.random.default_rng([plan.first + offset, 4])
        limit = even if offset < 12 * n + 100 else quota
        questions = [q for q in drawn.questions if q.kind in quota and (plan.fits is None or plan.fits(q, drawn))]
        picked = pick(questions, quota, limit, taken, answers, rng)
        if picked:
            found.append((offset, drawn, picked))
    raise InstitError(f"{SEED_STEP} scenes do not fill {n} questions", cure="ask for fewer questions a split")


def pick(
    questions: list[Question], quota: dict, limit: dict, taken: Counter, answers: Counter, rng: np.random.Generator
) -> list[Question]:
    """Take at most `PER_CLIP` questions of different kinds, the least filled kind first; count them."""
    picked: list[Question] = []
    shuffled = [questions[i] for i in rng.permutation(len(questions))]
    for q in sorted(shuffled, key=lambda q: taken[q.kind] / max(1, quota[q.kind])):
        wanted = taken[q.kind] < quota[q.kind] and answers[q.kind, q.answer] < limit[q.kind]
        if wanted and q.kind not in {p.kind for p in picked} and len(picked) < PER_CLIP:
            picked.append(q)
            taken[q.kind] += 1
            answers[q.kind, q.answer] += 1
    return picked


def with_options(
    item: BenchItem, question: Question, drawn: Drawn, letters: Counter, rng: np.random.Generator
) -> list[BenchItem]:
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
    as_drawn = next((letter for letter, option in options.items() if option == item.as_drawn), None)
    return [replace(
        item, format="choice", answer=wanted, options=options, possible=len(LETTERS),
        prior=picture_prior(question, drawn, options.values()), as_drawn=as_drawn,
    )]  # fmt: skip
