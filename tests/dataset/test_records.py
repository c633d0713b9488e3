"""Records: key-exact, lossless, mended aloud, refused with a name."""

import copy
import json
import re

import annotated
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instit_lite.dataset.records import (
    image_record, load_records, read_image_record, read_video_record, save_records, validate, video_record,
)  # fmt: skip
from instit_lite.errors import RecordError


@pytest.fixture
def record():
    return video_record(77, "videos_vpt/000077", annotated.two_frames())


def test_video_record_has_exactly_the_published_keys(record):
    assert record == {
        "video_id": 77,
        "video_path": "videos_vpt/000077",
        "frame_level_caption": [
            {"timestamp": 1, "frame_name": "00001.jpg",
             "instance_level": {"1": "a small red circle", "2": "a large blue star"},
             "image_level": "[1] is at the left of [2].", "temporal_change": None},
            {"timestamp": 2, "frame_name": "00002.jpg", "instance_level": {"2": "a large blue star"},
             "image_level": "[2] is there.", "temporal_change": "[1] leaves."},
        ],
        "question_answer_pairs": [{"question": "where is [1]?", "answer": "left"}],
        "video_level_caption": "at <1> [1] is there. at <2> it leaves.",
    }  # fmt: skip


def test_image_record_has_exactly_the_published_keys():
    annotation = annotated.frame(1, {3: "a dog"}, "a dog on a lawn.", name="7.jpg")
    assert image_record(7, "images_vpt/7.jpg", annotation) == {
        "image_id": 7, "image_path": "images_vpt/7.jpg", "instance_level_caption": {"3": "a dog"},
        "image_level_caption": "a dog on a lawn.",
    }  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(annotated.clips())
def test_annotation_to_json_and_back_is_lossless(tmp_path_factory, annotation):
    path = tmp_path_factory.mktemp("round") / "records.json"
    written = video_record(3, "videos_vpt/3", annotation)
    save_records(path, [written])
    (loaded,), quarantined = load_records(path)
    assert quarantined == []
    back = read_video_record(loaded)
    assert back == annotation.model_copy(update={"annotator": "", "model": ""})
    assert json.dumps(video_record(3, "videos_vpt/3", back)) == json.dumps(written), "order is kept too"


@settings(deadline=None, max_examples=15)
@given(annotated.frames(1, first=True))
def test_image_round_trip_is_lossless(annotation):
    annotation = annotation.model_copy(update={"frame_name": "0001.jpg"})
    assert read_image_record(image_record(1, "images_vpt/a/0001.jpg", annotation)) == annotation


def test_a_mark_id_twice_in_an_annotation_is_refused():
    frame = annotated.frame(1, {1: "a dog", 2: "a cat"}, "two.")
    frame.instances[1].id = 1
    with pytest.raises(RecordError, match="one mark id"):
        video_record(1, "v", annotated.clip([frame]))


def test_upstream_slips_are_mended_and_each_is_reported(tmp_path, record):
    raw = copy.deepcopy(record)
    raw["video_level_caption"] = "From <0> to <0>, [03] follows [1]; <10> and [10] are right."
    raw["question_answer_pairs"][0]["question"] = "is [1] there in <0>-<02>?"
    raw["frame_level_caption"][0]["instance_level"] = {"01": "a circle", "2": "a star"}
    raw["segmentations"] = {}
    path = tmp_path / "slips.json"
    path.write_text(json.dumps([raw]))
    repairs = []
    (mended,), quarantined = load_records(path, repairs)
    assert not quarantined
    assert mended["video_level_caption"] == "From <1> to <1>, [3] follows [1]; <10> and [10] are right."
    assert mended["question_answer_pairs"][0]["question"] == "is [1] there in <1>-<2>?"
    assert list(mended["frame_level_caption"][0]["instance_level"]) == ["1", "2"]
    assert "segmentations" not in mended
    said = [str(repair) for repair in repairs]
    assert len(said) == 6 and all(str(path) in line and "video_id 77" in line for line in said)
    assert any("<0> read as <1> (2 times)" in line for line in said)
    with pytest.warns(UserWarning, match="6 repairs"):
        load_records(path)
    validate(mended)
    with pytest.raises(RecordError, match="repair"):
        validate(raw)


