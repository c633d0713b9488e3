"""The measured annotator: what it says can be read off the masks, and the audit agrees."""

import numpy as np
import pytest
from annotation_world import make_clip

from instit_lite.annotation.audit import audit
from instit_lite.annotation.measured import NO_CHANGE, measure_clip, measure_image
from instit_lite.annotation.regions import NAMES, compare_regions, measure_regions, name_colours
from instit_lite.annotation.schema import MEASURED
from instit_lite.errors import MaskMismatch
from instit_lite.marks.detections import from_masks
from instit_lite.scenes.world import COLOURS

SHAPE = (72, 96)


def scene(*steps, colour=(120, 72, 30)):
    """Frames and detections: each step maps a mark id to (x, y, width, height)."""
    frames, detections = [], []
    for boxes in steps:
        frame, masks = np.full((*SHAPE, 3), 200, np.uint8), {}
        for i, (x, y, w, h) in boxes.items():
            masks[i] = np.zeros(SHAPE, bool)
            masks[i][y : y + h, x : x + w] = True
            frame[masks[i]] = colour
        frames.append(frame)
        detections.append(from_masks(masks, SHAPE))
    return np.stack(frames), detections


def test_a_region_is_described_as_measured():
    frames, detections = scene({3: (2, 30, 10, 10)})
    told = measure_image(frames[0], detections[0])
    assert told.instances[0].caption == "a small region, mostly brown, at the left"
    assert told.image_level == "[3] is a small region, mostly brown, at the left."
    assert told.temporal_change is None and told.timestamp == 1


@pytest.mark.parametrize(
    "before, after, words",
    (
        ((20, 20, 12, 12), (50, 20, 12, 12), "[1] moves right."),
        ((50, 20, 12, 12), (20, 20, 12, 12), "[1] moves left."),
        ((20, 40, 12, 12), (20, 10, 12, 12), "[1] moves up."),
        ((20, 10, 12, 12), (20, 40, 12, 12), "[1] moves down."),
        ((20, 20, 12, 12), (16, 16, 20, 20), "[1] covers more of the frame."),
        ((16, 16, 20, 20), (20, 20, 12, 12), "[1] covers less of the frame."),
        ((20, 20, 12, 12), (21, 20, 12, 12), NO_CHANGE),
        (None, (0, 20, 12, 12), "[1] enters at the left edge."),
        (None, (84, 20, 12, 12), "[1] enters at the right edge."),
        (None, (30, 20, 12, 12), "[1] appears."),
        ((30, 60, 12, 12), None, "[1] leaves at the bottom edge."),
        ((30, 0, 12, 12), None, "[1] leaves at the top edge."),
        ((30, 20, 12, 12), None, "[1] disappears."),
    ),
)
def test_a_change_is_told_as_measured(before, after, words):
    frames, detections = scene(*({1: b} if b else {} for b in (before, after)))
    told = measure_clip(frames, detections)
    assert [f.temporal_change for f in told.frames] == [None, words]
    assert audit(told, detections, SHAPE) == []


@pytest.mark.parametrize("seed", range(6))
def test_the_audit_agrees_with_measurements_of_the_micro_world(seed):
    frames, _, detections = make_clip(seed, count=6, side=64, occlusion=0.5, n_things=(3, 5))
    told = measure_clip(frames, detections, timestamps=np.arange(6) * 0.5)
    assert audit(told, detections, frames.shape[1:]) == []
    assert told.annotator == told.model == MEASURED
    assert 6 <= len(told.question_answer_pairs) <= 12
    questions = [p.question for p in told.question_answer_pairs]
    assert len(set(questions)) == len(questions)
    assert "[" in told.video_level_caption and "<1>" in told.video_level_caption


def test_about_ten_pairs_where_there_is_enough_to_measure():
    frames, detections = scene(
        {1: (2, 2, 12, 12), 2: (60, 40, 20, 20)},
        {1: (30, 2, 12, 12), 2: (60, 40, 20, 20)},
        {1: (60, 2, 12, 12)},
    )
    told = measure_clip(frames, detections, timestamps=[0.0, 0.5, 1.25])
    pairs = {p.question: p.answer for p in told.question_answer_pairs}
    assert 9 <= len(pairs) <= 12
    assert pairs["Which way has the middle of [1] moved between <1> and <3>?"] == (
        "[1] has moved right, from the top left to the top right."
    )
    assert pairs["When does [2] go out of view?"] == "[2] does so at <3> (1.2 s)."
    assert pairs["Which marks are visible at <1>?"] == "[1] [2] are visible at <1> (0.0 s)."
    assert pairs["Which marked region is the largest at <1>?"] == "[2] is the largest."


@pytest.mark.parametrize("name", COLOURS)
def test_the_micro_worlds_colours_get_their_names(name):
    assert NAMES[name_colours(np.uint8([COLOURS[name]]))[0]] == name


@pytest.mark.parametrize(
    "rgb, name",
    (
        ((0, 0, 0), "black"), ((255, 255, 255), "white"), ((128, 128, 128), "grey"),
        ((255, 140, 0), "orange"), ((255, 105, 180), "pink"), ((101, 67, 33), "brown"),
        ((34, 60, 25), "green"), ((20, 20, 70), "blue"),
    ),
)  # fmt: skip
def test_plain_colours_get_their_names(rgb, name):
    assert NAMES[name_colours(np.uint8([rgb]))[0]] == name


def test_two_colours_are_told_where_none_is_most():
    frames, detections = scene({1: (10, 10, 30, 30)})
    frames[0, 10:20, 10:40] = (255, 0, 0)
    frames[0, 20:28, 10:40] = (0, 0, 255)
    region = measure_regions(detections[0], frames[0])[1]
    assert region.colours == ("brown", "red")


def test_frames_without_instances_are_told_as_such():
    frames, detections = scene({}, {})
    told = measure_clip(frames, detections)
    assert told.frames[0].image_level == "There is no marked region."
    assert told.question_answer_pairs == [] and NO_CHANGE in told.video_level_caption


def test_masks_that_do_not_fit_are_refused():
    frames, detections = scene({1: (2, 2, 9, 9)}, {1: (2, 2, 9, 9)})
    with pytest.raises(MaskMismatch, match="1 frames"):
        measure_clip(frames, detections[:1])
    with pytest.raises(MaskMismatch, match="pixels"):
        measure_image(frames[0, :40], detections[0])


def test_nothing_changes_between_equal_regions():
    _, detections = scene({1: (2, 2, 9, 9)})
    found = measure_regions(detections[0])
    assert compare_regions(found, found) == [] and found[1].colours == ()
