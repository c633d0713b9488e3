"""Where marks go: on their own instance, on nobody else's, steady, and tied by a line where they do not
fit.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from instit_lite.marks.detections import from_masks
from instit_lite.marks.placement import Anchor, leader_pixels, place_marks
from instit_lite.marks.style import STYLES, box_size
from instit_lite.scenes.render import render
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.world import Knobs

HARD = Knobs(n_things=(2, 5), occlusion=0.5, crowding=0.5)


def rectangle(x0, y0, x1, y1, shape=(100, 140)):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(x, y, r, shape=(100, 140)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(columns - x, rows - y) < r


def place(masks, size=(10, 12), previous=None):
    shape = next(iter(masks.values())).shape
    return place_marks(from_masks(masks, shape), dict.fromkeys(masks, size), previous)


def box(anchor, shape=(100, 140)):
    covered = np.zeros(shape, bool)
    covered[anchor.window] = True
    return covered


def is_good(anchor, mask, others):
    x, y = anchor.leader or anchor.centre
    return mask[y, x] and not (box(anchor, mask.shape) & others).any()


def scene_instances(seed, u, side=384):
    scene = sample_scene(seed, HARD)
    masks = render(scene, u, side)[1]
    return from_masks({t.mark_id: m for t, m in zip(scene.things, masks)}, (side, side))


def test_every_mark_of_hard_scenes_is_on_its_own_instance():
    marks, bad, forced, leaders = 0, [], 0, 0
    for seed in range(60):
        u = (0.15, 0.5, 0.85)[seed % 3]
        found = scene_instances(seed, u)
        for style in STYLES:
            sizes = {int(i): box_size(STYLES[style], str(i), (384, 384)) for i in found.tracker_id}
            anchors = place_marks(found, sizes)
            assert list(sorted(anchors)) == sorted(sizes)
            for i, mask in zip(found.tracker_id.tolist(), found.mask):
                others = found.mask.any(0) & ~mask
                marks, forced = marks + 1, forced + (anchors[i].covers > 0)
                leaders += anchors[i].leader is not None
                if not is_good(anchors[i], mask, others):
                    bad.append((seed, u, style, i))
    assert marks > 400 and leaders > 10
    assert not bad and forced == 0


def test_the_mark_sits_on_the_most_interior_visible_point():
    front, back = disc(60, 50, 20), disc(80, 50, 30)
    anchors = place({1: front, 2: back & ~front})
    depth = ndimage.distance_transform_edt(np.pad(back & ~front, 1))[1:-1, 1:-1]
    x, y = anchors[2].centre
    assert depth[y, x] >= 0.9 * depth.max() and depth[50, 80] < depth[y, x]
    assert abs(anchors[1].centre[0] - 60) <= 1 and abs(anchors[1].centre[1] - 50) <= 1


def test_a_region_at_the_edge_is_padded():
    (anchor,) = place({1: rectangle(0, 0, 140, 100)}).values()
    assert anchor.centre == pytest.approx((70, 50), abs=3)


def test_a_thing_too_small_gets_a_leader_that_ends_on_it():
    small, big = rectangle(60, 40, 64, 44), rectangle(66, 20, 120, 80)
    anchors = place({1: small, 2: big})
    assert anchors[2].leader is None and anchors[1].leader is not None
    x, y = leader_pixels(anchors[1])
    assert small[y[-1], x[-1]] and not big[y, x].any()
    assert not (box(anchors[1]) & (small | big)).any()
    assert np.hypot(anchors[1].centre[0] - 62, anchors[1].centre[1] - 42) < 25


def test_a_region_that_others_enclose_still_gets_its_mark():
    ring = disc(70, 50, 30)
    anchors = place({1: disc(70, 50, 3), 2: ring & ~disc(70, 50, 3)})
    assert is_good(anchors[1], disc(70, 50, 3), ring & ~disc(70, 50, 3))


def test_where_nothing_is_free_the_least_is_covered_and_said():
    small = rectangle(68, 48, 72, 52)
    anchors = place({1: small, 2: ~small}, size=(20, 24))
    x, y = anchors[1].leader or anchors[1].centre
    assert small[y, x] and anchors[1].covers > 0 and anchors[2].covers == 0
    assert not (box(anchors[1]) & box(anchors[2])).any()


def test_nested_boxes_belong_to_the_smaller():
    outer, inner = rectangle(10, 10, 130, 90), rectangle(50, 30, 90, 70)
    anchors = place({1: outer, 2: inner})
    assert is_good(anchors[2], inner, np.zeros_like(inner))
    assert is_good(anchors[1], outer & ~inner, inner)


def test_twin_masks_get_two_marks_apart():
    anchors = place({1: rectangle(20, 20, 90, 80), 2: rectangle(20, 20, 90, 80)})
    assert len(anchors) == 2 and not (box(anchors[1]) & box(anchors[2])).any()


def test_no_instances_no_marks():
    assert place_marks(from_masks({}, (40, 40)), {}) == {}


def test_a_mark_travels_with_its_instance():
    previous, offsets = None, []
    for step in range(12):
        previous = place({1: rectangle(10 + 5 * step, 20, 60 + 5 * step, 45)}, previous=previous)
        offsets.append(previous[1].x - 5 * step)
    assert max(offsets) - min(offsets) <= 1


def test_noise_at_the_edge_does_not_move_a_mark():
    rng, previous, centres, free = np.random.default_rng(0), None, [], []
    for _ in range(15):
        mask = disc(70, 50, 28) & ~((rng.random((100, 140)) < 0.3) & ~disc(70, 50, 24)) & ~disc(70, 50, 5)
        free.append(place({1: mask})[1].centre)
        previous = place({1: mask}, previous=previous)
        centres.append(previous[1].centre)
    moved = np.abs(np.diff(centres, axis=0)).max()
    assert moved <= 3 < np.abs(np.diff(free, axis=0)).max()


def test_a_mark_leaves_a_place_that_another_instance_takes():
    body = rectangle(20, 20, 120, 80)
    before = place({1: body})
    cover = rectangle(50, 20, 120, 80)
    after = place({1: body & ~cover, 2: cover}, previous=before)
    assert is_good(after[1], body & ~cover, cover) and after[1].centre[0] < 50


def test_a_leader_stays_where_it_was():
    previous, spots = None, []
    for step in range(8):
        previous = place({1: rectangle(40 + 4 * step, 50, 44 + 4 * step, 54)}, previous=previous)
        spots.append((previous[1].x - 4 * step, previous[1].y))
    assert previous[1].leader and len(set(spots)) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_masks_any_sizes(data):
    height, width = (data.draw(st.integers(24, 90)) for _ in range(2))
    masks = {}
    for i in range(1, data.draw(st.integers(1, 6)) + 1):
        x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        new = rectangle(x0, y0, x0 + data.draw(st.integers(1, 60)), y0 + data.draw(st.integers(1, 60)),
                        (height, width))  # fmt: skip
        masks = {k: m & ~new for k, m in masks.items()} | {i: new}
    size = data.draw(st.integers(3, 12)), data.draw(st.integers(3, 12))
    found = from_masks(masks, (height, width))
    anchors = place_marks(found, dict.fromkeys(masks, size))
    again = place_marks(found, dict.fromkeys(masks, size), anchors)
    for result in (anchors, again):
        assert set(result) == set(found.tracker_id.tolist())
        for i, a in result.items():
            x, y = a.leader or a.centre
            assert masks[i][y, x]
            assert 0 <= a.x <= width - size[0] and 0 <= a.y <= height - size[1]
            others = np.any([m for k, m in masks.items() if k != i] or [np.zeros((height, width), bool)], 0)
            assert a.covers or not (box(a, (height, width)) & others).any()


def test_an_anchor_knows_its_centre_and_window():
    anchor = Anchor(3, 5, 4, 6)
    assert anchor.centre == (5, 8) and anchor.window == (slice(5, 11), slice(3, 7))
