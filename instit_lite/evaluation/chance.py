"""What can be scored without reading marks. In: questions and their scenes. Out: the two kinds of chance.

Chance is measured, not assumed: `picture_prior` is the best guess of somebody who sees the picture but not which mark
is which, `majority_answers` that of somebody who sees nothing and knows what is usual.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..profiles import Profile
from ..scenes.questions import Question
from ..scenes.seeds import BENCH_SEED
from .item import SPLITS, BenchItem, first_seed
from .pictures import MARKED, Drawn, draw


def picture_prior(question: Question, drawn: Drawn, options: Iterable[str] | None = None) -> float | None:
    """Expected accuracy of the best guess of somebody who sees every picture exactly but not which mark is which.

    Of the instances that the question could be about, the share that has the most common answer: of the colours in
    view the most common one, one in n where a mark is asked for, one half for "left of". With `options`, only
    instances whose answer is an option count, for nobody who sees the picture would choose another. The instance asked
    about is taken to be any of them, equally likely. None for splits whose questions need no marks.
    """
    if drawn.split not in MARKED:
        return None
    answers = possible_answers(question, drawn)
    if options is not None:
        answers = Counter({answer: n for answer, n in answers.items() if answer in set(options)})
    return max(answers.values()) / answers.total()


def needs_mark(question: Question, drawn: Drawn) -> bool:
    """Say whether the picture leaves more than one answer open, so that the mark must be read."""
    prior = picture_prior(question, drawn)
    return prior is not None and prior < 1


def possible_answers(question: Question, drawn: Drawn) -> Counter:
    """How many of the picture's instances the question could be about would make each answer right."""
    if question.kind in ("which", "who"):
        return Counter(f"[{i}]" for i in drawn.ids)
    if question.kind == "left_of":
        return Counter(["yes", "no"])
    if question.kind == "present":
        frame = drawn.facts[int(re.search(r"<(\d+)>", question.question)[1]) - 1]
        return Counter("yes" if frame.get(i) else "no" for i in drawn.ids)
    return Counter(q.answer for q in drawn.questions if q.kind == question.kind)


def majority_answers(
    items: Sequence[BenchItem], profile: Profile, seed: int = BENCH_SEED, n_clips: int = 120
) -> list[str]:
    """What a model would say that knows only which answer a kind of question mostly has.

    Counted over the questions of `n_clips` other scenes, as they fall, not over the bench itself. For multiple
    choice: the letter of the option that was the right answer most often there.
    """
    counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for split in {item.split for item in items}:
        first = first_seed(seed, len(SPLITS) + SPLITS.index(split))
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
