"""Verdicts follow from intervals, and intervals cover what they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.claims.verdict import (
    CONTRADICTED, NOT_HERE, NOT_MEASURED, SAME, SHOWN, VERDICTS, Estimate, difference, ratio, verdict, weakest,
)  # fmt: skip
from instit_lite.errors import InstitError
from instit_lite.evaluation.statistics import clustered_interval

INF = float("inf")
number = st.floats(-1, 1, allow_nan=False)


def estimate(mean, low, high):
    return Estimate(mean, low, high, 10, 5, 3)


@pytest.mark.parametrize(
    "found, region, said",
    [
        ((0.2, 0.1, 0.3), (0, INF), SHOWN),
        ((0.2, 0.0, 0.4), (0, INF), SAME),
        ((0.2, -0.1, 0.5), (0, INF), SAME),
        ((-0.1, -0.3, 0.1), (0, INF), NOT_HERE),
        ((0.0, -0.2, 0.2), (0, INF), NOT_HERE),
        ((-0.2, -0.3, -0.1), (0, INF), CONTRADICTED),
        ((-0.01, -0.02, 0.0), (-0.03, INF), SHOWN),
        ((-0.01, -0.05, 0.03), (-0.03, INF), SAME),
        ((-0.04, -0.06, -0.02), (-0.03, INF), NOT_HERE),
        ((-0.06, -0.08, -0.04), (-0.03, INF), CONTRADICTED),
        ((0.2, 0.15, 0.25), (-INF, 0.1), CONTRADICTED),
        ((0.0, -0.01, 0.01), (-0.05, 0.05), SHOWN),
    ],
)
def test_each_verdict(found, region, said):
    assert verdict(estimate(*found), *region) == said


@given(st.tuples(number, number, number).map(sorted), st.tuples(number, number).map(sorted))
def test_a_claim_and_its_opposite_are_never_both_shown(values, region):
    low, mean, high = values
    found, (a, b) = estimate(mean, low, high), region
    inside, above, below = verdict(found, a, b), verdict(found, b, INF), verdict(found, -INF, a)
    assert [inside, above, below].count(SHOWN) <= 1
    if SHOWN in (above, below) or inside == CONTRADICTED:
        assert inside not in (SHOWN, SAME)


@given(number, st.floats(0.001, 1), st.floats(1.01, 5))
def test_a_wider_interval_never_says_more(mean, reach, factor):
    narrow = verdict(estimate(mean, mean - reach, mean + reach), 0, INF)
    wide = verdict(estimate(mean, mean - factor * reach, mean + factor * reach), 0, INF)
    sure = (SHOWN, CONTRADICTED)
    assert wide == narrow or (narrow in sure and wide not in sure)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 40))
def test_differences_are_symmetric_and_their_order_does_not_matter(seed, n_seeds, n):
    rng = np.random.default_rng(seed)
    d, clips = rng.integers(-1, 2, (n_seeds, n)), rng.integers(0, 8, n)
    a, b, order = difference(d, clips), difference(-d, clips), rng.permutation(n)
    assert a.low <= a.mean <= a.high and -1 <= a.low and a.high <= 1
    assert np.allclose([a.mean, a.low, a.high], [-b.mean, -b.high, -b.low])
    shuffled = difference(d[rng.permutation(n_seeds)][:, order], clips[order])
    assert np.allclose([a.low, a.high], [shuffled.low, shuffled.high])


def test_one_seed_is_the_clustered_interval():
    rng = np.random.default_rng(0)
    d, clips = rng.integers(-1, 2, 60), rng.integers(0, 20, 60)
    found, known = difference(d, clips), clustered_interval(d, list(clips), limits=(-1, 1))
    assert np.allclose([found.mean, found.low, found.high], known)


def test_no_difference_at_all_is_not_certainty():
    found = difference(np.zeros((3, 20)), range(20))
    assert found.mean == 0 and found.low < 0 < found.high


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(1)
    noise = rng.integers(-1, 2, (3, 300)).astype(float) / 4
    agree, differ = noise + 0.1, noise + np.array([[-0.2], [0.1], [0.4]])
    a, b = difference(agree, range(300)), difference(differ, range(300))
    assert b.high - b.low > 3 * (a.high - a.low)


def test_the_interval_covers_the_truth():
    """Both sources of chance are drawn anew: 95 % of the intervals should hold the true mean."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(400):
        of_seeds, of_items = rng.normal(0, 0.03, (3, 1)), rng.normal(0, 0.25, (1, 150))
        d = np.clip(0.1 + of_seeds + of_items + rng.normal(0, 0.1, (3, 150)), -1, 1)
        found = difference(d, range(150))
        held += found.low <= 0.1 <= found.high
    assert 0.92 <= held / 400 <= 0.995


def test_ratio_of_costs():
    found = ratio([1.0, 1.1, 0.9], [2.0, 2.1, 1.9])
    assert found.low < found.mean < found.high < 1 and verdict(found, 0, 1) == SHOWN
    assert ratio([64, 64], [256, 256]).low == pytest.approx(0.25)


def test_a_claim_is_as_strong_as_its_weakest_part():
    assert weakest([SHOWN, NOT_HERE, SAME]) == NOT_HERE
    assert weakest(VERDICTS) == NOT_MEASURED == weakest([])


def test_items_without_clips_are_refused():
    with pytest.raises(InstitError):
        difference(np.zeros((2, 3)), [1])
