"""The audit: silent on exact annotations, and every kind of slip is found."""

import numpy as np
import pytest
from annotation_world import know, make_clip

from instit_lite.annotation.audit import KINDS, audit
from instit_lite.annotation.claims_in_text import change_claims, ids_said_present, place_claims
from instit_lite.annotation.client import Client
from instit_lite.annotation.equations import annotate_clip
from instit_lite.annotation.schema import ClipAnnotation, FrameAnnotation, InstanceCaption, QAPair
from instit_lite.annotation.server import simulated_server
from instit_lite.annotation.simulated import ErrorModel
from instit_lite.errors import MaskMismatch
from instit_lite.marks.detections import from_masks

SHAPE = (60, 90)


def annotate(frames, facts, errors=ErrorModel(), seed=0):
    with simulated_server(seed, errors) as server:
        know(server, frames, facts)
        return annotate_clip(Client.connect(server.base_url), frames)


@pytest.mark.parametrize(
    "knobs", ({}, {"occlusion": 0.7, "n_things": (3, 5)}, {"crowding": 0.6, "n_things": (3, 5), "size": 1.3})
)
def test_exact_annotations_have_no_findings(knobs):
    for seed in range(4):
        frames, facts, detections = make_clip(seed, count=6, side=48, **knobs)
        assert audit(annotate(frames, facts), detections, frames.shape[1:]) == []


@pytest.mark.parametrize(
    "errors, kinds",
    (
        (ErrorModel(wrong_id=0.4), {"unknown id", "left out"}),
        (ErrorModel(drop_instance=0.4), {"left out"}),
        (ErrorModel(miss_change=0.7), {"missed change"}),
        (ErrorModel(swap_attribute=0.9), {"place"}),
    ),
)
def test_injected_errors_are_found(errors, kinds):
    found = set()
    for seed in range(3):
        frames, facts, detections = make_clip(seed, side=48)
        found |= {f.kind for f in audit(annotate(frames, facts, errors), detections, frames.shape[1:])}
    assert kinds <= found


def test_every_dropped_instance_and_every_unknown_id_is_found():
    frames, facts, detections = make_clip(2, side=64)
    told = annotate(frames, facts, ErrorModel(drop_instance=0.5))
    missing = {(t, int(i)) for t, d in enumerate(detections, 1) for i in d.tracker_id} - {
        (f.timestamp, i.id) for f in told.frames for i in f.instances
    }
    findings = audit(told, detections, frames.shape[1:])
    assert missing and {(f.timestamp, f.mark_id) for f in findings if f.kind == "left out"} == missing


def box(x, y, w=12, h=12):
    mask = np.zeros(SHAPE, bool)
    mask[y : y + h, x : x + w] = True
    return mask


def story(**changed):
    """Two frames: [1] moves right at the top, [2] leaves from the bottom right; true unless changed."""
    first = FrameAnnotation(
        timestamp=1, frame_name="1.jpg",
        instances=[InstanceCaption(id=1, caption="a cup"), InstanceCaption(id=2, caption="a dog")],
        image_level="[1] stands at the top left. [2] sits at the bottom right.", temporal_change=None,
    )  # fmt: skip
    second = FrameAnnotation(
        timestamp=2, frame_name="2.jpg", instances=[InstanceCaption(id=1, caption="a cup")],
        image_level="[1] is at the top. [2] is no longer visible.",
        temporal_change="[1] slowly moves to the right. [2] has left the frame.",
    )  # fmt: skip
    one, two = changed.pop("first", {}), changed.pop("second", {})
    frames = [first.model_copy(update=one), second.model_copy(update=two)]
    base = ClipAnnotation(
        frames=frames, video_level_caption="At <1> [1] and [2] are there; during <1>-<2> [2] leaves.",
        question_answer_pairs=[QAPair(question="When does [2] leave?", answer="At <2>.")],
        annotator="a", model="m",
    )  # fmt: skip
    return base.model_copy(update=changed)


MASKS = [
    from_masks({1: box(4, 4), 2: box(76, 46)}, SHAPE),
    from_masks({1: box(36, 4)}, SHAPE),
]


def kinds_of(annotation):
    return [f.kind for f in audit(annotation, MASKS, SHAPE)]


