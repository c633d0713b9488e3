"""Cases 68 to 72, and other attacks by names and archives: nothing is written, or read, outside the folder meant."""

from __future__ import annotations

import json
import stat
import struct
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "dataset"))
import published  # noqa: E402

from instit_lite.dataset.archive import unpack_zip  # noqa: E402
from instit_lite.dataset.llava_next import RAW, general_dialogues  # noqa: E402
from instit_lite.dataset.masks import masks_of, redraw  # noqa: E402
from instit_lite.dataset.quarantine import Quarantine  # noqa: E402
from instit_lite.dataset.records import load_records  # noqa: E402
from instit_lite.dataset.released import Released  # noqa: E402
from instit_lite.errors import MaskMismatch, RecordError  # noqa: E402

GOOD = "frames/1.jpg"


def entry(name, mode=0):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def named(*names):
    """Write an archive of these names."""

    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"x" * 50)

    return write


def linked(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry("frames/out", stat.S_IFLNK | 0o777), "../../..")
        archive.writestr("frames/out/evil.jpg", "x")


def pipe(path):
    named(GOOD)(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry("frames/pipe.jpg", stat.S_IFIFO | 0o600), "")


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(GOOD, bytes(20_000_000))


def patched(offset, form, value):
    """Write a good archive and change one field of its table of contents."""

    def write(path):
        named(GOOD)(path)
        data = bytearray(path.read_bytes())
        struct.pack_into(form, data, data.index(b"PK\x01\x02") + offset, value)
        path.write_bytes(data)

    return write


def cut(path):
    named(GOOD, "frames/2.jpg")(path)
    path.write_bytes(path.read_bytes()[:-30])


ATTACKS = {
    "70-parent": (named(GOOD, "../evil.jpg"), "outside the folder"),
    "70-parent-further-in": (named(GOOD, "frames/../../evil.jpg"), "outside the folder"),
    "70-absolute": (named("/evil.jpg"), "outside the folder"),
    "70-drive": (named("C:\\evil.jpg"), "outside the folder"),
    "70-backslashes": (named("..\\evil.jpg"), "outside the folder"),
    "71-bomb": (bomb, "bomb"),
    "71-size-of-a-disk": (patched(24, "<I", 2**32 - 2), "bomb|free"),
    "72-twice": (named(GOOD, GOOD), "twice"),
    "72-twice-in-disguise": (named(GOOD, "frames/./1.jpg"), "twice"),
    "72-file-and-folder": (named("frames/a", "frames/a/1.jpg"), "as a file and as a folder"),
    "72-encrypted": (patched(8, "<H", 1), "encrypted"),
    "72-link": (linked, "link or a device"),
    "72-pipe": (pipe, "link or a device"),
    "72-false-size": (patched(24, "<I", 10), "cannot be unpacked"),
    "72-unknown-packing": (patched(10, "<H", 77), "cannot be unpacked"),
    "72-long-name": (named("frames/" + "x" * 300), "cannot be unpacked"),
    "72-cut": (cut, "cannot be unpacked"),
    "72-no-archive": (lambda path: path.write_bytes(b"<html>404"), "cannot be unpacked"),
    "72-empty": (lambda path: path.write_bytes(b""), "empty"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ATTACKS)
def test_an_archive_that_attacks_is_refused_whole(tmp_path, name):
    write, words = ATTACKS[name]
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    write(home / "frames.zip")
    with pytest.raises(RecordError, match=words) as refusal:
        unpack_zip(home / "frames.zip", home / "frames")
    assert refusal.value.cure and refusal.value.path == str(home / "frames.zip")
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "b", "frames.zip"], "nothing was written"


@pytest.mark.parametrize("names", [("frames/1.jpg", "frames/"), ("1.jpg", "sub/2.jpg")])
def test_a_good_archive_is_unpacked(tmp_path, names):
    named(*names)(tmp_path / "frames.zip")
    unpack_zip(tmp_path / "frames.zip", tmp_path / "frames")
    assert (tmp_path / "frames" / "1.jpg").read_bytes() == b"x" * 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frames", "frames.zip"]


def paths_in(kind, path):
    """A record, of the published layout, that names another place."""
    record = published.clip(2) if kind != "still" else published.still(2)
    if kind == "still":
        return record | {"image_path": path}
    if kind == "folder":
        return record | {"video_path": path}
    record["frame_level_caption"][0]["frame_name"] = path
    return record


@pytest.mark.parametrize(("kind", "path"), [
    ("folder", "videos_vpt/../../evil"), ("folder", "../evil"), ("folder", "x/..\\..\\evil"), ("frame", "../../../evil.jpg"),
    ("frame", "..\\evil.jpg"), ("still", "images_vpt/../../evil.jpg"), ("still", "/etc/hostname"), ("still", "C:\\evil.jpg"),
    ("frame", "link.jpg"),
])  # fmt: skip
def test_68_a_record_that_names_another_place_is_left_out(tmp_path, kind, path):
    folder = published.inst_it(tmp_path / "d" / "e")
    for evil in (tmp_path / "evil.jpg", tmp_path / "d" / "evil.jpg"):
        evil.write_bytes(published.jpeg(0))
    for look in ("vpt", "raw"):
        (folder / f"videos_{look}/000002/link.jpg").symlink_to(tmp_path / "evil.jpg")
    medium = "image" if kind == "still" else "video"
    stem = {"video": "inst_it_dataset_video_21k", "image": "inst_it_dataset_image_51k"}[medium]
    bad = published.with_masks(paths_in(kind, path)) if kind != "still" else paths_in(kind, path)
    for tail in ("", "_w_mask"):
        (folder / f"{stem}{tail}.json").write_text(json.dumps([bad]))
    outside = {p for p in tmp_path.rglob("*") if not p.is_relative_to(folder)}
    data = Released(folder)
    assert list(data.records(medium)) == [] and data.quarantine.count == 1
    redraw(folder, "image")
    assert {p for p in tmp_path.rglob("*") if not p.is_relative_to(folder)} == outside


@pytest.mark.parametrize("path", ["../../evil.jpg", "/etc/hostname", "..\\evil.jpg"])
def test_68_a_general_picture_elsewhere_is_left_out(tmp_path, path):
    folder = published.llava_next_raw(tmp_path / "g")
    (tmp_path / "evil.jpg").write_bytes(published.jpeg(0))
    rows = json.loads((folder / RAW).read_text())
    rows[0]["image"] = path
    (folder / RAW).write_text(json.dumps(rows))
    left_out = Quarantine()
    assert len(general_dialogues(folder, 9, 0, tmp_path / "out", left_out, Counter())) == 5
    assert left_out.count == 1 and "missing" in left_out.first[0]


def test_69_one_mark_id_written_in_two_ways_is_refused(tmp_path):
    record = published.with_masks(published.still(1))
    record["segmentations"]["sa_1.jpg"]["01"] = record["segmentations"]["sa_1.jpg"]["1"]
    with pytest.raises(MaskMismatch, match="1 and 01"):
        masks_of(record, "sa_1.jpg", published.SHAPE)
    record = published.still(1)
    record["instance_level_caption"]["01"] = "a star"
    (tmp_path / "records.json").write_text(json.dumps([record]))
    records, quarantined = load_records(tmp_path / "records.json")
    assert not records and "names a mark id twice" in str(quarantined[0])
