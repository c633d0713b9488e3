"""Intervals: as wide as the clips allow, never of width zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.errors import InstitError
from instit_lite.evaluation.statistics import clustered_interval, paired_difference, sign_flip_test


def test_one_question_a_clip_is_the_t_interval():
    values = [1, 0, 1, 1, 0, 1, 0, 0, 1, 1]
    found = clustered_interval(values, range(10))
    reach = 2.2621571628 * np.std(values, ddof=1) / np.sqrt(10)
    assert found == pytest.approx((0.6, 0.6 - reach, 0.6 + reach))


def test_copies_of_a_question_narrow_nothing():
    values = [1, 0, 1, 1, 0, 1, 0, 0, 1, 1]
    once = clustered_interval(values, range(10))
    assert clustered_interval(values * 4, list(range(10)) * 4) == pytest.approx(once)
    pretended = clustered_interval(values * 4, range(40))
    assert pretended.high - pretended.low < 0.6 * (once.high - once.low)


@pytest.mark.parametrize("value, end", [(0.0, 1), (1.0, 2)])
def test_all_alike_is_wilson_over_clips(value, end):
    found = clustered_interval([value] * 40, list(range(20)) * 2)
    width = 1.959964**2 / (20 + 1.959964**2)
    assert found.mean == value
    assert abs(found[end] - found[3 - end]) == pytest.approx(width, rel=1e-4)


def test_one_clip_claims_little():
    low, high = clustered_interval([1, 0, 1], ["a"] * 3)[1:]
    assert high - low > 0.7


def test_the_pair_is_narrower_than_its_parts():
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5
    before, after = hard.astype(float), (hard | (rng.random(400) < 0.1)).astype(float)
    change = paired_difference(before, after, range(400))
    one = clustered_interval(after, range(400))
    assert change.mean == pytest.approx(after.mean() - before.mean())
    assert change.low > 0 and change.high - change.low < one.high - one.low


def test_no_change_is_not_certainty():
    found = paired_difference([1, 0, 1], [1, 0, 1], "abc")
    assert found.mean == 0 and found.low == -found.high and found.high > 0.3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 5)), min_size=1, max_size=40))
def test_the_interval_holds_its_mean(pairs):
    mean, low, high = clustered_interval([v for v, _ in pairs], [c for _, c in pairs])
    assert 0 <= low <= mean <= high <= 1 and low < high


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        skill = rng.beta(2, 2, 60)
        values = (rng.random((2, 60)) < skill).astype(float).ravel()
        _, low, high = clustered_interval(values, list(range(60)) * 2)
        hits += low <= 0.5 <= high
    assert 0.92 <= hits / 400 <= 0.98


@pytest.mark.parametrize("values, clips", [([], []), ([1.0], ["a", "b"]), ([2.0], ["a"])])
def test_bad_values_are_refused(values, clips):
    with pytest.raises(InstitError):
        clustered_interval(values, clips)
    with pytest.raises(InstitError, match="no pairs"):
        paired_difference([1.0], [1.0, 0.0], ["a"])


def benches(seed, clips, mean, pull, n=1000):
    """Simulated benches like Inst-It Bench: 1 to 9 questions a clip, whose skills scatter the more the smaller `pull`."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        names = np.repeat(np.arange(clips), rng.choice([1, 2, 3, 4, 5, 5, 5, 6, 7, 9], clips))
        skill = rng.beta(mean * pull, (1 - mean) * pull, clips)[names]
        yield rng, names, skill, (rng.random(len(names)) < skill).astype(float)


@pytest.mark.parametrize("clips, mean, pull", [(206, 0.43, 37), (206, 0.7, 8), (60, 0.43, 37)])
def test_intervals_cover_the_truth_in_a_thousand_benches(clips, mean, pull):
    """Upstream's released answers have 206 clips, 43 % right, and a spread like `pull` 37."""
    spans = [clustered_interval(right, names) for _, names, _, right in benches(5, clips, mean, pull)]
    assert 0.93 <= np.mean([low <= mean <= high for _, low, high in spans]) <= 0.97
    alone = [clustered_interval(right, np.arange(len(right))) for _, _, _, right in benches(5, clips, mean, 2, 300)]
    assert np.mean([low <= mean <= high for _, low, high in alone]) < 0.9  # who forgets the clips is too sure


def test_paired_differences_cover_the_truth_and_the_test_keeps_its_level():
    covered, found, detected = [], [], []
    for rng, names, skill, before in benches(3, 206, 0.43, 8):
        after = (rng.random(len(names)) < np.clip(skill + 0.05, 0, 1)).astype(float)
        true = float((np.clip(skill + 0.05, 0, 1) - skill).mean())
        span = paired_difference(before, after, names)
        covered.append(span.low <= true <= span.high)
        same = (rng.random(len(names)) < skill).astype(float)
        found.append(sign_flip_test(same - before, names, n=499, seed=len(found)) <= 0.05)
        detected.append(sign_flip_test(after - before, names, n=499) <= 0.05)
    assert 0.93 <= np.mean(covered) <= 0.97
    assert 0.03 <= np.mean(found) <= 0.07 and np.mean(detected) > 0.5


def test_the_sign_flip_test_on_small_cases():
    assert sign_flip_test([0, 0, 0], "abc") == 1
    assert sign_flip_test([1, 1, 1, 1], "aabb") == pytest.approx(0.5, abs=0.03)  # two clips have four signs, two as extreme
    assert sign_flip_test([1] * 30, range(30)) < 0.001 and sign_flip_test([1, -1] * 15, range(30)) == 1
    assert sign_flip_test([1, 0, 1], "abc") == sign_flip_test([1, 0, 1], "abc")
