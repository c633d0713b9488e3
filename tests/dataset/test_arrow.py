"""Arrow: lossless there and back, typed errors, nothing half-written."""

import json

import annotated
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instit_lite.dataset.arrow import from_arrow, to_arrow
from instit_lite.dataset.records import image_record, video_record
from instit_lite.errors import RecordError


@settings(deadline=None, max_examples=10)
@given(st.lists(annotated.clips(), max_size=3))
def test_video_records_survive_arrow(tmp_path_factory, clips):
    records = [video_record(i, f"videos_vpt/{i}", clip) for i, clip in enumerate(clips)]
    folder = to_arrow(records, tmp_path_factory.mktemp("arrow") / "videos")
    assert json.dumps(from_arrow(folder)) == json.dumps(records), "ids, order and None are kept"


@settings(deadline=None, max_examples=5)
@given(st.lists(annotated.frames(1, first=True), min_size=1, max_size=3))
def test_image_records_survive_arrow(tmp_path_factory, frames):
    records = [image_record(i, f"images_vpt/{i}.jpg", frame) for i, frame in enumerate(frames)]
    folder = to_arrow(records, tmp_path_factory.mktemp("arrow") / "images")
    assert json.dumps(from_arrow(folder)) == json.dumps(records)


def test_no_field_is_invented_for_an_id(tmp_path):
    from datasets import load_from_disk

    record = video_record(1, "v", annotated.two_frames())
    rows = load_from_disk(str(to_arrow([record], tmp_path / "out")))
    assert rows[0]["frame_level_caption"][1]["instance_level"] == [{"id": 2, "caption": "a large blue star"}]


def test_a_dataset_is_replaced_and_anything_else_is_left_alone(tmp_path):
    record = video_record(1, "v", annotated.two_frames())
    folder = to_arrow([record, record], tmp_path / "out")
    assert from_arrow(to_arrow([record], folder)) == [record]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(RecordError, match="something else"):
        to_arrow([record], tmp_path / "notes")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes", "out"]


def test_mixed_kinds_and_bad_records_write_nothing(tmp_path):
    video = video_record(1, "v", annotated.two_frames())
    picture = image_record(1, "i.jpg", annotated.frame(1, {}, "x."))
    with pytest.raises(RecordError, match="two folders"):
        to_arrow([video, picture], tmp_path / "out")
    with pytest.raises(RecordError, match="video_path: is missing"):
        to_arrow([{k: v for k, v in video.items() if k != "video_path"}], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_damaged_folder_is_one_typed_error(tmp_path):
    with pytest.raises(RecordError, match="not a dataset folder"):
        from_arrow(tmp_path / "nowhere")
    folder = to_arrow([video_record(1, "v", annotated.two_frames())], tmp_path / "out")
    (data,) = folder.glob("*.arrow")
    data.write_bytes(data.read_bytes()[:40])
    with pytest.raises(RecordError, match="cannot be read"):
        from_arrow(folder)
