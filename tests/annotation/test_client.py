"""The client against a server that fails on request: one typed error each, and no answer asked for twice."""

import asyncio
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from annotation_world import know, make_clip

from instit_lite.annotation.client import Client
from instit_lite.annotation.endpoint import LOOPBACK_KEY, choose_address, is_loopback, place_of_address
from instit_lite.annotation.equations import annotate_image
from instit_lite.annotation.ledger import ledger_key
from instit_lite.annotation.pictures import encode_picture
from instit_lite.annotation.requests import Manner, Question
from instit_lite.annotation.schema import Strict
from instit_lite.annotation.server import LoopbackServer, running, simulated_server
from instit_lite.errors import EndpointError, InstitError, OfflineRefused, ReplyError

KEY = "sk-test-canary-0123456789"


class Number(Strict):
    number: int


class Text(Strict):
    text: str


@pytest.fixture(scope="module")
def world():
    return make_clip(3, count=1, side=48)


@pytest.fixture()
def server(world):
    with simulated_server() as running:
        know(running, world[0], world[1])
        yield running


def connect(server, ledger=None, **settings):
    return Client.connect(server.base_url, ledger=ledger, **{"timeout": 5.0, "backoff": 0.001, **settings})


@pytest.mark.parametrize("faults", (["429"], ["500", "500"], ["not-json"]))
def test_a_fault_that_passes_ends_in_an_answer(server, world, faults):
    server.fail(faults)
    assert annotate_image(connect(server), world[0][0], "a.jpg").instances
    assert server.calls == len(faults) + 1


@pytest.mark.parametrize(
    "fault, error, calls, word",
    (
        ("401", EndpointError, 1, "key"),
        ("500", EndpointError, 3, "500"),
        ("truncated", ReplyError, 1, "cut short"),
        ("refusal", ReplyError, 1, "refused"),
        ("not-json", ReplyError, 2, "schema"),
    ),
)
def test_a_lasting_fault_ends_in_one_typed_error(server, world, fault, error, calls, word):
    server.fail([fault] * 9)
    with connect(server, retries=2) as client, pytest.raises(error) as caught:
        annotate_image(client, world[0][0], "a.jpg")
    assert server.calls == calls
    assert word in caught.value.reason and caught.value.cure and caught.value.path == server.base_url


def test_a_wrong_key_is_named_and_never_shown(world):
    with simulated_server(key="the-right-one") as server:
        know(server, world[0], world[1])
        with pytest.raises(EndpointError, match="refuses the key") as caught:
            annotate_image(connect(server, api_key=KEY), world[0][0], "a.jpg")
        assert KEY not in str(caught.value) and caught.value.__cause__ is None
        assert server.calls == 0
        assert annotate_image(connect(server, api_key="the-right-one"), world[0][0], "a.jpg").instances


def test_a_server_that_is_gone_is_said_to_be_unreachable(world):
    with simulated_server() as server:
        address = server.base_url
    with pytest.raises(EndpointError, match="cannot be reached") as caught:
        annotate_image(Client.connect(address, backoff=0.001, retries=1), world[0][0], "a.jpg")
    assert caught.value.path == address


def test_an_unknown_picture_is_refused_with_the_reason(server):
    with pytest.raises(EndpointError, match="does not know this picture"):
        annotate_image(connect(server), np.zeros((8, 8, 3), np.uint8), "a.jpg")
    assert server.calls == 1


@pytest.mark.parametrize(
    "address", ("https://api.openai.com/v1", "http://10.0.0.7:8000/v1", "http://127.0.0.1.evil.org/v1")
)
def test_nothing_leaves_the_machine_without_the_switch(address):
    with pytest.raises(OfflineRefused, match="outside this machine"):
        Client.connect(address, api_key=KEY)


