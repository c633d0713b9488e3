"""The mini dataset, built whole over real HTTP at the smallest size."""

import json
from dataclasses import replace

import pytest

from instit_lite.annotation.audit import audit
from instit_lite.dataset import build as room
from instit_lite.dataset.build import build_micro, load_dataset
from instit_lite.dataset.choices import IN_WORDS, add_choices
from instit_lite.dataset.dialogues import make_dialogue, turns_of
from instit_lite.dataset.records import read_video_record
from instit_lite.errors import NoInstances, RecordError
from instit_lite.marks.instances import from_scene
from instit_lite.marks.reader import read_clip, read_image
from instit_lite.profiles import get_profile
from instit_lite.scenes.seeds import BENCH_SEED, TRAIN_SEED
from instit_lite.scenes.video import load_scene_json

SMALL = replace(get_profile("smoke"), n_clips=2, n_images=3, n_general=3)


def quiet(_):
    pass


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_micro(SMALL, 0, tmp_path_factory.mktemp("data") / "set", say=quiet)


def test_everything_named_is_there(built):
    assert (len(built.videos), len(built.images), len(built.general)) == (2, 3, 3)
    assert built.quarantined == []
    assert "simulated" in built.annotator
    for dialogue in [*built.dialogues, *built.general]:
        for path in dialogue["image"]:
            assert read_image(built.folder / path).shape == (384, 384, 3)


def test_each_clip_agrees_with_its_masks(built):
    for record in built.videos:
        name = f"{record['video_id']:06d}"
        clip = read_clip(built.folder / "clips" / f"{name}.mp4", SMALL.n_frames)
        found = from_scene(load_scene_json(built.folder / "scenes" / f"{name}.json"), clip)
        assert audit(read_video_record(record), found, clip.frames.shape[1:3]) == []


def test_a_second_build_loads_and_a_lost_manifest_asks_nothing_again(built, monkeypatch):
    assert build_micro(SMALL, 0, built.folder, say=quiet) == built
    assert build_micro(replace(SMALL, sft_steps=99), 0, built.folder, say=quiet) == built  # not a dataset's business
    (built.folder / "dataset.json").unlink()
    again = build_micro(SMALL, 0, built.folder, say=quiet)
    assert again.asked == 0 and again.reused == built.asked
    assert (again.videos, again.dialogues) == (built.videos, built.dialogues)


def test_an_item_that_fails_is_quarantined_and_the_rest_goes_on(tmp_path, monkeypatch):
    good = room.build_image

    def sometimes(number, *rest):
        if number == 2:
            raise NoInstances("nothing is visible")
        return good(number, *rest)

    monkeypatch.setattr(room, "build_image", sometimes)
    built = build_micro(SMALL, 0, tmp_path / "set", say=quiet)
    assert [r["image_id"] for r in built.images] == [1, 3]
    assert len(built.quarantined) == 1 and "images 2" in built.quarantined[0]


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no built dataset"):
        load_dataset(tmp_path)


def test_a_damaged_record_is_refused(built, tmp_path):
    import shutil

    shutil.copytree(built.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "instit_video.json"
    records = json.loads(path.read_text())
    del records[0]["video_path"]
    path.write_text(json.dumps(records))
    with pytest.raises(RecordError, match="instit_video.json"):
        load_dataset(tmp_path / "copy")


def test_choices_keep_the_truth_among_the_options(built):
    plain = [d for d in [*built.dialogues, *built.general] if d["kind"] in ("video_qa", "image_qa", "general")]
    lettered = add_choices(plain, 1.0, seed=1)
    changed = 0
    for before, after in zip(plain, lettered):
        for (question, answer), (asked, told) in zip(turns_of(before), turns_of(after)):
            if asked != question and "A: " not in question:
                changed += 1
                options = dict(part.split(": ", 1) for part in asked[len(question) + 1 :].replace(" B:", "\nB:")
                               .replace(" C:", "\nC:").replace(" D:", "\nD:").split("\n"))  # fmt: skip
                assert (told if before["kind"] in IN_WORDS else options[told]) == answer
                assert len(set(options.values())) == 4
    assert changed > 10


def test_no_build_reaches_the_scenes_of_the_bench():
    for seed in range(2 * room.BUILDS):
        assert TRAIN_SEED <= room.first_scene(seed)
        assert room.first_scene(seed) + 3 * room.SEED_STEP < BENCH_SEED
    assert len({room.first_scene(seed) for seed in range(room.BUILDS)}) == room.BUILDS
    largest = max(get_profile("micro").n_clips, get_profile("micro").n_images, get_profile("micro").n_general)
    assert largest < room.SEED_STEP


def test_moments_get_options_too():
    """Few moments are ever the answer to "when does [1] enter?": the clip's other moments stand beside them."""
    pictures = [f"{i}.jpg" for i in range(4)]
    dialogues = [
        make_dialogue(f"{i}", pictures, [("when does [1] enter?", f"<{2 + i % 2}>")], 3, "video_qa") for i in range(4)
    ]
    for dialogue in add_choices(dialogues, 1.0, 0):
        (question, answer), = turns_of(dialogue)
        assert answer in ("<2>", "<3>") and {f"<{t}>" for t in range(1, 5)} <= set(question.split())
