"""Decisions: nothing is lost by a kill, the last one counts, and only for the text that was judged."""

import json
import os
import signal
import subprocess
import sys
from threading import Thread

import pytest
from annotated import clip, clips, frame, two_frames
from hypothesis import given, settings

from instit_lite.dataset.decisions import KINDS, DecisionFile, items_of
from instit_lite.errors import InstitError

ITEMS = items_of("video 3", two_frames())


def names(annotation):
    return [str(item) for item in items_of("video 3", annotation)]


def test_every_text_is_an_item_in_reading_order():
    assert [(str(item), item.told) for item in ITEMS] == [
        ("video 3 <1> instance [1]", "a small red circle"), ("video 3 <1> instance [2]", "a large blue star"),
        ("video 3 <1> frame", "[1] is at the left of [2]."), ("video 3 <2> instance [2]", "a large blue star"),
        ("video 3 <2> frame", "[2] is there."), ("video 3 <2> change", "[1] leaves."),
        ("video 3 summary", "at <1> [1] is there. at <2> it leaves."), ("video 3 question 1", "left"),
    ]  # fmt: skip
    assert {item.kind for item in ITEMS} == set(KINDS)
    assert names(clip([frame(1, {1: " "}, "")], None, [("?", "\n")])) == []


@given(clips())
@settings(max_examples=50, deadline=None)
def test_no_two_items_share_a_name(annotation):
    found = names(annotation)
    assert len(set(found)) == len(found)


def test_the_last_decision_counts_and_is_there_after_reopening(tmp_path):
    file = DecisionFile(tmp_path, "ann")
    file.decide(ITEMS[0], "reject")
    file.decide(ITEMS[1], "edit", "a large <b>cyan</b> star\u2028")
    file.decide(ITEMS[0], "accept")
    again = DecisionFile(tmp_path, "ann")
    assert (again.of(ITEMS[0]).verdict, again.of(ITEMS[1]).text) == ("accept", "a large <b>cyan</b> star\u2028")
    assert again.of(ITEMS[2]) is None and again.damaged == 0
    assert len(again.path.read_text().split("\n")) == 4  # the file only grows


def test_a_text_that_has_changed_is_open_again(tmp_path):
    file = DecisionFile(tmp_path, "ann")
    for item in ITEMS:
        file.decide(item, "accept")
    other = items_of("video 3", clip(two_frames().frames, "another summary", [("where is [2]?", "left")]))
    assert [str(item) for item in other if file.of(item) is None] == ["video 3 summary", "video 3 question 1"]


def test_a_line_cut_short_at_any_byte_costs_that_line_alone(tmp_path):
    file = DecisionFile(tmp_path, "ann")
    file.decide(ITEMS[0], "accept")
    whole = file.path.read_bytes()
    file.decide(ITEMS[1], "edit", "größer")
    both = file.path.read_bytes()
    for cut in range(len(whole), len(both) - 1):
        file.path.write_bytes(both[:cut])
        torn = DecisionFile(tmp_path, "ann")
        assert torn.of(ITEMS[0]).verdict == "accept" and (torn.of(ITEMS[1]) is None or cut == len(both) - 1)
        torn.decide(ITEMS[2], "reject")
        after = DecisionFile(tmp_path, "ann")
        assert after.of(ITEMS[0]) and after.of(ITEMS[2]).verdict == "reject"


def test_lines_that_are_no_decisions_are_counted_and_passed_over(tmp_path):
    file = DecisionFile(tmp_path, "ann")
    file.decide(ITEMS[0], "accept")
    row = json.loads(file.path.read_text())
    lines = [{"item": str(ITEMS[0])}, row | {"verdict": "maybe"}, row | {"item": ["x"]}, [1], "null"]
    with open(file.path, "a") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    again = DecisionFile(tmp_path, "ann")
    assert again.of(ITEMS[0]).verdict == "accept" and again.damaged == 3


KILLED = """
import sys
from instit_lite.annotation.schema import *
from instit_lite.dataset.decisions import DecisionFile, Item
file = DecisionFile(sys.argv[1], "ann")
for n in range(100_000):
    file.decide(Item("video 1", "question", "yes", question="?", number=n + 1), "accept")
    print(n + 1, flush=True)
"""


def test_a_kill_loses_no_decision_that_was_kept(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    said = [int(child.stdout.readline()) for _ in range(40)]
    os.kill(child.pid, signal.SIGKILL)
    said += [int(line) for line in child.stdout.read().split(b"\n")[:-1]]
    child.wait()
    kept = DecisionFile(tmp_path, "ann").last
    assert len(said) >= 40 and all(f"video 1 question {n}" in kept for n in said)
    assert len(kept) <= len(said) + 1


def test_two_windows_of_one_reviewer_lose_nothing(tmp_path):
    def work(kind):
        for n in range(60):
            DecisionFile.decide(files[kind], items_of(f"{kind} {n}", two_frames())[0], "accept")

    files = {kind: DecisionFile(tmp_path, "ann") for kind in ("video", "image")}
    threads = [Thread(target=work, args=(kind,)) for kind in files]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(DecisionFile(tmp_path, "ann").last) == 120


@pytest.mark.parametrize("text", [None, "", " \n", ITEMS[0].told])
def test_an_edit_that_says_nothing_new_is_refused(text, tmp_path):
    file = DecisionFile(tmp_path, "ann")
    with pytest.raises(InstitError, match="blank or as before"):
        file.decide(ITEMS[0], "edit", text)
    assert file.of(ITEMS[0]) is None and not file.path.exists()


@pytest.mark.parametrize("name", ["", "../ann", "a/b", ".ann", "ann\n", "x" * 65])
def test_a_reviewer_is_no_path(name, tmp_path):
    with pytest.raises(InstitError, match="does not name a file"):
        DecisionFile(tmp_path, name)


def test_what_cannot_be_written_is_said_and_does_not_count(tmp_path):
    (tmp_path / "taken").write_text("no folder")
    file = DecisionFile(tmp_path / "taken", "ann")
    with pytest.raises(InstitError, match="was not kept"):
        file.decide(ITEMS[0], "accept")
    assert file.of(ITEMS[0]) is None
