"""Levels turn one knob and leave the rest; frame counts show the same questions."""

from dataclasses import replace

import numpy as np
import pytest

from instit_lite.evaluation.bench import build_bench, choose, plan_of
from instit_lite.evaluation.difficulty import (
    CURVE_KINDS,
    LEVELS,
    STEADY_KINDS,
    answers_at,
    frame_benches,
    level_items,
    visible_share,
)
from instit_lite.evaluation.item import SEED_STEP
from instit_lite.profiles import get_profile
from instit_lite.scenes.seeds import BENCH_SEED
from instit_lite.scenes.world import Knobs

FEW = replace(get_profile("smoke"), n_bench=10)


@pytest.fixture(scope="module")
def curves():
    return {curve: {i: level_items(FEW, BENCH_SEED, level) for i, level in enumerate(LEVELS[curve])} for curve in LEVELS}


def test_four_levels_each_and_all_need_their_mark(curves):
    assert {curve: len(levels) for curve, levels in curves.items()} == dict.fromkeys(LEVELS, 4)
    for levels in curves.values():
        for items in levels.values():
            asked = [i for i in items if i.format == "open"]
            assert len(asked) == 10 and {i.kind for i in asked} == set(CURVE_KINDS)
            assert all(i.prior < 1 for i in asked)


def test_blur_asks_the_same_of_softer_pictures(curves):
    sharp, *softer = curves["blur"].values()
    for items in softer:
        assert [(i.key, i.prompt, i.answer) for i in items] == [(i.key, i.prompt, i.answer) for i in sharp]
        assert not any((a.frames == b.frames).all() for a, b in zip(items, sharp))
    edges = [np.mean([np.abs(np.diff(i.frames.astype(int), axis=2)) for i in b]) for b in curves["blur"].values()]
    assert edges == sorted(edges, reverse=True)


def test_occlusion_is_that_of_the_asked_instance():
    for level in LEVELS["occlusion"]:
        plan = replace(plan_of(FEW, BENCH_SEED, "image", level.knobs), kinds=CURVE_KINDS, fits=level.fits)
        for _, drawn, questions in choose(plan):
            assert all(level.visible[0] <= visible_share(q, drawn) <= level.visible[1] for q in questions)


def test_crowding_counts_things():
    for n, level in zip((2, 3, 4, 5), LEVELS["crowding"]):
        plan = replace(plan_of(FEW, BENCH_SEED, "image", level.knobs), kinds=CURVE_KINDS, fits=level.fits)
        assert {len(drawn.scene.things) for _, drawn, _ in choose(plan)} == {n}


def test_frame_counts_show_the_same_questions():
    shown = frame_benches(FEW, counts=(2, 4, 8))
    two = shown[2]
    for n, items in shown.items():
        assert [(i.key, i.prompt, i.answer) for i in items] == [(i.key, i.prompt, i.answer) for i in two]
        assert all(i.frames.shape == (n, 128, 128, 3) and i.timestamps == tuple(range(1, n + 1)) for i in items)
    assert {i.kind for i in two} == set(STEADY_KINDS) and not any("<" in i.prompt for i in two)


def test_no_frame_count_contradicts_the_answer():
    for item in frame_benches(replace(FEW, n_bench=60))[2]:
        seed = BENCH_SEED + SEED_STEP + int(item.clip_id.removeprefix("video"))
        told = [answers_at(seed, n).get(item.question) for n in (2, 4, 8)]
        assert item.format == "choice" or (told[2] == item.answer and set(told) <= {None, item.answer})


def test_knobs_change_the_images_alone():
    few = replace(FEW, n_bench=8)
    plain, blurred = (build_bench(few, knobs=k, splits=("image", "video")) for k in (None, Knobs(blur=0.03)))
    assert [i.key for i in plain] == [i.key for i in blurred]
    for a, b in zip(plain, blurred):
        assert (a.frames == b.frames).all() == (a.split == "video")
