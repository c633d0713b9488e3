"""The motion tracker: on filmed scenes with known truth, where nothing moves, and on real footage if it is
there."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from instit_lite.errors import NoInstances, UnreadableInput
from instit_lite.marks.detections import check_instances
from instit_lite.marks.instances import from_scene
from instit_lite.marks.tracker import track
from instit_lite.scenes.video import film, write_mp4
from instit_lite.scenes.world import Background, Key, Scene, Thing

DATA = Path(__file__).parents[3] / "shared" / "data"
GREY = Background("clouds", (120, 125, 118), (160, 150, 155), 0.4, 3.0)


def scene(*things):
    return Scene(7, tuple(Thing(*thing, depth=i) for i, thing in enumerate(things)), GREY)


APART = scene(
    (1, "circle", "red", "small", (Key(0, 0.15, 0.25), Key(1, 0.85, 0.25))),
    (2, "square", "blue", "large", (Key(0, 0.8, 0.7), Key(1, 0.2, 0.7))),
)
CROSSING = scene(
    (1, "circle", "yellow", "small", (Key(0, 0.12, 0.5), Key(1, 0.88, 0.55))),
    (2, "square", "purple", "large", (Key(0, 0.85, 0.5), Key(1, 0.15, 0.5))),
)


def follow(path, script, n_native=48):
    """Film and track; for each frame, the tracked id and overlap that belong to each true id."""
    clip, found = track(film(script, path, n_native, side=160, fps=24), max_frames=16)
    check_instances(found, clip.frames)
    rows = []
    for truth, seen in zip(from_scene(script, clip), found):
        row = {}
        for mask, true_id in zip(truth.mask, truth.tracker_id):
            ious = [(mask & m).sum() / (mask | m).sum() for m in seen.mask]
            row[int(true_id)] = (int(seen.tracker_id[np.argmax(ious)]), max(ious)) if ious else (0, 0)
        rows.append(row)
    return found, rows


def test_things_apart_keep_their_ids_and_outlines(tmp_path):
    found, rows = follow(tmp_path / "apart.mp4", APART)
    for true_id, tracked in ((1, 2), (2, 1)):  # the larger is number 1
        assert {row[true_id][0] for row in rows} == {tracked}
        assert np.median([row[true_id][1] for row in rows]) > 0.8
    assert all(set(seen.tracker_id.tolist()) == {1, 2} for seen in found)


def test_ids_survive_a_crossing(tmp_path):
    found, rows = follow(tmp_path / "crossing.mp4", CROSSING)
    for true_id, tracked in ((1, 2), (2, 1)):
        ids = [row[true_id][0] for row in rows if row[true_id][1] > 0.5]
        assert set(ids) == {tracked} and len(ids) >= 0.8 * len(rows)
    assert all((seen.mask.sum(0) <= 1).all() for seen in found)  # no pixel belongs to two


def test_a_still_thing_is_not_an_instance(tmp_path):
    still = (3, "star", "green", "large", (Key(0, 0.5, 0.5),))
    mover = (1, "circle", "red", "small", (Key(0, 0.15, 0.2), Key(1, 0.85, 0.2)))
    found, rows = follow(tmp_path / "still.mp4", scene(mover, still))
    assert {i for seen in found for i in seen.tracker_id} == {1}
    assert all(row[3][1] < 0.1 < 0.5 < row[1][1] for row in rows)


def test_at_most_so_many_instances_as_asked(tmp_path):
    _, found = track(film(APART, tmp_path / "clip.mp4", 32, side=128), 8, max_instances=1)
    assert {i for seen in found for i in seen.tracker_id} == {1} and len(found) == 8


@pytest.mark.parametrize("grain", [0, 4])
def test_nothing_moves(tmp_path, grain):
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 200, (12, 12, 3)).repeat(8, 0).repeat(8, 1)
    shots = [np.clip(ground + rng.normal(0, grain, ground.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    with pytest.raises(NoInstances, match=r"still\.mp4: nothing moves.*Cure: "):
        track(write_mp4(tmp_path / "still.mp4", shots))


def test_a_single_picture_has_no_motion(tmp_path):
    with pytest.raises(NoInstances, match="too few"):
        track(write_mp4(tmp_path / "one.mp4", [np.zeros((64, 64, 3), np.uint8)]))


@pytest.mark.parametrize(
    "step, reason", [(3, "the camera moves too far"), (8, "most of the picture keeps changing")]
)
def test_a_panning_camera_is_refused(tmp_path, step, reason):
    rng = np.random.default_rng(1)
    wide = ndimage.gaussian_filter(rng.integers(0, 255, (96, 480, 3)).astype(float), (5, 5, 0))
    wide = ((wide - wide.min()) * 255 / np.ptp(wide)).astype(np.uint8)
    shots = [wide[:, step * i : step * i + 128] for i in range(44)]
    with pytest.raises(NoInstances, match=rf"pan\.mp4: {reason}.*Cure: "):
        track(write_mp4(tmp_path / "pan.mp4", shots))


def test_what_cannot_be_read_is_refused_by_the_reader(tmp_path):
    with pytest.raises(UnreadableInput, match="does not exist"):
        track(tmp_path / "none.mp4")


@pytest.mark.skipif(not (DATA / "juggle.mp4").exists(), reason="needs ../shared/data/juggle.mp4")
def test_real_footage_ball_and_man_are_two(tmp_path):
    clip, found = track(DATA / "juggle.mp4")
    both = 0
    for frame, seen in zip(clip.frames, found):
        masks = dict(zip(seen.tracker_id.tolist(), seen.mask))
        if {1, 2} <= set(masks):
            white = np.median(frame[masks[2]], axis=0).min() > 120  # the ball is white, the man is not
            both += white and 8 < masks[1].sum() / masks[2].sum() < 20
    assert both >= 0.8 * len(found)
