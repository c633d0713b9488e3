"""A batch: every input ends in exactly one of output and quarantine, and a run that was stopped goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import annotations
import pictures
import pytest
import videos
from cases import CASES

from instit_lite.cli import main
from instit_lite.dataset import batch
from instit_lite.dataset.annotate import Request
from instit_lite.dataset.batch import annotate_all, is_batch, requests_of
from instit_lite.dataset.records import load_records
from instit_lite.dataset.worker import annotate_apart, answer, end_all
from instit_lite.errors import EndpointError, InstitError, OutputError, UnreadableInput
from instit_lite.marks.reader import read_clip

MAKERS = (pictures, videos, annotations)  # imported for the cases that they register
BOX = [{"id": 1, "xyxy": [2, 2, 30, 30]}]


@pytest.fixture
def here(monkeypatch):
    """Annotate in this process, for tests of everything else."""

    def annotate(request, limit):
        sent = []
        answer(SimpleNamespace(send=sent.append), request, {})
        if isinstance(sent[0], InstitError):
            raise sent[0]
        return sent[0][0]

    monkeypatch.setattr(batch, "annotate_apart", annotate)
    monkeypatch.setattr("signal.signal", lambda *given: None)


def lines_of(out):
    return [json.loads(line) for line in (out / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()]


def outputs(out):
    return {folder.name for folder in (out / "items").iterdir()}


def test_a_batch_over_all_bad_inputs_goes_on(tmp_path):
    """Also the inputs that are no files: an address, and a name too long."""
    folder, out, told = tmp_path / "in", tmp_path / "out", tmp_path / "boxes"
    folder.mkdir(), told.mkdir()
    (folder / "archive.zip").write_bytes(b"PK\3\4" + bytes(40))
    requests, refused = [], {"archive.zip"}
    for case in CASES:
        if case.title.startswith("4K"):  # is read elsewhere, and slow to draw on
            continue
        made = case.make(folder)
        if not isinstance(made, Request):
            made = Request(Path(made), out)
            boxes = {"frames": [BOX] * 100} if case.number > 30 else {"boxes": BOX}
            (told / f"{made.source.name[-200:]}.json").write_text(json.dumps(boxes))
            made = replace(made, boxes=told / f"{made.source.name[-200:]}.json", frames=4)
        requests.append(replace(made, out=out / "items" / made.source.name))
        refused |= {made.source.name} if case.refused else set()
    requests.append(Request(folder / "archive.zip", out / "items" / "archive.zip"))
    done, kept, quarantined = annotate_all(requests, out, say=lambda text: None)
    names = {request.source.name for request in requests}
    assert len(names) == len(requests) and outputs(out) == names - refused
    assert sorted(line["item"] for line in lines_of(out)) == sorted(refused)
    for line in lines_of(out):
        assert line["path"] and line["reason"] and line["cure"] and "report this" not in line["cure"], line
    assert (done, kept, quarantined) == (len(names - refused), 0, len(refused))
    records, bad = load_records(out / "records.json")
    assert len(records) == done and not bad
    for record in records:
        frames = out / (record.get("image_path") or record["video_path"])
        assert frames.exists()
    by_warning = [c for c in CASES if c.warns and not c.title.startswith("4K")]
    warned = [json.loads(card.read_text())["warnings"] for card in out.glob("items/*/annotation.json")]
    assert sum(bool(lines) for lines in warned) >= len(by_warning) > 15


@pytest.fixture
def clips(tmp_path):
    """A folder of three good items and two bad ones, and boxes for each."""
    folder, told = tmp_path / "in", tmp_path / "boxes"
    folder.mkdir(), told.mkdir()
    videos.short(folder / "a 1.mp4", 12), videos.short(folder / "a 10.mp4", 12)
    videos.frames_in(folder / "a 2", ["1.png", "2.png"])
    (folder / "b.mp4").write_bytes(b"")
    videos.short(folder / "c.mp4", 12)
    (folder / ".hidden").write_text("not an item")
    for name in ("a 1.mp4", "a 10", "a 2", "b"):  # with or without the suffix; c has none
        (told / f"{name}.json").write_text(json.dumps({"frames": [BOX] * 12}))
    return folder


def run(clips, out, *options):
    return main(["annotate", str(clips), "--boxes", str(clips.parent / "boxes"), "--frames", "3", "--out", str(out), *options])


def test_the_command_tells_a_batch_goes_on_and_ends_with_a_code(clips, tmp_path, capsys, here):
    out = tmp_path / "out"
    assert run(clips, out) == 1
    said = capsys.readouterr().out
    assert "5 items, 0 of them are there" in said and "[1/5] a 1.mp4: frames: 3, marks: [1]" in said
    assert "[2/5] a 2: " in said and "QUARANTINED: is empty" in said and "quarantined: 2" in said
    assert outputs(out) == {"a 1.mp4", "a 2", "a 10.mp4"}
    assert [(line["item"], line["reason"]) for line in lines_of(out)] == [
        ("b.mp4", "is empty (zero bytes)"), ("c.mp4", "does not exist"),
    ]  # fmt: skip
    times = {p: p.stat().st_mtime_ns for p in out.glob("items/*/annotation.json")}
    videos.short(clips / "b.mp4", 12)
    (tmp_path / "boxes" / "c.json").write_text(json.dumps({"frames": [BOX] * 12}))
    assert run(clips, out) == 0
    assert "5 items, 3 of them are there" in capsys.readouterr().out and len(outputs(out)) == 5 and not lines_of(out)
    assert all(p.stat().st_mtime_ns == t for p, t in times.items()), "what is there was kept"
    assert [r.get("video_id") for r in load_records(out / "records.json")[0]] == [1, 2, 3, 4, 5]
    (clips / "c.mp4").write_bytes(b"\0" * 99)  # what was good is now damaged
    assert run(clips, out, "--style", "image") == 1
    assert outputs(out) == {"a 1.mp4", "a 2", "a 10.mp4", "b.mp4"} and lines_of(out)[0]["item"] == "c.mp4"


def test_salvage_redoes_only_what_was_refused(tmp_path, capsys, here):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    pictures.cut(videos.short(folder / "cut.mp4", 60), 0.6)
    videos.short(folder / "whole.mp4", 12)
    (tmp_path / "boxes").mkdir()
    for name in ("cut", "whole"):
        (tmp_path / "boxes" / f"{name}.json").write_text(json.dumps({"frames": [BOX] * 60}))
    assert (run(folder, out), run(folder, out, "--salvage"), run(folder, out)) == (1, 0, 1)
    said = capsys.readouterr().out
    assert "2 items, 1 of them are there" in said and "of 60 frames could be read" in said
    assert outputs(out) == {"whole.mp4"} and "--salvage" in lines_of(out)[0]["cure"]


def test_a_killed_run_goes_on_to_the_same_end(clips, tmp_path, here):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(clips, whole)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "instit_lite.cli", "annotate", str(clips), "--frames", "3", "--out", str(out),
               "--boxes", str(tmp_path / "boxes")]  # fmt: skip
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    while not list(out.glob("items/a*")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (out / "items" / ".part-left").mkdir()  # as a run that is killed while it writes leaves one
    time.sleep(0.5)  # its worker ends by itself
    assert run(clips, out) == 1
    for path in (p for p in whole.rglob("*") if p.is_file() and p.name not in ("annotation.json", "marked.mp4")):
        same = (out / path.relative_to(whole)).read_bytes()
        assert same == path.read_bytes(), path
    assert {p.relative_to(out) for p in out.rglob("*")} == {p.relative_to(whole) for p in whole.rglob("*")}


def test_what_hangs_or_dies_costs_its_item_only(clips, tmp_path):
    request = Request(clips / "a 1.mp4", tmp_path / "o", frames=2, boxes=tmp_path / "boxes" / "a 1.mp4.json")
    with pytest.raises(UnreadableInput, match="took longer than 0.001 s") as refusal:
        annotate_apart(request, 0.001)
    assert refusal.value.path == str(request.source) and refusal.value.cure
    over = threading.Event()
    killer = threading.Thread(target=lambda: [end_all() for _ in iter(lambda: over.wait(0.001), True)])
    killer.start()
    with pytest.raises(UnreadableInput, match="ended the process"):
        annotate_apart(request, 60)
    over.set()
    killer.join()
    assert "frames: 2" in annotate_apart(request, 60)


@pytest.mark.parametrize(("problem", "allowed"), [(EndpointError, 3), (OutputError, 1)])
def test_what_no_item_is_to_blame_for_stops_the_batch(clips, tmp_path, monkeypatch, problem, allowed):
    asked = []

    def fail(request, limit):
        asked.append(request)
        raise problem("is down", path="there", cure="wait")

    monkeypatch.setattr(batch, "annotate_apart", fail)
    monkeypatch.setattr(batch, "ThreadPoolExecutor", Eager)
    with pytest.raises(problem, match="is down"):
        annotate_all(requests_of(Request(clips, tmp_path / "out")), tmp_path / "out", say=lambda text: None)
    assert len(asked) == allowed


class Eager:
    """A pool that does its work when it is asked for it."""

    def __init__(self, workers):
        self.map, self.shutdown = map, lambda **options: None


def test_folders_are_told_apart(clips, tmp_path):
    assert is_batch(clips) and not is_batch(clips / "a 2") and not is_batch(clips / "a 1.mp4")
    videos.short(clips / "a 2" / "x.mp4", 3)
    with pytest.warns(UserWarning, match="passed over.*'x.mp4'"):
        assert not is_batch(clips / "a 2") and len(read_clip(clips / "a 2").frames) == 2
    with pytest.raises(UnreadableInput, match="does not exist"):
        read_clip(clips / "none")


def test_outputs_are_not_mixed_with_other_things(clips, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    assert run(clips, tmp_path / "mine") == 2 and "holds other files" in capsys.readouterr().err
    assert run(clips, clips / "out") == 2 and "inside the folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", tmp_path / "out") == 2 and "holds nothing" in capsys.readouterr().err


def test_a_name_that_is_no_utf8_is_quarantined_and_told(tmp_path, capsys, here):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir(), (tmp_path / "boxes").mkdir()
    name = os.fsdecode(b"\xff\x1b[2J.mp4")
    videos.short(folder / "a.mp4", 6).rename(folder / name)
    (tmp_path / "boxes" / f"{name}.json").write_text(json.dumps({"frames": [BOX] * 6}))
    assert run(folder, out) == 1
    assert lines_of(out)[0]["item"] == name and "half of a character" in lines_of(out)[0]["reason"]
    said = capsys.readouterr().out
    assert "\\udcff\\x1b[2J.mp4" in said and "\x1b" not in said
    assert (out / "records.json").read_text() == "[]\n"


def test_two_batches_do_not_write_into_one_folder(clips, tmp_path):
    out = tmp_path / "out"
    (out / "items").mkdir(parents=True)
    (out / "quarantine.jsonl").write_text("")
    with batch.FileLock(out / ".lock"), pytest.raises(InstitError, match="another run"):
        annotate_all(requests_of(Request(clips, out)), out)
