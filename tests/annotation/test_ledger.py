"""The ledger keeps what arrived, whatever happened to the run that wrote it."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.annotation.ledger import Ledger, ledger_key
from instit_lite.errors import InstitError


@given(cut=st.integers(0, 200), text=st.text(max_size=20))
@settings(max_examples=40, deadline=None)
def test_a_torn_last_line_costs_that_line_alone(tmp_path_factory, cut, text):
    path = tmp_path_factory.mktemp("ledger") / "calls.jsonl"
    first = Ledger(path)
    first.keep("a", "frame", "first")
    whole = path.stat().st_size
    first.keep("b", "frame", text)
    path.write_bytes(path.read_bytes()[: max(whole, path.stat().st_size - 1 - cut)])
    second = Ledger(path)
    assert second.get("a") == "first"
    second.keep("c", "frame", "third")
    third = Ledger(path)
    assert (third.get("a"), third.get("c")) == ("first", "third")


def test_the_last_body_of_a_key_counts(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl")
    ledger.keep("a", "frame", "spoilt")
    ledger.keep("a", "frame", "good 😀 ü")
    assert Ledger(tmp_path / "calls.jsonl").get("a") == ledger.get("a") == "good 😀 ü"


def test_threads_do_not_tear_lines(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl")
    work = [threading.Thread(target=ledger.keep, args=(str(i), "frame", "x" * 5000)) for i in range(24)]
    [t.start() for t in work], [t.join() for t in work]
    again = Ledger(tmp_path / "calls.jsonl")
    assert len(again.bodies) == 24 and again.damaged == 0


def test_a_note_is_no_answer(tmp_path):
    Ledger(tmp_path / "calls.jsonl").note("a", "frame", "HTTP 500")
    assert Ledger(tmp_path / "calls.jsonl").get("a") is None


def test_the_key_depends_on_content_not_on_order():
    assert ledger_key({"a": 1, "b": 2}) == ledger_key({"b": 2, "a": 1}) != ledger_key({"a": 1, "b": 3})


def test_a_folder_is_no_ledger(tmp_path):
    with pytest.raises(InstitError, match="cannot be read or written") as caught:
        Ledger(tmp_path)
    assert caught.value.path == str(tmp_path) and caught.value.cure


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ledger = Ledger()
    ledger.keep("a", "frame", "body")
    assert ledger.get("a") == "body" and not list(tmp_path.iterdir())