def test_the_default_address_is_not_this_machine(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(OfflineRefused):
        Client.connect(api_key=KEY)


@pytest.mark.parametrize("key", (None, "", "  "))
def test_an_online_endpoint_needs_a_key(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", "") if key is None else None
    with pytest.raises(OfflineRefused, match="no API key"):
        Client.connect("https://api.openai.com/v1", online=True, api_key=key)


@pytest.mark.parametrize("key", ("sk-a b", "sk-a\nb", "sk-ä"))
def test_a_key_that_cannot_be_sent_is_refused_unshown(key):
    with pytest.raises(EndpointError) as caught:
        Client.connect("https://api.openai.com/v1", online=True, api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "address", ("api.example.org/v1", "ftp://127.0.0.1/v1", "http://127.0.0.1:port/v1", "http://")
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(EndpointError, match="not an http address"):
        choose_address(address, online=True)


def test_loopback_is_told_by_the_host_alone():
    assert all(map(is_loopback, ("http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]:9/v1")))
    assert place_of_address("http://127.0.0.1:5/v1") == place_of_address("http://localhost:6/v1")
    assert "secret" not in place_of_address("https://user:secret@api.example.org/v1")


def test_a_proxy_in_the_environment_does_not_break_loopback(server, world, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert annotate_image(connect(server), world[0][0], "a.jpg").instances


def test_a_second_run_asks_nothing(server, world, tmp_path):
    path = tmp_path / "calls" / "ledger.jsonl"
    first = connect(server, path)
    told = annotate_image(first, world[0][0], "a.jpg")
    again = connect(server, path)
    assert annotate_image(again, world[0][0], "a.jpg") == told
    assert (first.asked, first.reused, again.asked, again.reused) == (1, 0, 0, 1)
    assert server.calls == 1
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


OTHERS = {
    "model": {"model": "another"}, "temperature": {"temperature": 1.0}, "length": {"max_tokens": 9}, "seed": {"seed": 1},
    "address": {"path": "/other/v1"}, "kind": {"kind": "another"}, "system": {"system": "another"},
    "text": {"parts": ("another", 0, 1)}, "picture": {"parts": ("text", 0, 2)}, "order": {"parts": ("text", 1, 0)},
    "fewer": {"parts": ("text", 0)}, "schema": {"schema": Number},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_all_that_an_answer_depends_on_makes_another_question(tmp_path, name):
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (0, 1, 2)]

    def ask(path="/v1", kind="grade", system="s", parts=("text", 0, 1), schema=Text, model="m", manner=Manner(), **more):
        posted = [part if isinstance(part, str) else encode_picture(frames[part]) for part in parts]
        server = LoopbackServer(lambda _: {"text": "a"} if schema is Text else {"number": 1}, path)
        with running(server), Client.connect(server.base_url, model, tmp_path / "l", **more) as client:
            client.manner = manner
            client.ask(kind, system, posted, schema)
            key = ledger_key({"endpoint": place_of_address(client.address), **client.request(kind, system, posted, schema)})
            assert client.ledger.get(key)
            return client.asked

    assert [ask(), ask(), ask(manner=Manner("text", "max_completion_tokens", False))] == [1, 0, 0]
    assert [ask(**OTHERS[name]), ask(**OTHERS[name]), ask()] == [1, 0, 0]


@pytest.mark.parametrize("fault", ("refusal", "truncated", "not-json"))
def test_an_unusable_reply_is_kept_and_asked_again_next_time(server, world, tmp_path, fault):
    path = tmp_path / "ledger.jsonl"
    server.fail([fault] * 3)
    with pytest.raises(InstitError):
        annotate_image(connect(server, path, reasks=1), world[0][0], "a.jpg")
    assert path.read_text().count('"body"') >= 1
    server.faults.clear()
    client = connect(server, path)
    assert annotate_image(client, world[0][0], "a.jpg").instances
    assert (client.asked, client.reused) == (1, 0)


def test_an_attempt_without_a_reply_is_noted(server, world, tmp_path):
    path = tmp_path / "ledger.jsonl"
    server.fail(["500"])
    client = connect(server, path)
    annotate_image(client, world[0][0], "a.jpg")
    notes = [row for row in map(json.loads, path.read_text().splitlines()) if row["row"] == "end"]
    assert client.retried == 1 and [row["outcome"] for row in notes] == ["retry", "done"]
    assert "HTTP 500" in notes[0]["why"]


def test_a_loopback_endpoint_needs_no_key(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert connect(server).secret.get_secret_value() == server.key  # a key of the environment is for elsewhere
    monkeypatch.delenv("OPENAI_API_KEY")
    client = Client.connect("http://127.0.0.1:9/v1", api_key="none")
    assert client.secret.get_secret_value() == client.apis[0].api_key == LOOPBACK_KEY


def test_the_same_question_under_way_is_asked_once(world):
    with simulated_server() as server:
        know(server, world[0], world[1])
        client = connect(server, concurrency=8)
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda _: annotate_image(client, world[0][0], "a.jpg"), range(8)))
        assert server.calls == client.asked == 1 and all(t == told[0] for t in told)


def test_many_questions_are_answered_in_order_and_taken_as_they_are_needed(server):
    taken = []

    def questions():
        for i in range(40):
            taken.append(i)
            yield Question("grade", "s", [f"{i}"], Number)

    slow = LoopbackServer(lambda request: {"number": int(request["messages"][1]["content"][0]["text"])})
    with running(slow), connect(slow, concurrency=3) as client:
        replies = client.ask_all(questions())
        assert next(replies).number == 0 and len(taken) <= 1 + 2 * 3
        assert [reply.number for reply in replies] == list(range(1, 40))


def test_it_works_inside_a_running_event_loop(server, world):
    async def cell():
        return annotate_image(connect(server), world[0][0], "a.jpg")

    assert asyncio.run(cell()).instances


def test_a_closed_client_says_so(server, world):
    with connect(server) as client:
        pass
    with pytest.raises(EndpointError, match="closed"):
        annotate_image(client, world[0][0], "a.jpg")
