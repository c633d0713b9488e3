"""Every view asks the same and shows the same world; only marks differ, and only as the view says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.evaluation.bench import build_bench, choose, plan_of
from instit_lite.evaluation.chance import majority_answers
from instit_lite.evaluation.pictures import VIEWS, answer_as_drawn, draw, exchange, first_seen, show
from instit_lite.marks.clip import Clip
from instit_lite.marks.draw import draw_marks
from instit_lite.marks.instances import from_scene
from instit_lite.marks.placement import leader_pixels
from instit_lite.profiles import get_profile
from instit_lite.scenes.seeds import BENCH_SEED

FEW = replace(get_profile("smoke"), n_bench=16)
SCENES = st.integers(0, 2000)


@pytest.fixture(scope="module")
def views():
    return {view: build_bench(FEW, view=view) for view in VIEWS}


def detections(drawn, frames):
    n = len(frames)
    return from_scene(drawn.scene, Clip(frames, np.zeros(n), np.arange(n), n, 1.0, ""), drawn.clock)


def places(drawn, style="micro", ids=None):
    """Where marks may be drawn, bool [F, H, W]: boxes and leader lines, 5 pixels wide."""
    frames = show(drawn, "bare")
    where, anchors = np.zeros(frames.shape[:3], bool), {}
    for t, found in enumerate(detections(drawn, frames)):
        if ids:
            found.tracker_id = np.array([ids[i] for i in found.tracker_id.tolist()], int)
        _, anchors = draw_marks(frames[t], found, style, anchors)
        for anchor in anchors.values():
            where[(t, *anchor.window)] = True
            for x, y in zip(*leader_pixels(anchor)) if anchor.leader else ():
                where[t, max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = True
    return where


def test_the_same_questions_in_every_view(views):
    facts = [(i.key, i.prompt, i.answer, i.prior, i.chance) for i in views["marked"]]
    for view, items in views.items():
        assert [(i.key, i.prompt, i.answer, i.prior, i.chance) for i in items] == facts, view
        assert majority_answers(items, FEW, n_clips=3) == majority_answers(views["marked"], FEW, n_clips=3)


def test_only_marked_splits_change(views):
    for view in set(VIEWS) - {"marked"}:
        for item, other in zip(views["marked"], views[view]):
            same = (item.frames == other.frames).all()
            if item.split not in ("image", "video"):
                assert same
            elif view in ("bare", "other_style"):
                assert not same
            elif view == "first_frame" and item.split == "image":
                assert same


@settings(max_examples=25, deadline=None)
@given(SCENES, st.sampled_from(["image", "video"]))
def test_views_are_equal_outside_the_marks(seed, split):
    drawn = draw(split, seed, 3)
    bare, where = show(drawn, "bare"), places(drawn)
    for view in ("marked", "other_style", "first_frame"):
        assert not (show(drawn, view) != bare).any(-1)[~where].any(), view
    assert not (show(drawn, "permuted") != bare).any(-1)[~places(drawn, ids=exchange(drawn))].any()


@settings(max_examples=60, deadline=None)
@given(SCENES, st.sampled_from(["image", "video"]))
def test_permuted_ids_are_a_derangement(seed, split):
    drawn = draw(split, seed, 3)
    borne = exchange(drawn)
    assert sorted(borne) == sorted(borne.values()) == drawn.ids
    assert len(borne) < 2 or all(true != other for true, other in borne.items())
    assert borne == exchange(draw(split, seed, 3))


def test_the_drawn_ids_are_the_exchanged_ones():
    """Drawing the scene whose things bear the exchanged ids gives the permuted view."""
    for _, drawn, _ in choose(plan_of(FEW, BENCH_SEED, "image"))[:6]:
        borne = exchange(drawn)
        things = tuple(replace(t, mark_id=borne.get(t.mark_id, 9)) for t in drawn.scene.things)
        other = replace(drawn, scene=replace(drawn.scene, things=things))
        assert (show(other, "marked") == show(drawn, "permuted")).mean() > 0.999  # ties are settled by id


def test_answers_as_drawn_follow_the_exchanged_ids(views):
    for _, drawn, questions in choose(plan_of(FEW, BENCH_SEED, "image")):
        borne, frame = exchange(drawn), drawn.facts[0]
        for q in questions:
            said = answer_as_drawn(q, drawn)
            if q.kind == "colour":
                true = int(q.question.split("[")[1].split("]")[0])
                assert said == next(f.colour for f in frame.instances if borne[f.mark_id] == true)
            if q.kind == "which" and len(borne) > 1:
                assert said != q.answer
    told = [i for i in views["permuted"] if i.as_drawn is not None]
    assert {i.split for i in told} == {"image", "video"} and any(i.as_drawn != i.answer for i in told)
    assert all(i.as_drawn in i.options for i in told if i.options)
    assert not any(i.as_drawn for view in set(VIEWS) - {"permuted"} for i in views[view])


@settings(max_examples=20, deadline=None)
@given(SCENES)
def test_each_instance_is_marked_in_its_first_frame_only(seed):
    drawn = draw("video", seed, 4)
    bare, marked, once = (show(drawn, view) for view in ("bare", "marked", "first_frame"))
    found = detections(drawn, bare)
    new = first_seen(found)
    assert sum(map(len, new)) == len(set().union(*new)) and set().union(*new) == set(drawn.ids)
    for t, ids in enumerate(new):
        assert ids <= set(found[t].tracker_id.tolist())
        assert (once[t] == bare[t]).all() == (not ids)
        if ids == set(found[t].tracker_id.tolist()):
            assert (once[t] == marked[t]).all()
