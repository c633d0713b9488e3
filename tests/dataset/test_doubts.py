"""What there is to verify: three kinds of folders, and every doubt of the audit with the text that it is about."""

from dataclasses import replace

import numpy as np
import published
import pytest
from annotated import clip, frame

from instit_lite.annotation.audit import audit
from instit_lite.annotation.simulated import ErrorModel
from instit_lite.dataset.build import build_micro
from instit_lite.dataset.decisions import items_of
from instit_lite.dataset.doubts import Annotations, concerns
from instit_lite.errors import RecordError
from instit_lite.marks.detections import from_masks
from instit_lite.marks.images import read_image
from instit_lite.profiles import get_profile


@pytest.fixture(scope="module")
def careless(tmp_path_factory):
    """Two clips and a picture by an annotator that slips often."""
    profile = replace(get_profile("smoke"), n_clips=2, n_images=1, n_general=0)
    errors = ErrorModel(wrong_id=0.4, miss_change=0.5, swap_attribute=0.5)
    folder = tmp_path_factory.mktemp("data") / "set"
    return build_micro(profile, 0, folder, errors=errors, say=lambda _: None)


def test_a_built_dataset_is_audited_by_its_scenes(careless):
    found = Annotations(careless.folder)
    assert list(found.records) == ["video 1", "video 2", "image 1"] and "simulated" in found.annotator
    for name in ("video 1", "video 2"):
        items = [item for item in found.items if item.clip == name]
        findings = found.audit(name)
        assert findings and all(any(concerns(f, item) for item in items) for f in findings)  # none is lost
        assert {d for item in items for d in found.doubts(item)} == {str(f) for f in findings}
        assert [read_image(found.folder / path).shape for path in found.pictures(name).values()] == [(384, 384, 3)] * 4
    (first, *_) = [item for item in found.items if item.clip == "image 1"]
    assert found.doubts(first) is None  # no masks are kept of pictures, and that is no "nothing doubted"
    assert set(Annotations(careless.folder, 1).records) == {"video 1", "image 1"}


def masks(*boxes):
    made = {}
    for mark, (x, y) in boxes:
        made[mark] = np.zeros((40, 60), bool)
        made[mark][y : y + 8, x : x + 8] = True
    return from_masks(made, (40, 60))


def test_each_doubt_stands_with_the_text_that_it_is_about():
    told = clip(
        [frame(1, {1: "a circle", 2: "a star"}, "[1] is at the right. [2] is there."),
         frame(2, {1: "a circle", 8: "a square"}, "[2] is there until <5>.", "[1] moves left. [9] waits.")],
        "[1] waits at <4>.", [("where is [1]?", "left"), ("who is [7]?", "a star")],
    )  # fmt: skip
    detections = [masks((1, (4, 16)), (2, (30, 16))), masks((1, (24, 16)), (2, (30, 30)), (3, (50, 2)))]
    findings, items = audit(told, detections, (40, 60)), items_of("c", told)
    found = {str(item)[2:]: {f.kind for f in findings if concerns(f, item)} for item in items}
    assert found == {
        "<1> instance [1]": {"place"}, "<1> instance [2]": set(), "<1> frame": {"place"},
        "<2> instance [1]": set(), "<2> instance [8]": {"unknown id"},
        "<2> frame": {"left out", "unknown id", "timestamp"}, "<2> change": {"motion", "missed change", "unknown id"},
        "summary": {"timestamp"}, "question 1": set(), "question 2": {"unknown id"},
    }  # fmt: skip
    assert all(any(concerns(f, item) for item in items) for f in findings)


def test_an_annotated_clip_of_ones_own_may_be_moved(annotated, tmp_path):
    folder = annotated().rename(tmp_path / "moved")
    found = Annotations(folder)
    assert found.beside == tmp_path / "moved.verification"  # not inside: annotating anew replaces the folder
    doubted = {str(item): found.doubts(item) for item in found.items if found.doubts(item)}
    assert list(doubted) == ["video 1 <2> change", "video 1 question 2"] and found.annotator == "a test"
    assert {t: read_image(folder / path).shape for t, path in found.pictures("video 1").items()} == dict.fromkeys((1, 2), (48, 64, 3))


def test_the_published_dataset_is_audited_by_its_masks(tmp_path):
    found = Annotations(published.inst_it(tmp_path / "hub"), 1)
    assert [name.split()[0] for name in found.records] == ["video", "image"]
    doubts = {str(item): found.doubts(item) for item in found.items}
    assert doubts["video 1 question 1"] == ["[3] unknown id: is named in question 1 and is no mark"]
    assert doubts["image 1 <1> frame"] == []


@pytest.mark.parametrize("kind", ["no such folder", "no built dataset"])
def test_a_folder_without_annotations_is_named(kind, tmp_path):
    folder = tmp_path / "set"
    if kind == "no built dataset":
        folder.mkdir()
    with pytest.raises(RecordError, match=kind) as caught:
        Annotations(folder)
    assert caught.value.path == str(folder) and caught.value.cure
