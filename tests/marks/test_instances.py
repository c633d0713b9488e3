"""Sources of instances: every id and every pixel as the source has it, or a typed error."""

import json

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from instit_lite.errors import InstitError, MaskMismatch, NoInstances, UnreadableInput
from instit_lite.marks.clip import Clip
from instit_lite.marks.coco import fill_polygon, from_coco, from_youtube_vis
from instit_lite.marks.detections import check_instances, from_masks
from instit_lite.marks.instances import from_boxes, from_palette_png, from_scene
from instit_lite.marks.reader import read_clip
from instit_lite.scenes.facts import scene_facts
from instit_lite.scenes.render import render
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.video import film

SHAPE = (12, 16)  # height, width


def box_of_ones(y0, y1, x0, x1):
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


FIRST, SECOND = box_of_ones(2, 6, 3, 9), box_of_ones(7, 11, 10, 15)


def plain(mask):
    return {"size": list(mask.shape), "counts": sv.mask_to_rle(mask, compressed=False)}


def packed(mask):
    return {"size": list(mask.shape), "counts": sv.mask_to_rle(mask, compressed=True)}


def save(path, table):
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    return path


def coco(*annotations):
    images = [
        {"id": 7, "file_name": "a.jpg", "height": 12, "width": 16}, {"id": 8, "file_name": "b.jpg"}
    ]
    return {
        "images": images,
        "annotations": [{"image_id": 7, **a} for a in annotations],
        "categories": [],
    }


def vis(*annotations, length=3):
    videos = [{"id": 1, "length": length, "height": 12, "width": 16}]
    return {"videos": videos, "annotations": [{"video_id": 1, **a} for a in annotations]}


# scenes


def test_a_filmed_scene_gives_its_own_truth(tmp_path):
    scene = sample_scene(3)
    clip = read_clip(film(scene, tmp_path / "a.mp4", n_native=32, side=64), max_frames=4)
    found = from_scene(scene, clip)
    check_instances(found, clip.frames)
    assert clip.clock.tolist() == [(i + 0.5) / 32 for i in clip.indices]
    order = [t.mark_id for t in scene.things]
    for u, facts, frame in zip(clip.clock, scene_facts(scene, clip.clock), found):
        assert frame.tracker_id.tolist() == [f.mark_id for f in facts.instances]
        masks = render(scene, u, 64)[1]
        assert all(
            (m == masks[order.index(i)]).all() for i, m in zip(frame.tracker_id, frame.mask)
        )


def test_a_scene_picture_takes_its_own_clock():
    scene, frames = sample_scene(5), np.zeros((1, 64, 64, 3), np.uint8)
    clip = Clip(frames, np.zeros(1), np.zeros(1, int), 1, 0.0, "picture")
    assert from_scene(scene, clip, clock=[0.2])[0].tracker_id is not None
    wide = Clip(np.zeros((1, 64, 80, 3), np.uint8), np.zeros(1), np.zeros(1, int), 1, 0.0, "wide")
    with pytest.raises(MaskMismatch, match="80x64"):
        from_scene(scene, wide)


# palette PNGs


def save_ids(path, values, mode="P"):
    picture = Image.fromarray(values)
    if mode == "P":
        picture.putpalette(np.random.default_rng(0).bytes(768))
    picture.save(path)


def test_palette_masks_keep_ids_and_skip_void(tmp_path):
    for t in (1, 2, 10):
        ids = np.zeros(SHAPE, np.uint8)
        ids[FIRST], ids[SECOND], ids[0] = t, 37, 255
        save_ids(tmp_path / f"{t}.png", ids)
    found = from_palette_png(tmp_path, SHAPE, indices=[0, 2])
    assert [f.tracker_id.tolist() for f in found] == [[1, 37], [10, 37]]
    assert (found[1].mask == np.stack([FIRST, SECOND])).all()
    assert found[0].xyxy.tolist() == [[3, 2, 9, 6], [10, 7, 15, 11]]
    with pytest.raises(MaskMismatch, match="frame 4"):
        from_palette_png(tmp_path, SHAPE, indices=[3])


def test_deep_masks_keep_large_ids(tmp_path):
    save_ids(
        tmp_path / "a.png",
        np.where(FIRST, 255, np.where(SECOND, 300, 0)).astype(np.uint16),
        "I;16",
    )
    assert from_palette_png(tmp_path / "a.png")[0].tracker_id.tolist() == [255, 300]


def test_pictures_that_are_no_id_masks_are_refused(tmp_path):
    save_ids(tmp_path / "ok.png", FIRST.astype(np.uint8))
    with pytest.raises(MaskMismatch, match="16x12.*20x10"):
        from_palette_png(tmp_path / "ok.png", (10, 20))
    Image.new("RGB", (16, 12)).save(tmp_path / "colour.png")
    with pytest.raises(MaskMismatch, match="colour picture"):
        from_palette_png(tmp_path / "colour.png", SHAPE)
    Image.new("L", (16, 12), 3).save(tmp_path / "lossy.jpg")
    with pytest.raises(MaskMismatch, match="JPEG"):
        from_palette_png(tmp_path / "lossy.jpg", SHAPE)
    save_ids(tmp_path / "white.png", (FIRST * 255).astype(np.uint8), "L")
    with pytest.raises(NoInstances, match="void"):
        from_palette_png(tmp_path / "white.png", SHAPE)


