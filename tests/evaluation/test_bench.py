"""The bench is unseen, balanced, answerable, and the same for the same seed."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from instit_lite.errors import InstitError
from instit_lite.evaluation.bench import PER_CLIP, build_bench
from instit_lite.evaluation.chance import majority_answers
from instit_lite.evaluation.item import DESCRIPTIONS, KINDS, SEED_STEP, SPLITS
from instit_lite.profiles import get_profile
from instit_lite.scenes.seeds import BENCH_SEED, BENCH_SPAN, TRAIN_SEED

SMOKE = replace(get_profile("smoke"), n_bench=40)


@pytest.fixture(scope="module")
def items():
    return build_bench(SMOKE, view="bare")


def of(items, split, form="open"):
    return [item for item in items if item.split == split and item.format == form]


def test_seeds_do_not_meet():
    from instit_lite.training.tower import PHASES

    assert 2000 * 24 < TRAIN_SEED and max(p.steps for p in PHASES) * 48 < TRAIN_SEED
    assert TRAIN_SEED + 2_000_000 < BENCH_SEED
    assert 2 * len(SPLITS) * SEED_STEP <= BENCH_SPAN
    assert all(p.first_seed < TRAIN_SEED or p.first_seed >= BENCH_SEED + 90 * BENCH_SPAN for p in PHASES)


@pytest.mark.parametrize("split", KINDS)
def test_kinds_and_answers_are_balanced(items, split):
    asked = of(items, split)
    assert len(asked) == 40
    kinds = Counter(item.kind for item in asked)
    assert set(kinds) == set(KINDS[split]) and max(kinds.values()) - min(kinds.values()) <= 1
    assert max(Counter(item.clip_id for item in asked).values()) <= PER_CLIP
    for kind in set(kinds) - {"describe"}:
        answers = Counter(item.answer for item in asked if item.kind == kind)
        possible = next(item.possible for item in asked if item.kind == kind)
        assert len(answers) <= possible
        assert max(answers.values()) <= -(-kinds[kind] // possible), (kind, answers)


def test_motion_is_not_mostly_standing_still(items):
    still = [item.answer == "it stays" for item in of(items, "video") if item.kind == "motion"]
    assert sum(still) <= len(still) / 5 + 1


@pytest.mark.parametrize("split", KINDS)
def test_choices_share_ids_with_open_questions(items, split):
    truth = {item.question_id: item for item in of(items, split)}
    choices = of(items, split, "choice")
    assert len(truth) == 40 and len({item.key for item in items}) == len(items)
    assert len(choices) >= (0 if split == "description" else 20)
    for item in choices:
        twin = truth[item.question_id]
        assert item.options[item.answer] == twin.answer and item.question == twin.question
        assert list(item.options) == list("ABCD") and len(set(item.options.values())) == 4
        assert item.chance == 0.25 and item.frames is twin.frames
        assert item.prompt == f"{twin.prompt} " + " ".join(f"{k}: {v}" for k, v in item.options.items())
    letters = Counter(item.answer for item in choices)
    assert max(letters.values(), default=0) <= 1.5 * len(choices) / 4


def test_frames_and_timestamps(items):
    for item in items:
        n = SMOKE.n_frames if item.split == "video" else 1
        assert item.frames.shape == (n, 128, 128, 3) and item.frames.dtype == np.uint8
        assert item.timestamps == tuple(range(1, n + 1))
        assert item.question_id.startswith(item.clip_id)


def test_same_seed_same_bench_other_seed_other_bench(items):
    again = build_bench(SMOKE, view="bare", splits=("image",))
    mine = [item for item in items if item.split == "image"]
    assert [(i.key, i.prompt, i.answer) for i in again] == [(i.key, i.prompt, i.answer) for i in mine]
    assert all((a.frames == b.frames).all() for a, b in zip(again, mine))
    other = build_bench(SMOKE, BENCH_SEED + BENCH_SPAN, view="bare", splits=("image",))
    assert [i.prompt for i in other] != [i.prompt for i in mine]


def test_descriptions_list_one_to_four_things(items):
    described = of(items, "description")
    counts = Counter(item.answer.count(",") + 1 for item in described)
    assert set(counts) == {1, 2, 3, 4} and max(counts.values()) <= 20
    assert all(item.chance == 1 / DESCRIPTIONS and not item.options for item in described)


def test_general_splits_speak_of_no_marks(items):
    unmarked = [item for item in items if item.split in ("general", "description", "reading")]
    assert not any("[" in item.question + item.answer or item.prior for item in unmarked)


def test_majority_says_one_thing_per_kind(items):
    said = majority_answers(items, SMOKE, n_clips=15)
    for split, kinds in KINDS.items():
        for kind in kinds:
            here = {a for i, a in zip(items, said) if (i.split, i.kind, i.format) == (split, kind, "open")}
            assert len(here) == 1, (split, kind, here)
    assert all(a in item.options for item, a in zip(items, said) if item.options)


def test_an_unknown_split_or_view_is_refused():
    with pytest.raises(InstitError, match="no split 'sound'"):
        build_bench(SMOKE, splits=("sound",))
    with pytest.raises(InstitError, match="no view 'upside_down'"):
        build_bench(SMOKE, view="upside_down")
