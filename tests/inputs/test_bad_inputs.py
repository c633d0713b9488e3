"""The 72 bad inputs: each is read as docs/inputs.md says, or refused with path, reason and cure; none takes 5 seconds."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import annotations
import numpy as np
import pictures
import pytest
import videos
from cases import CASES

from instit_lite.dataset.annotate import Request, instances_of
from instit_lite.errors import InstitError, MaskMismatch, UnreadableInput
from instit_lite.marks.detections import check_instances
from instit_lite.marks.reader import read_clip, read_image

MAKERS = (pictures, videos, annotations)  # imported for the cases that they register


def read(made):
    """Read a clip, or the instances of a clip; return what `Case.right` looks at."""
    if not isinstance(made, Request):
        return read_clip(made)
    clip, found = instances_of(made)
    check_instances(found, clip.frames)
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case, tmp_path):
    made, began = case.make(tmp_path), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if case.refused:
            with pytest.raises(InstitError) as refusal:
                read(made)
        else:
            assert case.right(read(made))
    assert time.process_time() - began < 5
    if case.refused:
        assert re.search(case.refused, f"{refusal.value.reason}. {refusal.value.cure}", re.DOTALL)
        assert refusal.value.cure
    said = [str(w.message) for w in caught]
    assert not case.warns or any(re.search(case.warns, line) for line in said), said


def test_every_number_has_a_test():
    elsewhere = {27, 28, 69, 70, 71, 72}  # below, and in test_archives.py
    assert {case.number for case in CASES} | elsewhere == set(range(1, 73))
    assert len({str(case) for case in CASES}) == len(CASES)


def test_13_masks_are_held_against_the_upright_picture(tmp_path):
    turned = next(c for c in CASES if c.title == "EXIF orientation").make(tmp_path)
    mask = pictures.saved(tmp_path / "mask.png", "L", np.full((60, 40, 3), 7, np.uint8))
    _, found = instances_of(Request(turned, tmp_path / "out", masks=mask))
    assert found[0].mask.shape == (1, 60, 40)
    lying = pictures.saved(tmp_path / "lying.png", "L", np.full((40, 60, 3), 7, np.uint8))
    with pytest.raises(MaskMismatch, match="60x40 pixels, and the frame is 40x60"):
        instances_of(Request(turned, tmp_path / "out", masks=lying))


@pytest.mark.filterwarnings("ignore:Image size")
def test_15_the_limit_can_be_raised(tmp_path, monkeypatch):
    path = pictures.saved(tmp_path / "large.png", "1", np.zeros((9_000, 10_000, 1), np.uint8)[..., [0] * 3])
    with pytest.raises(UnreadableInput, match="89 megapixels"):
        read_image(path)
    monkeypatch.setenv("INSTIT_MAX_MEGAPIXELS", "95")
    assert read_image(path).shape == (9_000, 10_000, 3)


@pytest.fixture
def not_root():
    """Be somebody whom a file's rights stop."""
    if os.geteuid():
        yield
    else:
        os.seteuid(65534)
        yield
        os.seteuid(0)


@pytest.fixture
def locked():
    """A picture and a folder that nobody may read, where everybody may go."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    pictures.saved(folder / "27.png")
    pictures.folder_of(folder / "27", **{"1.png": b""})
    for path, mode in ((folder, 0o755), (folder / "27.png", 0), (folder / "27", 0o311)):
        path.chmod(mode)
    yield folder
    (folder / "27").chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["27.png", "27"])
def test_27_no_permission_to_read(locked, not_root, name):
    with pytest.raises(UnreadableInput, match="Permission denied") as refusal:
        read_clip(locked / name)
    assert refusal.value.cure == "check rights"


def test_28_a_frame_that_vanishes_is_named(tmp_path, monkeypatch):
    folder = videos.frames_in(tmp_path / "28", ["1.png", "2.png"])
    listed = sorted(folder.iterdir())
    monkeypatch.setattr("instit_lite.marks.reader.list_pictures", lambda _: listed)
    listed[1].unlink()
    with pytest.raises(UnreadableInput, match="2.png: does not exist"):
        read_clip(folder)


SALVAGED = {"cut mp4": ("23 of 60", range(23)), "damage inside": ("59 of 60", range(60)), "cut mkv": ("0.97 of 2.00 s", range(29))}


@pytest.mark.parametrize("title", SALVAGED)
def test_33_and_34_what_is_left_is_salvaged_with_a_flag(tmp_path, title):
    words, places = SALVAGED[title]
    path = next(c for c in CASES if c.title == title).make(tmp_path)
    with pytest.warns(UserWarning, match=f"salvaged: .*{words}"):
        clip = read_clip(path, 64, salvage=True)
    assert words in clip.damage and set(clip.indices) <= set(places) and len(clip.frames) >= len(places) - 1
    shares = np.array([videos.share_of(frame) for frame in clip.frames])
    declared = clip.n_declared or 60
    assert np.median(np.abs(shares - (clip.indices + 1) / declared)) < 0.02, "a frame keeps its place in the source"
    whole = read_clip(videos.short(tmp_path / "whole.mp4"), 8, salvage=True)
    assert whole.damage == "" and len(whole.frames) == 8


@pytest.mark.parametrize("make", [
    lambda d: videos.encode(d / "long.mp4", videos.bars(900)),
    lambda d: videos.frames_in(d / "frames", [f"{i}.png" for i in range(60)], [(480, 640)] * 60),
])  # fmt: skip
def test_47_memory_holds_the_chosen_frames_only(tmp_path, make):
    path = make(tmp_path)
    tracemalloc.start()
    clip = read_clip(path, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < clip.frames.nbytes + 4 * clip.frames[0].nbytes + 500_000


def test_47_a_clip_beyond_all_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("instit_lite.marks.clip.LARGEST", 5 * 48 * 64)
    path = videos.short(tmp_path / "large.mp4")
    assert len(read_clip(path, 5).frames) == 5
    with pytest.raises(UnreadableInput, match="GB of memory for 6 frames of 64x48"):
        read_clip(path, 6)


def test_the_page_on_inputs_says_what_happens():
    page = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
    rows = {int(n): text for ns, text in re.findall(r"^\| ([\d, ]+) \|(.*)\|$", page, re.MULTILINE) for n in ns.split(",")}
    assert sorted(rows) == list(range(1, 73))
    for case in CASES:
        word = "refused" if case.refused else "warning" if case.warns else "read"
        assert word in rows[case.number], f"{case}: {word}"