# COCO


def test_coco_reads_all_three_forms_and_keeps_ids(tmp_path):
    square = [[3, 2, 9, 2, 9, 6, 3, 6]]
    table = coco(
        {"id": 9, "segmentation": packed(SECOND)},
        {"id": 4, "segmentation": plain(FIRST), "iscrowd": 1},
        {"id": 2, "segmentation": square},
    )
    path = save(tmp_path / "a.json", "\ufeff" + json.dumps(table))
    for image in (7, "a.jpg"):
        (found,) = from_coco(path, image, SHAPE)
        assert found.tracker_id.tolist() == [2, 4, 9]
        assert (found.mask == np.stack([FIRST, FIRST, SECOND])).all()
    assert len(from_coco(path, 8, SHAPE)[0]) == 0


def test_large_ids_are_renumbered_only_on_request(tmp_path):
    path = save(tmp_path / "a.json", coco({"id": 90210, "segmentation": plain(FIRST)}))
    with pytest.raises(MaskMismatch, match="90210"):
        from_coco(path, 7, SHAPE)
    assert from_coco(path, 7, SHAPE, renumber=True)[0].tracker_id.tolist() == [1]


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [12, 16], "counts": [10, 20]},
        {"size": [12, 16], "counts": [-8, 200]},
        {"size": [12, 16], "counts": [192.0]},
        {"size": [12, 16], "counts": packed(FIRST)["counts"][:-1]},
        {"size": [12, 16], "counts": [2**40]},
        {"size": [12, 16]},
        [[1, 1, 4, 4]],
        [[1, 1, 4, 4, 5]],
        [["a", 1, 4, 4, 5, 6]],
        [],
        None,
        "text",
    ],
)
def test_damaged_segmentations_are_refused(tmp_path, segmentation):
    path = save(tmp_path / "a.json", coco({"id": 1, "segmentation": segmentation}))
    with pytest.raises(MaskMismatch, match="instance 1 is damaged") as caught:
        from_coco(path, 7, SHAPE)
    assert caught.value.path == str(path) and caught.value.cure