def test_a_true_story_in_free_words_has_no_findings():
    assert kinds_of(story()) == []


@pytest.mark.parametrize(
    "changed, kind",
    (
        ({"frames": []}, "frame count"),
        ({"second": {"timestamp": 3}}, "timestamp"),
        ({"second": {"timestamp": 0}}, "timestamp"),
        ({"video_level_caption": "At <3> it ends."}, "timestamp"),
        ({"video_level_caption": "During <2>-<1> [1] moves."}, "timestamp"),
        ({"video_level_caption": "[7] runs."}, "unknown id"),
        ({"question_answer_pairs": [QAPair(question="Who is [3]?", answer="A man.")]}, "unknown id"),
        ({"question_answer_pairs": [QAPair(question="What is at <0>?", answer="Nothing.")]}, "timestamp"),
        ({"first": {"image_level": "[1] is near [5]."}}, "unknown id"),
        ({"second": {"image_level": "[1] plays with [2]."}}, "not visible"),
        ({"second": {"instances": []}}, "left out"),
        ({"first": {"temporal_change": "nothing changes."}}, "first change"),
        ({"second": {"temporal_change": None}}, "no change text"),
        ({"second": {"temporal_change": "[1] moves left. [2] leaves."}}, "motion"),
        ({"second": {"temporal_change": "[1] is walking towards the left. [2] leaves."}}, "motion"),
        ({"second": {"temporal_change": "[1] moves down. [2] leaves."}}, "motion"),
        ({"second": {"temporal_change": "[1] enters. [2] leaves."}}, "coming"),
        ({"second": {"temporal_change": "[1] exits. [2] leaves."}}, "going"),
        ({"second": {"temporal_change": "[1] moves right."}}, "missed change"),
        ({"second": {"temporal_change": "[2] leaves."}}, "missed change"),
        ({"first": {"image_level": "[1] is at the bottom left. [2] sits."}}, "place"),
        ({"first": {"image_level": "[2] is on the left. [1] stands."}}, "place"),
    ),
)
def test_a_slip_is_found_and_nothing_else(changed, kind):
    assert set(kinds_of(story(**changed))) == {kind}
    assert kind in KINDS


@pytest.mark.parametrize(
    "level",
    (
        "[2] is on the left of [1].",
        "[2] lifts its left hand.",
        "[2] is at the left edge.",
        "[1] is in the centre.",
    ),
)
def test_words_that_claim_no_place_are_left_alone(level):
    assert kinds_of(story(first={"image_level": level})) == []


def test_a_finding_says_where_and_who():
    finding = audit(story(second={"temporal_change": "[1] moves left. [2] leaves."}), MASKS, SHAPE)[0]
    assert (finding.timestamp, finding.mark_id) == (2, 1)
    assert str(finding).startswith("<2> [1] motion: ")


def test_masks_of_another_size_are_refused():
    with pytest.raises(MaskMismatch, match="90x60"):
        audit(story(), MASKS, (100, 100, 3))


def test_an_annotation_of_frames_without_instances_is_checked_too():
    empty = [from_masks({}, SHAPE), from_masks({}, SHAPE)]
    assert {f.kind for f in audit(story(), empty, SHAPE)} >= {"unknown id"}


@pytest.mark.parametrize(
    "text, kinds",
    (
        ("[1] has started running to the right.", ["moves"]),
        ("[1] moves to the left of [2].", []),
        ("[2] watches as [1] drifts upward.", ["moves"]),
        ("[1] turns to the left.", []),
        ("[1] comes out.", ["comes"]),
        ("[3] appears.", ["comes"]),
        ("[1] goes behind.", ["goes"]),
        ("[1] leaves the cup on the table.", []),
        ("the camera moves right.", []),
    ),
)
def test_claims_of_change_are_read(text, kinds):
    assert [c.kind for c in change_claims(text)] == kinds


def test_places_and_presence_are_read():
    claims = place_claims("[4] waits at the top left. [1] and [2] are at the right.")
    assert [(c.mark_id, c.detail) for c in claims] == [(4, "top left")]
    assert ids_said_present("[1] runs; [2] is out of view. [3] sits.") == [1, 3]
