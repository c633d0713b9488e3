"""Marks as drawn: the published styles' numbers, legible digits, nothing touched elsewhere, errors typed."""

import time

import numpy as np
import pytest
from PIL import Image

from instit_lite.errors import InstitError, MaskMismatch
from instit_lite.marks.detections import from_masks
from instit_lite.marks.draw import draw_marks, mark_clip
from instit_lite.marks.style import STYLES, box_size, cap_height, get_style, glyphs, id_colour
from instit_lite.scenes.general import stamp

HD = (720, 1280)


def blob(x, y, r, shape=HD):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(columns - x, rows - y) < r


def grey(shape=HD, value=75):
    return np.full((*shape, 3), value, np.uint8)


def test_video_style_has_the_published_numbers():
    masks = {1: blob(400, 300, 120), 12: blob(800, 300, 120)}
    marked, anchors = draw_marks(grey(), from_masks(masks, HD), "video")
    assert (anchors[1].width, anchors[1].height) == (20, 23)
    assert tuple(marked[anchors[1].y, anchors[1].x]) == (210,) * 3  # 75 under white at alpha 0.75
    ink = np.flatnonzero((marked[anchors[1].window][..., 0] < 60).any(1))
    assert ink[-1] - ink[0] + 1 == pytest.approx(18, abs=1)
    assert round(cap_height(STYLES["video"], (424, 640))) == 12
    assert anchors[12].width > 30
    changed = (marked != 75).any(2)
    changed[anchors[1].window] = changed[anchors[12].window] = False
    edge = marked[changed]
    assert 500 < len(edge) < 2000 and edge.max() < 75 + 0.21 * 255 and edge.min() > 75
    assert not changed[300, 400 - 80]  # no fill


def test_image_style_has_the_published_numbers():
    shape = (640, 960)
    masks = {1: blob(300, 300, 120, shape), 12: blob(650, 300, 120, shape)}
    marked, anchors = draw_marks(grey(shape, 100), from_masks(masks, shape), "image")
    assert (anchors[1].width, anchors[1].height) == pytest.approx((18, 26), abs=1)
    assert (anchors[12].width, anchors[12].height) == pytest.approx((34, 26), abs=1)
    corner = marked[anchors[1].y, anchors[1].x].astype(int).tolist()
    assert corner == pytest.approx([20] * 3, abs=4)  # tinted 100 under black at alpha 0.8
    assert marked[anchors[1].window].max() == 255
    assert tuple(marked[300, 181]) == id_colour(STYLES["image"], 1)
    assert 0 < np.abs(marked[300, 240].astype(int) - 100).max() < 20


@pytest.mark.parametrize("side", [64, 128, 384])
def test_micro_style_looks_like_a_stamped_number(side):
    mask = blob(side / 2, side / 2, side * 0.4, (side, side))
    marked, anchors = draw_marks(grey((side, side), 120), from_masks({7: mask}, (side, side)), "micro")
    x, y = (anchors[7].x + anchors[7].width / 2) / side, (anchors[7].y + anchors[7].height / 2) / side
    printed = Image.fromarray(grey((side, side), 120))

    class Middling:
        def uniform(self, low, high):
            return {0.1: 0.11, 170: 235}[low]

        def random(self):
            return 0.0

    stamp(printed, 7, x, y, Middling())
    ours, theirs = (np.asarray(p).astype(int).mean(2) for p in (marked, printed))
    dark = [np.argwhere(p < 60) for p in (ours, theirs)]
    assert dark[0].mean(0) == pytest.approx(dark[1].mean(0), abs=max(1, side / 100))
    assert len(dark[0]) == pytest.approx(len(dark[1]), rel=0.25, abs=2)
    assert abs((ours > 200).sum() - (theirs > 200).sum()) < 0.3 * (theirs > 200).sum()


@pytest.mark.parametrize("style", STYLES)
def test_every_digit_differs_and_fits(style):
    shape = (384, 384)
    seen = {glyphs(STYLES[style], str(i), shape).tobytes() for i in range(1, 10)}
    assert len(seen) == 9
    for text in ("1", "88", "999"):
        ink = glyphs(STYLES[style], text, shape)
        assert ink.shape[::-1] == box_size(STYLES[style], text, shape)
        assert not (ink[0].any() or ink[-1].any()) and ink.max() > 200


def test_only_instances_and_marks_are_touched():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (200, 300, 3)).astype(np.uint8)
    mask = blob(100, 100, 50, (200, 300))
    for style in STYLES:
        before = frame.copy()
        marked, anchors = draw_marks(frame, from_masks({3: mask}, (200, 300)), style)
        allowed = mask.copy()
        allowed[anchors[3].window] = True
        assert (frame == before).all()
        assert (marked[~allowed] == frame[~allowed]).all() and (marked != frame).any()


def test_a_leader_reaches_its_instance():
    tiny = blob(400, 300, 4)
    marked, anchors = draw_marks(grey(), from_masks({1: tiny}, HD), "video")
    x, y = anchors[1].leader
    assert tiny[y, x] and tuple(marked[y, x]) == (255, 255, 255)


def test_a_clip_keeps_ids_steady_and_colours_constant():
    frames = np.stack([grey((240, 320))] * 6)
    found = [from_masks({2: blob(60 + 10 * t, 120, 40, (240, 320))}, (240, 320)) for t in range(6)]
    marked = mark_clip(frames, found)
    assert marked.shape == frames.shape and marked.dtype == np.uint8
    shifted = [marked[t][:, 10 * t : 10 * t + 120].astype(int) for t in range(6)]
    assert all(np.abs(s - shifted[0]).max() <= 1 for s in shifted[1:])


def test_frames_without_instances_come_back_as_they_are():
    frame = grey((60, 80))
    none = from_masks({}, (60, 80))
    marked, anchors = draw_marks(frame, none)
    assert (marked == frame).all() and anchors == {} and marked is not frame
    found = from_masks({1: blob(40, 30, 20, (60, 80))}, (60, 80))
    assert mark_clip(np.stack([frame] * 3), [none, found, none]).shape == (3, 60, 80, 3)


@pytest.mark.parametrize("shape", [(8, 8), (16, 40), (33, 17)])
@pytest.mark.parametrize("style", STYLES)
def test_tiny_frames_are_survived(shape, style):
    mask = np.zeros(shape, bool)
    mask[2:6, 2:6] = True
    marked, anchors = draw_marks(grey(shape), from_masks({999: mask}, shape), style)
    assert marked.shape == (*shape, 3)
    assert anchors[999].x >= 0 and anchors[999].x + anchors[999].width <= shape[1]


def test_what_does_not_fit_is_refused():
    found = from_masks({1: blob(40, 30, 20, (60, 80))}, (60, 80))
    with pytest.raises(InstitError, match="no mark style"):
        get_style("loud")
    with pytest.raises(MaskMismatch, match="float64"):
        draw_marks(np.zeros((60, 80, 3)), found)
    with pytest.raises(MaskMismatch, match="80x60"):
        draw_marks(grey((64, 64)), found)
    with pytest.raises(MaskMismatch, match="2 frames"):
        mark_clip(np.stack([grey((60, 80))] * 3), [found, found])


def test_hd_frames_are_fast():
    masks, shape = {}, HD
    for i in range(10):
        masks[i + 1] = blob(130 + 250 * (i % 5), 180 + 330 * (i // 5), 110 + 2 * i, shape)
    found, frame, spent = from_masks(masks, shape), grey(), []
    for _ in range(12):
        start = time.process_time()
        draw_marks(frame, found)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.03  # far above the 10 ms that benchmarks/marks.py measures on a quiet core