def without(key):
    def change(record):
        del record[key]

    return change


def frame_value(key, value):
    def change(record):
        record["frame_level_caption"][1][key] = value

    return change


def clip_value(key, value):
    return lambda record: record.update({key: value})


FAULTS = {
    "no path": (without("video_path"), "video_path: is missing"),
    "no frames": (clip_value("frame_level_caption", []), "holds no frame"),
    "frames are a map": (clip_value("frame_level_caption", {}), "instead of a list"),
    "id is a truth value": (clip_value("video_id", True), "video_id: is true or false"),
    "id is a word": (clip_value("video_id", "seven"), "video_id: is a text"),
    "timestamp 0": (frame_value("timestamp", 0), r"frame_level_caption\[1\].timestamp: is 0"),
    "timestamps fall": (frame_value("timestamp", 1), "do not ascend"),
    "instances are a list": (frame_value("instance_level", [1]), "instead of a map"),
    "mark id 0": (frame_value("instance_level", {"0": "x"}), "no mark id"),
    "mark id a word": (frame_value("instance_level", {"man": "x"}), "no mark id"),
    "mark id twice": (frame_value("instance_level", {"3": "x", "03": "y"}), "twice"),
    "caption is null": (frame_value("instance_level", {"3": None}), "instance_level.3: is null"),
    "scene is a number": (frame_value("image_level", 3), "image_level: is a number"),
    "half a character": (frame_value("image_level", "\ud83d"), "half of a character"),
    "pair without answer": (
        clip_value("question_answer_pairs", [{"question": "who?"}]), r"pairs\[0\].answer: is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_record_is_quarantined_and_the_batch_goes_on(tmp_path, record, fault):
    change, reason = FAULTS[fault]
    bad = copy.deepcopy(record)
    change(bad)
    path = tmp_path / "batch.json"
    path.write_text(json.dumps([record, bad, record]))
    records, quarantined = load_records(path, [])
    assert records == [record, record]
    (found,) = quarantined
    assert found.place == "record 1" and found.raw == bad
    said = str(found.error)
    assert re.search(reason, said) and str(path) in said and "Cure: " in said
    assert "video_id 77" in said or fault.startswith("id is"), "the record is named by its id"


def test_a_first_frame_with_a_change_is_refused(record):
    record["frame_level_caption"][0]["temporal_change"] = "[1] enters."
    with pytest.raises(RecordError, match="first frame has none before it"):
        validate(record)


def test_a_key_written_twice_in_the_json_is_seen(tmp_path, record):
    path = tmp_path / "double.json"
    path.write_text(json.dumps([record]).replace('{"1": "a small', '{"1": "a cat", "1": "a small'))
    records, quarantined = load_records(path)
    assert records == [] and "twice" in str(quarantined[0].error)


@pytest.mark.parametrize("content", [None, b"", b"[{", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_list_of_records_is_one_typed_error(tmp_path, content):
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        load_records(path)
    assert str(path) in str(caught.value) and "Cure: " in str(caught.value)


def test_nothing_is_written_where_one_record_is_bad(tmp_path, record):
    path = tmp_path / "out.json"
    with pytest.raises(RecordError):
        save_records(path, [record, record | {"extra": 1}])
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_json_in_any_place_is_read_or_refused_but_never_crashes(data):
    record = video_record(77, "videos_vpt/000077", annotated.two_frames())
    spot = data.draw(st.sampled_from(list(record)))
    if data.draw(st.booleans()):
        record[spot] = data.draw(JSON)
    else:
        frame = record["frame_level_caption"][1]
        frame[data.draw(st.sampled_from(list(frame)))] = data.draw(JSON)
    repairs = []
    try:
        clip = read_video_record(record, repairs)
    except RecordError as error:
        assert error.cure
    else:
        validate(video_record(int(record["video_id"]), record["video_path"], clip, []))
