"""The ledger keeps what arrived, whatever happened to the run that wrote it."""

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.annotation.ledger import Ledger, ledger_key
from instit_lite.errors import LedgerError


def keep(ledger, key, body, cost=3):
    call = ledger.begin(key, "frame", {"model": "m"}, 5)
    ledger.keep(key, call, 200, body)
    ledger.end(key, call, "done", cost=cost)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@given(cut=st.integers(0, 900), text=st.text(max_size=20))
@settings(max_examples=40, deadline=None)
def test_a_torn_end_costs_what_was_torn_alone(tmp_path_factory, cut, text):
    path = tmp_path_factory.mktemp("ledger") / "calls.jsonl"
    first = Ledger(path)
    keep(first, "a", "first")
    whole = path.stat().st_size
    keep(first, "b", text)
    path.write_bytes(path.read_bytes()[: max(whole, path.stat().st_size - 1 - cut)])
    second = Ledger(path)
    assert second.get("a") == "first" and second.get("b") in (text, None)
    keep(second, "c", "third")
    third = Ledger(path)
    assert (third.get("a"), third.get("c"), third.damaged) == ("first", "third", second.damaged)


def test_the_last_body_of_a_key_counts(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl")
    keep(ledger, "a", "spoilt")
    keep(ledger, "a", "good 😀 ü \ud800")
    assert Ledger(tmp_path / "calls.jsonl").get("a") == ledger.get("a") == "good 😀 ü \ud800"


def test_threads_do_not_tear_lines(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl")
    work = [threading.Thread(target=keep, args=(ledger, str(i), "x" * 5000)) for i in range(24)]
    [t.start() for t in work], [t.join() for t in work]
    again = Ledger(tmp_path / "calls.jsonl")
    assert len(again.bodies) == 24 and again.damaged == 0
    assert {again.get(str(i)) for i in range(24)} == {ledger.get(str(i)) for i in range(24)} == {"x" * 5000}


def test_a_failure_is_no_answer(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl")
    call = ledger.begin("a", "frame", {}, None)
    ledger.keep("a", call, 500, "{}")
    ledger.end("a", call, "retry", "HTTP 500")
    again = Ledger(tmp_path / "calls.jsonl")
    assert again.get("a") is None and again.last == {"a": "retry"}


def test_calls_under_way_at_a_kill_count_at_their_most(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl")
    keep(ledger, "a", "body", cost=3)
    ledger.begin("b", "frame", {}, 5)
    assert ledger.spent == Ledger(tmp_path / "calls.jsonl").spent == 8
    assert list(Ledger(tmp_path / "calls.jsonl").open) == [2]


def test_long_texts_stand_once(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl")
    for i in range(3):
        ledger.begin(str(i), "frame", {"system": "long " * 100, "schema": {"type": "object" * 100}}, None)
    again = Ledger(tmp_path / "calls.jsonl")
    again.begin("4", "frame", {"system": "long " * 100}, None)
    texts = [row["text"] for row in rows(tmp_path / "calls.jsonl") if row["row"] == "text"]
    assert len(texts) == 2 and "long " * 100 in texts


def test_the_key_depends_on_content_not_on_order():
    assert ledger_key({"a": 1, "b": 2}) == ledger_key({"b": 2, "a": 1}) != ledger_key({"a": 1, "b": 3})


def test_a_folder_is_no_ledger(tmp_path):
    with pytest.raises(LedgerError, match="cannot be read or written") as caught:
        Ledger(tmp_path)
    assert caught.value.path == str(tmp_path) and caught.value.cure


def test_foreign_lines_are_passed_over(tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"key": "old", "body": "x"}\n[]\n\xff\xfe\n17\n{"row": "reply", "key": "a", "status": "x"}\n')
    ledger = Ledger(path)
    assert ledger.damaged == 5
    keep(ledger, "a", "body")
    assert Ledger(path).get("a") == "body"


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ledger = Ledger()
    keep(ledger, "a", "body")
    assert ledger.get("a") == "body" and not list(tmp_path.iterdir())