def test_a_mask_of_another_size_names_both(tmp_path):
    path = save(tmp_path / "a.json", coco({"id": 1, "segmentation": plain(np.ones((8, 9), bool))}))
    with pytest.raises(MaskMismatch, match="9x8.*16x12"):
        from_coco(path, 7, SHAPE)
    with pytest.raises(MaskMismatch, match="16x12.*32x24"):
        from_coco(path, 7, (24, 32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [', "line 1"),
        ('{"images": [],}', "line 1"),
        ("[1, 2]", "not an object"),
        ('{"images": 3}', "no list"),
        ('{"images": [], "annotations": []}', "0 images"),
        ("[" * 100_000, "not usable"),
    ],
)
def test_json_that_is_not_whole_is_refused(tmp_path, text, words):
    path = save(tmp_path / "a.json", text)
    with pytest.raises(UnreadableInput, match=words) as caught:
        from_coco(path, 7, SHAPE)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("ids", [(1, 1), ("1", 2), (None, 2), (0, 2), (True, 2), (1.0, 2)])
def test_ids_that_cannot_be_marks_are_refused(tmp_path, ids):
    path = save(tmp_path / "a.json", coco(*({"id": i, "segmentation": plain(FIRST)} for i in ids)))
    with pytest.raises(MaskMismatch, match="instance id"):
        from_coco(path, 7, SHAPE)


@given(st.integers(3, 9), st.floats(0, 6.28), st.floats(4, 8), st.floats(5, 11))
def test_polygons_cover_the_pixels_whose_centres_they_hold(corners, turn, y, x):
    angles = turn + np.arange(corners) * 2 * np.pi / corners
    points = np.stack([x + 4.3 * np.cos(angles), y + 4.3 * np.sin(angles)], 1)
    centres = np.stack(np.meshgrid(np.arange(16) + 0.5, np.arange(12) + 0.5), -1)[:, :, None]
    edges = np.roll(points, -1, 0) - points
    cross = edges[:, 0] * (centres - points)[..., 1] - edges[:, 1] * (centres - points)[..., 0]
    clear = np.abs(cross).min(-1) > 1e-6
    assert (fill_polygon(points, SHAPE) == (cross > 0).all(-1))[clear].all()


# YouTube-VIS


def test_null_means_absent(tmp_path):
    path = save(
        tmp_path / "a.json",
        vis(
            {"id": 5, "segmentations": [plain(FIRST), None, packed(FIRST)]},
            {"id": 3, "segmentations": [None, None, plain(SECOND)]},
        ),
    )
    found = from_youtube_vis(path, 1, SHAPE)
    assert [f.tracker_id.tolist() for f in found] == [[5], [], [3, 5]]
    assert (found[2].mask == np.stack([SECOND, FIRST])).all()
    check_instances(found, np.zeros((3, *SHAPE, 3), np.uint8))
    assert [len(f) for f in from_youtube_vis(path, None, SHAPE, indices=[2, 1])] == [2, 0]
    renumbered = from_youtube_vis(path, 1, SHAPE, renumber=True)
    assert [f.tracker_id.tolist() for f in renumbered] == [[1], [], [1, 2]]


def test_too_few_segmentations_are_refused(tmp_path):
    path = save(tmp_path / "a.json", vis({"id": 5, "segmentations": [None, plain(FIRST)]}))
    with pytest.raises(UnreadableInput, match="3 frames"):
        from_youtube_vis(path, 1, SHAPE)
    with pytest.raises(MaskMismatch, match="frame 9"):
        from_youtube_vis(save(path, vis()), 1, SHAPE, indices=[8])


# boxes


def test_boxes_become_rectangles(tmp_path):
    table = {
        "boxes": [{"id": 2, "xyxy": [10, 7, 15, 11]}, {"id": 1, "xyxy": [3.2, 2.4, 8.5, 5.9]}]
    }
    for source in (table, save(tmp_path / "a.json", table)):
        (found,) = from_boxes(source, SHAPE)
        assert found.tracker_id.tolist() == [1, 2]
        assert (found.mask == np.stack([FIRST, SECOND])).all()
    clip = {"frames": [[], table["boxes"], table["boxes"][:1]]}
    assert [len(f) for f in from_boxes(clip, SHAPE)] == [0, 2, 1]
    assert [len(f) for f in from_boxes(clip, SHAPE, indices=[1])] == [2]


def test_boxes_are_clipped_with_a_warning():
    with pytest.warns(UserWarning, match="clipped"):
        (found,) = from_boxes({"boxes": [{"id": 1, "xyxy": [-5, 8, 4, 99]}]}, SHAPE)
    assert found.xyxy.tolist() == [[0, 8, 4, 12]]


@pytest.mark.parametrize(
    "xyxy",
    [[20, 1, 30, 5], [5, 5, 3, 9], [1, 1, 1, 5], [1, 2, 3], [float("nan"), 1, 4, 5], "box", None],
)
def test_boxes_that_cover_nothing_are_refused(xyxy):
    with pytest.raises(MaskMismatch, match="box 4"):
        from_boxes({"boxes": [{"id": 4, "xyxy": xyxy}]}, SHAPE)


@pytest.mark.parametrize(
    "table", [{}, {"boxes": 3}, {"frames": [{"id": 1}]}, {"boxes": [{"id": 1}]}, {"boxes": [5]}]
)
def test_other_tables_are_refused(tmp_path, table):
    with pytest.raises(UnreadableInput):
        from_boxes(save(tmp_path / "a.json", table), SHAPE)


# the check before drawing


def test_what_does_not_fit_is_refused():
    frames = np.zeros((2, *SHAPE, 3), np.uint8)
    good, none = from_masks({1: FIRST, 2: SECOND}, SHAPE), from_masks({}, SHAPE)
    check_instances([good, none], frames)
    twins = from_masks({1: FIRST, 2: SECOND}, SHAPE)
    twins.tracker_id = np.array([2, 2])
    bare = sv.Detections(xyxy=good.xyxy, mask=good.mask)
    boxes = sv.Detections(xyxy=good.xyxy, tracker_id=good.tracker_id)
    wrong = from_masks({1: np.ones((5, 6), bool)}, (5, 6))
    for bad, words in [
        ([good], "1 frames"),
        ([good, twins], "frame <2>.*twice"),
        ([bare, good], "no mark ids"),
        ([good, boxes], "no masks"),
        ([wrong, good], "6x5.*16x12"),
        ([from_masks({0: FIRST}, SHAPE), good], "cannot be a mark"),
    ]:
        with pytest.raises(MaskMismatch, match=words):
            check_instances(bad, frames)
    with pytest.raises(NoInstances):
        check_instances([none, none], frames)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2), min_size=192, max_size=192))
def test_run_lengths_round_trip(tmp_path_factory, values):
    ids = np.array(values).reshape(SHAPE)
    path = tmp_path_factory.mktemp("rle") / "a.json"
    save(
        path,
        coco(
            *({"id": i, "segmentation": form(ids == i)} for i, form in ((1, plain), (2, packed)))
        ),
    )
    (found,) = from_coco(path, 7, SHAPE)
    for i, mask in zip(found.tracker_id, found.mask):
        assert (mask == (ids == i)).all()
    assert set(found.tracker_id) == set(np.unique(ids)) - {0}


def test_every_refusal_is_one_family():
    for kind in (UnreadableInput, MaskMismatch, NoInstances):
        assert issubclass(kind, InstitError)
