"""The published bench from a folder laid out like it: whole, mended, or quarantined, never silently shorter."""

import json
import zipfile

import pytest
from published_bench import OPTIONS, TRUTHS, make_bench, rows, write

from instit_lite.dataset.quarantine import Quarantine
from instit_lite.errors import RecordError
from instit_lite.evaluation import released
from instit_lite.evaluation.released import kind_of, load_bench, rotated, rotations, with_frames
from instit_lite.evaluation.score import Verdict, is_correct


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_bench(tmp_path_factory.mktemp("bench"))


def test_all_four_tables_are_read(folder):
    items = load_bench(folder)
    assert len(items) == 32 and len({item.key for item in items}) == 32
    choice = [item for item in items if (item.split, item.format) == ("image", "choice")]
    assert [item.answer for item in choice] == TRUTHS and all(item.options == OPTIONS for item in choice)
    assert choice[0].chance == 0.25 and items[0].chance == 0 and items[0].options is None
    assert [item.clip_id for item in choice[:3]] == ["image 001", "image 001", "image 002"]
    assert {item.kind for item in items} == {"no mark", "one mark, moment"}
    assert is_correct(choice[0], "[2] holds a red cup.") is Verdict.CORRECT


def test_frames_come_on_demand_and_in_natural_order(folder):
    items = {(item.split, item.format): item for item in load_bench(folder)}
    clip, picture = with_frames(items["video", "open"]), with_frames(items["image", "choice"])
    assert clip.frames.shape == (3, 20, 30, 3) and clip.timestamps == (1, 2, 3)
    assert [int(frame.mean()) for frame in clip.frames] == [160, 180, 200]
    assert picture.frames.shape == (1, 20, 30, 3) and items["image", "choice"].frames.size == 0


def test_pictures_are_unpacked_only_when_asked_for(folder, tmp_path):
    make_bench(tmp_path, pictures=False)
    for name in ("images_vpt", "videos_vpt"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for file in (folder / name).rglob("*.*g"):
                archive.write(file, f"{name}/{file.relative_to(folder / name)}")
    load_bench(tmp_path)
    assert not (tmp_path / "videos_vpt").exists()
    assert len(with_frames(load_bench(tmp_path, pictures=True)[-1]).frames) == 3


def test_a_hub_id_is_fetched_without_pictures(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(released, "fetch", lambda source, patterns: asked.append((source, patterns)) or folder)
    assert len(load_bench()) == 32
    assert asked[0][0] == "Inst-IT/Inst-It-Bench" and not any("zip" in pattern for pattern in asked[0][1])


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"answer": "E"}, "no letter"), ({"answer": None}, "answer"), ({"question": 7}, "question"),
        ({"options": {"A": "x", "B": "y"}}, "C: is missing"), ({"options": "A: x"}, "options"),
        ({"video_path": "../../etc/passwd"}, "inside the folder"), ({"video_path": "/etc"}, "inside the folder"),
        ({"question_id": "001-02"}, "was there before"),
    ],
)  # fmt: skip
def test_a_bad_row_is_quarantined_and_the_rest_goes_on(tmp_path, change, reason):
    table = list(rows("video", "choice"))
    table[2] = table[2] | change
    write(tmp_path / "video_multi_choices.json", table)
    left_out = Quarantine(tmp_path / "left_out.jsonl")
    assert len(load_bench(tmp_path, quarantine=left_out)) == len(table) - 1
    (line,) = (tmp_path / "left_out.jsonl").read_text().splitlines()
    assert reason in json.loads(line)["reason"] and json.loads(line)["path"].endswith("video_multi_choices.json")


def test_no_bench_is_one_typed_error(tmp_path):
    with pytest.raises(RecordError, match="holds no question"):
        load_bench(tmp_path)
    (tmp_path / "image_open_ended.json").write_text('[{"question_id": "1-1", "quest')
    with pytest.raises(RecordError, match="image_open_ended.json"):
        load_bench(tmp_path)
    with pytest.raises(RecordError, match="names no picture"):
        row = {key: value for key, value in list(rows("image", "open"))[0].items() if key != "image_path"}
        write(tmp_path / "image_open_ended.json", [row])
        with_frames(load_bench(tmp_path)[0])


def test_kinds_say_what_a_question_names():
    assert kind_of("Who is there?") == "no mark"
    assert kind_of("What does [1] do to [2] during <3>-<5>?") == "several marks, interval"
    assert kind_of("How does [1] change from <3> to <4>?") == "one mark, interval"
    assert kind_of("Is [1] at <3> what [1] is?") == "one mark, moment"


def test_a_rotation_moves_texts_and_truth_together(folder):
    item = next(item for item in load_bench(folder) if item.format == "choice")
    for turn in range(4):
        turned = rotated(item, turn)
        assert turned.options[turned.answer] == item.options[item.answer]
        assert turned.options["ABCD"[turn]] == item.options["A"] and sorted(turned.options) == list("ABCD")
    asked = rotations(load_bench(folder))
    assert len(asked) == 64 and len({item.key for item in asked}) == 64
    assert [item.question_id for item in asked[:3]] == ["001-01", "001-01@1", "001-01@2"]
