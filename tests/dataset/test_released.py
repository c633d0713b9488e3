"""The published data: streamed, led to the chosen frames, mended and counted; what is bad is named."""

import json
from collections import Counter

import numpy as np
import published
import pytest

from instit_lite.dataset import llava_next, masks, released
from instit_lite.dataset.llava_next import general_dialogues, pairs_of
from instit_lite.dataset.quarantine import Quarantine
from instit_lite.dataset.released import Released, is_released
from instit_lite.dataset.streaming import stream_list
from instit_lite.errors import MaskMismatch, RecordError
from instit_lite.marks.images import picture_size, read_image


@pytest.fixture
def left_out(tmp_path):
    return Quarantine(tmp_path / "quarantine.jsonl")


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
def test_a_list_is_streamed_whatever_the_size_of_the_pieces(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr("instit_lite.dataset.streaming.CHUNK", chunk)
    path = tmp_path / "list.json"
    for content in ([], [12, {"a": [1, "]}é"]}, "x", None], [published.clip(1)] * 3):
        path.write_text(" " + json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8-sig")
        assert list(stream_list(path)) == content


def test_streaming_holds_one_item_at_a_time(tmp_path):
    path = tmp_path / "list.json"
    path.write_text('[{"a": 1}, {"a": 2}, ' + " " * 2**22 + "damaged")
    found = stream_list(path)
    assert [next(found), next(found)] == [{"a": 1}, {"a": 2}], "what stands far behind is not read yet"
    with pytest.raises(RecordError, match="item 2"):
        next(found)


DAMAGED = ["", "{}", "[1", '[{"a": 1}', "[1,", "[1,]", "[1 2]", '[{"a"]', "[1] 2", "[" * 99999]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_list_is_one_typed_error(tmp_path, content):
    path = tmp_path / "list.json"
    path.write_text(content)
    with pytest.raises(RecordError, match="Cure") as caught:
        list(stream_list(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("frames, look", [("marked", "vpt"), ("raw", "raw")])
def test_records_lead_to_the_chosen_frames(tmp_path, frames, look, zipped):
    data = Released(published.inst_it(tmp_path / "d", zipped=zipped), frames)
    clips, (still,) = list(data.records("video")), list(data.records("image"))
    assert [c["video_path"] for c in clips] == [f"videos_{look}/000001", f"videos_{look}/000002"]
    assert still["image_path"] == f"images_{look}/sa_1.jpg"
    frame = data.folder / released.pictures_of(clips[0])[0]
    assert frame.read_bytes() == published.jpeg(("vpt", "raw").index(look))
    assert data.quarantine.count == 0 and len(list(data.records("video", 1))) == 1


def test_slips_are_mended_and_counted(tmp_path):
    data = Released(published.inst_it(tmp_path / "d"))
    first = next(iter(data.records("video")))
    assert first["question_answer_pairs"][0] == {"question": "where is [3] at <1>?", "answer": "[3] is left."}
    assert data.repairs == {"<0> read as <1>": 1, "zero-padded mark id": 2}


def test_a_clip_without_summary_is_kept(tmp_path):
    clip = published.clip(1)
    del clip["video_level_caption"]
    data = Released(published.inst_it(tmp_path / "d", [clip]))
    assert [c["video_level_caption"] for c in data.records("video")] == [None]
    assert data.repairs["missing summary read as null"] == 1


def test_bad_records_are_named_and_the_rest_goes_on(tmp_path, left_out):
    bad = [published.clip(n) for n in (2, 3, 4)]
    bad[0]["frame_level_caption"][1]["timestamp"] = 1
    bad[1]["video_path"] = "000003"
    bad[2]["video_path"] = "videos_vpt/../../etc"
    folder = published.inst_it(tmp_path / "d", [published.clip(1), published.clip(5), published.clip(6)])
    (folder / "inst_it_dataset_video_21k.json").write_text(
        json.dumps([published.clip(1), *bad, None, published.clip(5), published.clip(6)])
    )
    gone = folder / "videos_vpt/000005/00009.jpg"
    gone.unlink()
    data = Released(folder, quarantine=left_out)
    assert [c["video_id"] for c in data.records("video")] == [1, 6]
    lines = [json.loads(line) for line in left_out.path.read_text().splitlines()]
    assert len(lines) == left_out.count == 5 and all(line["reason"] and line["cure"] for line in lines)
    assert lines[-1]["path"] == str(gone) and "ascend" in lines[0]["reason"]


def test_what_is_missing_as_a_whole_is_one_typed_error(tmp_path, monkeypatch):
    with pytest.raises(RecordError, match="holds no inst_it"):
        list(Released(tmp_path).records("video"))
    folder = published.inst_it(tmp_path / "d", zipped=True)
    (folder / "videos_vpt.zip").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(RecordError, match="cannot be unpacked"):
        list(Released(folder).records("video"))
    assert not (folder / "videos_vpt").exists()

    def offline(name, **options):
        raise OSError("no connection")

    monkeypatch.setattr(released, "snapshot_download", offline)
    with pytest.raises(RecordError, match="nor to be had from the hub .no connection"):
        Released("Inst-IT/Inst-It-Dataset")


def test_a_hub_id_asks_for_the_files_of_the_chosen_frames_only(tmp_path, monkeypatch):
    folder, asked = published.inst_it(tmp_path / "d"), {}
    monkeypatch.setattr(released, "snapshot_download", lambda name, **options: asked.update(options) or str(folder))
    assert is_released("Inst-IT/Inst-It-Dataset") and is_released(folder) and not is_released(tmp_path)
    assert len(list(Released("Inst-IT/Inst-It-Dataset", "raw", masks=True).records("video"))) == 2
    assert asked["repo_type"] == "dataset" and asked["allow_patterns"] == [
        "inst_it_dataset_video_21k_w_mask.json", "inst_it_dataset_image_51k_w_mask.json", "videos_raw.zip",
        "images_raw.zip",
    ]  # fmt: skip


def test_masks_are_decoded_by_mark_id_and_scaled(tmp_path):
    data = Released(published.inst_it(tmp_path / "d"), masks=True)
    record = next(iter(data.records("video")))
    found = masks.masks_of(record, "00001.jpg", published.SHAPE)
    assert found.tracker_id.tolist() == [1, 2] and (found.mask[0] == published.box(4)).all()
    large = masks.masks_of(record, "00001.jpg", (96, 128))
    assert (large.mask[0] == np.kron(published.box(4), np.ones((2, 2), bool))).all()
    assert len(masks.masks_of(record, "absent.jpg", published.SHAPE)) == 0
    with pytest.raises(MaskMismatch, match="its frame"):
        masks.masks_of(record, "00001.jpg", (64, 48))
    still = {"image_id": 1, "segmentations": {"7": {"mask": published.run_lengths(published.box(4))}}}
    assert masks.masks_of(still, "sa_1.jpg", published.SHAPE).tracker_id.tolist() == [7]


def test_marks_are_drawn_anew_on_raw_frames(tmp_path):
    folder = published.inst_it(tmp_path / "d")
    assert masks.redraw(folder, "image").quarantine.count == 0
    (still,) = Released(folder, "image").records("image")
    drawn, raw = read_image(folder / still["image_path"]), read_image(folder / "images_raw/sa_1.jpg")
    changed = np.abs(drawn.astype(int) - raw).max(axis=2) > 60
    assert changed.any() and not changed[36:].any(), "marks stand on the instances"


@pytest.mark.parametrize("layout", [published.llava_next, published.llava_next_raw])
def test_general_data_is_drawn_from_all_its_shards_and_kept(tmp_path, left_out, layout):
    folder, repairs = layout(tmp_path / "g"), Counter()
    found = general_dialogues(folder, 6, 0, tmp_path / "out", left_out, repairs)
    assert len(found) == 6 and left_out.count == 0 and {d["group"] for d in found} == {0}
    assert all(picture_size(path) == published.SHAPE for d in found for path in d["image"])
    if layout is published.llava_next:
        assert Counter(d["id"].split("-")[1] for d in found) == {"0": 2, "1": 2, "2": 2}
        everything = general_dialogues(folder, 99, 0, tmp_path / "all", left_out, repairs)
        assert len(everything) == 12 and sum(not d["image"] for d in everything) == 3
    shown = general_dialogues("nowhere/at-all", 6, 0, tmp_path / "out", left_out, repairs)
    assert shown == found, "drawn once, then loaded"


def test_no_general_data_is_one_typed_error(tmp_path, left_out):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="no general data"):
        general_dialogues(tmp_path / "empty", 3, 0, tmp_path / "out", left_out, Counter())


def test_a_bad_row_is_named_and_the_rest_goes_on(tmp_path, left_out):
    folder = published.llava_next_raw(tmp_path / "g")
    path = folder / llava_next.RAW
    rows = json.loads(path.read_text())
    rows[0]["image"] = "coco/gone.jpg"
    rows[1]["conversations"].pop()
    rows[2]["conversations"][0]["value"] = "no placeholder"
    rows[3] = None
    path.write_text(json.dumps(rows))
    assert len(general_dialogues(folder, 9, 0, tmp_path / "out", left_out, Counter())) == 2
    assert left_out.count == 4


def test_what_the_first_turn_says_about_the_form_goes_to_the_others():
    def asked(*questions):
        turns, repairs = [turn for q in questions for turn in published.talk(q, "yes", "")], Counter()
        return [q for q, _ in pairs_of({"conversations": turns}, True, repairs)], +repairs

    short = "Answer the question using a single word or phrase."
    found, _ = asked(f"what is it?\n{short}\n<image>", "which colour?")
    assert found == [f"what is it?\n{short}", f"which colour?\n{short}"]
    region = "Provide a short description for the given region."
    found, repairs = asked(f"<image>\n{region}\n[0.1,0.2]", "[0.3,0.4]", "[0.5,0.6]")
    assert found[1:] == [f"{region}\n[0.3,0.4]", f"{region}\n[0.5,0.6]"] and list(repairs.values()) == [2]
    assert asked("<image>\nhello\nthere", "and then?")[0] == ["hello\nthere", "and then?"]
