"""The picture prior is a probability, counted from what is in view, and a guesser without marks reaches just that."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.evaluation.bench import build_bench, choose, plan_of
from instit_lite.evaluation.chance import needs_mark, picture_prior, possible_answers
from instit_lite.evaluation.pictures import draw
from instit_lite.profiles import get_profile
from instit_lite.scenes.questions import LETTERS, multiple_choice
from instit_lite.scenes.seeds import BENCH_SEED
from instit_lite.scenes.world import Knobs

SMOKE = replace(get_profile("smoke"), n_bench=210)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 3000), st.sampled_from(["image", "video"]))
def test_the_prior_is_a_probability_and_the_truth_is_possible(seed, split):
    drawn = draw(split, seed, 4)
    for q in drawn.questions:
        assert 0 < picture_prior(q, drawn) <= 1
        assert possible_answers(q, drawn)[q.answer] > 0
        assert picture_prior(q, drawn) >= 1 / len(possible_answers(q, drawn))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3000))
def test_one_instance_leaves_nothing_to_guess(seed):
    drawn = draw("image", seed, 1, Knobs(n_things=(1, 1), motion=False))
    assert drawn.questions and all(picture_prior(q, drawn) == 1 for q in drawn.questions)
    assert not any(needs_mark(q, drawn) for q in drawn.questions)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.sampled_from(["image", "video"]))
def test_options_that_no_instance_has_are_excluded(seed, split):
    drawn, rng = draw(split, seed, 4), np.random.default_rng(seed)
    for q in drawn.questions:
        if multiple_choice(q, rng):
            near = list(dict.fromkeys([q.answer, *q.near, *q.far]))[: len(LETTERS)]
            assert picture_prior(q, drawn, near) >= picture_prior(q, drawn)
            assert picture_prior(q, drawn, [q.answer, "nothing of this"]) == 1


@pytest.mark.parametrize("split", ["image", "video"])
def test_guessing_the_most_common_answer_reaches_the_prior(split):
    """Balancing answers picks instances, and could have made the prior of an equally likely one wrong."""
    priors, hits = [], []
    for _, drawn, questions in choose(plan_of(SMOKE, BENCH_SEED, split)):
        for q in questions:
            counts = possible_answers(q, drawn)
            best = [answer for answer, n in counts.items() if n == max(counts.values())]
            priors.append(picture_prior(q, drawn))
            hits.append((q.answer in best) / len(best))
    assert np.mean(hits) == pytest.approx(np.mean(priors), abs=0.06)


def test_items_that_need_their_marks():
    few = replace(SMOKE, n_bench=14)
    every = build_bench(few, splits=("image", "video"))
    assert all(i.prior < 1 for i in every if i.format == "open")
