"""Pointers stand on the pointed instance alone; the bias audit finds what is there and not what is chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.evaluation.bias import (
    ATTRIBUTES, accuracy_findings, asked_about, confusions, group_difference, holm, instances_told, preference_findings,
    share_findings,
)  # fmt: skip
from instit_lite.evaluation.bench import build_bench
from instit_lite.evaluation.pictures import draw, instances, show
from instit_lite.evaluation.pointing import KINDS, POINTED, POINTERS, clicked, point_at, pointer_benches, pointer_samples
from instit_lite.profiles import get_profile
from instit_lite.scenes.facts import InstanceFacts
from instit_lite.scenes.seeds import BENCH_SEED

PROFILE = get_profile("smoke")


def test_a_dot_lies_on_its_instance_and_an_outline_around_it():
    for seed in range(5_000, 5_010):
        drawn = draw("image", seed, 1)
        bare = show(drawn, "bare")
        for f in drawn.facts[0].instances:
            found = instances(drawn, bare)[0]
            mask = found.mask[found.tracker_id == f.mark_id][0]
            x, y = clicked(mask, np.random.default_rng(seed))
            assert mask[y, x]
            for pointer in POINTERS:
                changed = (point_at(drawn, f.mark_id, pointer)[0] != bare[0]).any(-1)
                assert changed.any() and (changed & mask).any()


def test_every_way_to_point_asks_the_same_of_the_same_scene():
    benches = pointer_benches(PROFILE, BENCH_SEED)
    assert list(benches) == ["number", *POINTERS, "no mark"] and {len(b) for b in benches.values()} == {PROFILE.n_bench}
    for number, *others in zip(*benches.values()):
        assert number.kind in KINDS and "[" in number.question
        assert {(i.key, i.answer) for i in others} == {(number.key, number.answer)}
        assert all(POINTED in i.question and "[" not in i.question for i in others)
        assert (others[0].frames != others[-1].frames).any() and (number.frames != others[-1].frames).any()


def test_samples_with_dots_ask_all_about_one_instance():
    samples = pointer_samples(range(7_000, 7_010))
    assert 0 < len(samples) <= 10
    for sample in samples:
        assert len(sample.turns) == len(KINDS) and all(POINTED in q and a for q, a in sample.turns)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(ps):
    found = np.array(holm(ps))
    assert (found >= np.array(ps) - 1e-12).all() and (found <= np.minimum(1, len(ps) * np.array(ps)) + 1e-12).all()
    assert (np.diff(found[np.argsort(ps)]) >= 0).all()


def test_by_chance_alone_something_is_found_in_one_of_twenty_audits():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(100):
        told = looks(rng, 300)
        right = (rng.random(300) < 0.7).astype(float)
        hits += any(f.plain for f in accuracy_findings(told, right, np.arange(300) // 2, ["colour"] * 300))
    assert hits <= 11  # 5 % of 100 is 5; 11 or fewer in 99.6 % of such tests


def test_a_colour_that_is_served_worse_is_found():
    rng = np.random.default_rng(1)
    told = looks(rng, 600)
    right = [float(rng.random() < (0.4 if f.colour == "red" else 0.85)) for f in told]
    found = accuracy_findings(told, right, range(600), ["colour"] * 600)
    worst = min(found, key=lambda f: f.p)  # all other colours are better than the rest, which has red in it
    assert worst.value == "red" and worst.plain and not [f for f in found if f.plain and f.attribute != "colour"]
    assert worst.found.high < 0 and worst.found.low < -0.3 < worst.found.high + 0.3


def test_questions_of_one_clip_count_as_one():
    values = np.repeat(np.random.default_rng(2).random(40), 5)
    inside = np.repeat(np.arange(40) % 2 == 0, 5)
    wide, alone = (group_difference(values, inside, c)[0] for c in (np.arange(200) // 5, np.arange(200)))
    assert wide.high - wide.low > 1.8 * (alone.high - alone.low)


def test_uneven_shares_are_found_and_even_ones_are_not():
    even = looks(np.random.default_rng(3), 3_000)
    assert not [f for f in share_findings(even) if f.plain]
    skewed = [replace(f, shape="star") if k % 4 == 0 else f for k, f in enumerate(even)]
    assert {f.value for f in share_findings(skewed) if f.plain} >= {"star"}
    assert np.isclose(sum(f.found.mean for f in share_findings(even) if f.attribute == "place"), 1)


def test_a_favourite_answer_is_found():
    items = [i for i in build_bench(replace(PROFILE, n_bench=140), splits=("image",)) if i.format == "open"]
    said = ["star" if i.kind == "shape" else i.answer for i in items]
    found = preference_findings(items, said, {"shape": ATTRIBUTES["shape"], "colour": ATTRIBUTES["colour"]})
    assert [(f.value, f.found.mean > 0) for f in found if f.plain and f.value == "star"] == [("star", True)]
    assert all(f.found.mean == 0 for f in found if f.attribute == "colour")
    table = confusions(items, said, "shape", ATTRIBUTES["shape"])
    assert table.sum() == table[:, ATTRIBUTES["shape"].index("star")].sum() == sum(i.kind == "shape" for i in items)


def test_the_asked_instance_is_the_one_that_the_answer_is_about():
    items = [i for i in build_bench(PROFILE, splits=("image", "video")) if i.format == "open"]
    pairs = list(zip(items, asked_about(items, BENCH_SEED)))
    for item, f in pairs:
        if item.kind in ("colour", "shape", "size", "place") and item.split == "image":
            assert getattr(f, item.kind) == item.answer
        if item.kind in ("which", "who"):
            assert item.answer == f"[{f.mark_id}]"
    assert all(f is None for item, f in pairs if item.kind == "left_of")


def test_records_give_each_instance_once_and_foreign_texts_none():
    frame = {"image_level": "[1] is a small red star at the left."}
    later = {"image_level": "[1] is a small red star at the right. [2] is a large blue circle at the top."}
    told = instances_told([{"frame_level_caption": [frame, later]}, {"image_level_caption": "A dog [3] barks."}])
    assert [(f.mark_id, f.place) for f in told] == [(1, "left"), (2, "top")]


def looks(rng: np.random.Generator, n: int) -> list[InstanceFacts]:
    drawn = [[str(v) for v in rng.choice(list(values), n)] for values in ATTRIBUTES.values()]
    return [InstanceFacts(1, shape, colour, size, place, 0, 0, 0, 1) for shape, colour, size, place in zip(*drawn)]
