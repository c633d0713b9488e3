"""One file of your own, annotated: all its outputs, or one typed error and nothing half-written."""

import json

import numpy as np
import pytest
from PIL import Image

from instit_lite.dataset.annotate import Request, annotate_file
from instit_lite.dataset.records import load_records
from instit_lite.errors import EndpointError, InstitError, MaskMismatch, NoInstances, OfflineRefused, UnreadableInput
from instit_lite.marks.reader import read_clip
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.video import film
from instit_lite.scenes.world import Knobs


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return film(sample_scene(3, Knobs(n_things=(2, 2))), tmp_path_factory.mktemp("v") / "clip.mp4", 12, side=128)


@pytest.fixture()
def boxes(tmp_path):
    frames = [[{"id": 1, "xyxy": [10 + t, 10, 60 + t, 70]}, {"id": 4, "xyxy": [70, 80, 120, 120]}] for t in range(12)]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"frames": frames}))
    return path


def test_a_clip_with_boxes(video, boxes, tmp_path):
    out = tmp_path / "out"
    done = annotate_file(Request(video, out, frames=5, boxes=boxes))
    assert (done.n_frames, done.mark_ids) == (5, [1, 4])
    assert "measured" in done.annotator and done.findings == []
    assert len(list((out / "frames").glob("*.jpg"))) == 5
    assert len(read_clip(out / "marked.mp4").frames) == 5
    records, quarantined = load_records(out / "record.json")
    assert not quarantined and len(records[0]["frame_level_caption"]) == 5
    assert json.loads((out / "audit.json").read_text()) == []


def test_a_second_run_replaces_the_first_and_nothing_else(video, boxes, tmp_path):
    request = Request(video, tmp_path / "out", frames=3, boxes=boxes)
    annotate_file(request)
    annotate_file(request)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    with pytest.raises(InstitError, match="holds other files"):
        annotate_file(Request(video, tmp_path / "mine", frames=3, boxes=boxes))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not lose"


def test_a_picture_with_boxes(tmp_path):
    Image.fromarray(np.full((90, 120, 3), 80, np.uint8)).save(tmp_path / "p.png")
    (tmp_path / "b.json").write_text(json.dumps({"boxes": [{"id": 2, "xyxy": [10, 10, 60, 60]}]}))
    done = annotate_file(Request(tmp_path / "p.png", tmp_path / "out", style="image", boxes=tmp_path / "b.json"))
    assert done.mark_ids == [2]
    assert "2" in load_records(tmp_path / "out" / "record.json")[0][0]["instance_level_caption"]


@pytest.mark.parametrize("change, error", [
    ({"source": "missing.mp4"}, UnreadableInput),
    ({"style": "crayon"}, InstitError),
    ({"base_url": "http://127.0.0.1:9/v1"}, EndpointError),
    ({"base_url": "https://api.example.com/v1"}, OfflineRefused),
    ({"online": True}, OfflineRefused),
])  # fmt: skip
def test_bad_requests_leave_nothing(video, boxes, tmp_path, change, error, monkeypatch):
    monkeypatch.setattr("instit_lite.annotation.asking.LONGEST_WAIT", 0.01)
    given = {"source": video, "out": tmp_path / "out", "frames": 2, "boxes": boxes} | change
    with pytest.raises(error) as raised:
        annotate_file(Request(**given))
    assert raised.value.cure
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_masks_of_another_size_and_a_still_without_instances(video, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for t in range(12):
        mask = Image.fromarray(np.ones((40, 40), np.uint8), "P")
        mask.putpalette(list(range(256)) * 3)
        mask.save(folder / f"{t:05d}.png")
    with pytest.raises(MaskMismatch, match="40x40"):
        annotate_file(Request(video, tmp_path / "out", frames=2, masks=folder))
    Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / "p.png")
    with pytest.raises(NoInstances, match="no motion"):
        annotate_file(Request(tmp_path / "p.png", tmp_path / "out"))
