"""Whatever an endpoint does, a question ends in one of eight outcomes, and no reply that came is lost."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from faults import (  # noqa: F401 - _fresh and server are fixtures
    GOOD, _fresh, answer, babbles, complains, drips, drops, envelope, hangs, redirects, refuses_fields, resets, server,
    tells,
)

from instit_lite.annotation.client import Client
from instit_lite.annotation.ledger import Ledger
from instit_lite.annotation.pictures import decode_picture, encode_picture
from instit_lite.annotation.replies import Outcome
from instit_lite.annotation.requests import Question
from instit_lite.annotation.schema import VIDEO, VideoReply
from instit_lite.annotation.server import LoopbackServer, running
from instit_lite.errors import EndpointError, InstitError, LedgerError, OfflineRefused

HTML = "<!DOCTYPE html><html>please log in</html>"
PAGE = answer(200, HTML, "text/html")
LATER = format_datetime(datetime.now(UTC) + timedelta(hours=2))
DEEP = '{"video_level_caption": ' + "[" * 50_000


def connect(server, ledger=None, **settings):
    quick = {"timeout": 5.0, "backoff": 0.001, "retries": 2}
    return Client.connect(server.base_url, "a-model", ledger, **{**quick, **settings})


def ask(client, text="notes", system="s"):
    return client.ask(VIDEO, system, [text], VideoReply).video_level_caption


def rows(path, kind):
    return [row for row in map(json.loads, path.read_text().splitlines()) if row["row"] == kind]


# name: faults in order, how the question ends, calls, and settings of the client
ONCE = {
    "429": ([complains(429, "slow down")], "done", 2),
    "500 twice": ([answer(500)] * 2, "done", 3),
    "408": ([answer(408)], "done", 2),
    "409": ([answer(409)], "done", 2),
    "425": ([answer(425)], "done", 2),
    "502": ([answer(502)], "done", 2),
    "504": ([answer(504)], "done", 2),
    "529 overloaded": ([answer(529)], "done", 2),
    "429 many times is no failure": ([complains(429, "slow down")] * 7, "done", 8),
    "429 insufficient_quota": ([complains(429, "You exceeded your quota", "insufficient_quota")], "fatal", 1),
    "402": ([complains(402, "no credit")], "fatal", 1),
    "Retry-After 121 s": ([complains(429, "later", Retry_After="121")], "fatal", 1, {"patience": 60}),
    "Retry-After a date": ([complains(503, "later", Retry_After=LATER)], "fatal", 1, {"patience": 60}),
    "Retry-After nonsense": ([complains(503, "later", Retry_After="soon")], "done", 2),
    "503 with a page": ([answer(503, HTML, "text/html")], "done", 2),
    "a page for good": ([PAGE] * 9, "fatal", 3, {"retries": 5}),
    "a page once": ([PAGE], "done", 2),
    "broken JSON": ([answer(200, '{"choices": [')], "done", 2),
    "broken JSON for good": ([answer(200, '{"choices": [')] * 3, "quarantined", 3),
    "empty body": ([answer(200)], "done", 2),
    "204": ([answer(204)], "done", 2),
    "200 with an error": ([answer(200, {"error": {"message": "no"}})] * 3, "quarantined", 3),
    "choices null": ([answer(200, {"choices": None})] * 3, "quarantined", 3),
    "choices empty": ([answer(200, {"choices": []})] * 3, "quarantined", 3),
    "choices of numbers": ([answer(200, {"choices": [1]})] * 3, "quarantined", 3),
    "a list": ([answer(200, [])] * 3, "quarantined", 3),
    "deep nesting in the body": ([answer(200, "[" * 100_000)], "done", 2),
    "finish length": ([tells(GOOD[:9], finish="length")], "truncated", 1),
    "finish length, then longer": ([tells(GOOD[:9], finish="length")], "done", 2, {"max_tokens": 9}),
    "finish length, and again": ([tells(GOOD[:9], finish="length")] * 2, "truncated", 2, {"max_tokens": 9}),
    "content_filter": ([tells("", finish="content_filter")], "filtered", 1),
    "refusal": ([tells(None, refusal="I cannot.")], "refused", 1),
    "content null": ([tells(None)], "done", 2),
    "content null for good": ([tells(None)] * 2, "quarantined", 2),
    "content empty": ([tells(" ")], "done", 2),
    "content a list": ([tells([{"type": "text", "text": "x"}])], "done", 2),
    "fenced": ([tells(f"```json\n{GOOD}\n```")], "done", 1),
    "thoughts": ([tells(f"<think>{{so}}</think>{GOOD}")], "done", 1),
    "thoughts without a beginning": ([tells(f"so {{it}} is</think>{GOOD}")], "done", 1),
    "prose around": ([tells(f"Here you are: {GOOD} I hope it helps.")], "done", 1),
    "bad schema": ([tells('{"answer": 42}')], "done", 2),
    "bad schema for good": ([tells('{"answer": 42}')] * 3, "quarantined", 3, {"reasks": 2}),
    "no JSON": ([tells("I see two shapes.")], "done", 2),
    "NaN": ([tells('{"video_level_caption": NaN}')], "done", 2),
    "NUL": ([tells('{"video_level_caption": "a\\u0000b"}')], "done", 2),
    "lone surrogate": ([tells('{"video_level_caption": "\\ud83d"}')], "done", 2),
    "lone surrogate as it is": ([answer(200, json.dumps(envelope('{"video_level_caption": "\ud83d"}')))], "done", 2),
    "a name twice": ([tells('{"video_level_caption": "a", "video_level_caption": "b"}')], "done", 2),
    "deep nesting in the text": ([tells(DEEP)], "done", 2),
    "an endless number": ([tells('{"video_level_caption": ' + "9" * 9000 + "}")], "done", 2),
    "no usage": ([answer(200, envelope(usage=None))], "done", 1),
    "usage nonsense": ([answer(200, envelope(usage={"prompt_tokens": -1, "completion_tokens": True}))], "done", 1),
    "unknown finish_reason": ([tells(GOOD, finish="eos")], "done", 1),
    "not UTF-8": ([answer(200, b'{"choices": "\xff\xfe"}')], "done", 2),
    "broken gzip": ([answer(200, b"no gzip", Content_Encoding="gzip")], "done", 2),
    "drop": ([drops], "done", 2),
    "drop for good": ([drops] * 3, "quarantined", 3),
    "reset": ([resets], "done", 2),
    "no HTTP": ([babbles], "done", 2),
    "hang": ([hangs], "done", 2, {"timeout": 0.7}),
    "drip in the body": ([drips(head=False)], "done", 2, {"timeout": 0.7}),
    "drip in the head": ([drips(head=True)], "done", 2, {"timeout": 0.7}),
    "redirect in a circle": ([redirects] * 30, "fatal", 1),
    "redirect to a login": ([answer(302, Location="http://login.example.org/?token=1")], "fatal", 1),
    "400 image": ([complains(400, "Invalid image data", "invalid_image")], "quarantined", 1),
    "422": ([complains(422, "cannot be processed")], "quarantined", 1),
    "418": ([complains(418, "I am a teapot")], "quarantined", 1),
    "400 context length": ([complains(400, "too long", "context_length_exceeded")] * 2, "quarantined", 2),
    "413": ([answer(413, "Payload Too Large", "text/plain")], "done", 2),
    "401": ([complains(401, "Incorrect API key provided: sk-abcdefgh12345678")], "fatal", 1),
    "403": ([complains(403, "not in your country")], "fatal", 1),
    "404 model": ([complains(404, "The model does not exist", "model_not_found")], "fatal", 1),
    "no response_format": ([refuses_fields("response_format")] * 3, "done", 3),
    "no json_schema": ([complains(400, "'response_format' of type 'json_schema' is not supported")], "done", 2),
    "no temperature": ([refuses_fields("temperature")] * 2, "done", 2),
    "no max_tokens": ([complains(400, "Use 'max_completion_tokens' instead.")], "done", 2, {"max_tokens": 50}),
}  # fmt: skip


@pytest.mark.parametrize("name", ONCE)
def test_each_fault_ends_in_its_outcome(server, tmp_path, name):
    faults, outcome, calls, settings = (*ONCE[name], {})[:4]
    server.fail(faults)
    begun = time.monotonic()
    with connect(server, tmp_path / "ledger", **settings) as client:
        try:
            assert ask(client) == "[1] waits at <1>."
            ended = Outcome.DONE
        except InstitError as problem:
            assert problem.reason and problem.cure and problem.path == server.base_url
            assert problem.__cause__ is None and problem.__context__ is None
            ended = problem.outcome
    assert (ended, server.calls) == (outcome, calls)
    assert time.monotonic() - begun < 20
    asked, ends = rows(tmp_path / "ledger", "ask"), rows(tmp_path / "ledger", "end")
    assert len(asked) == len(ends) == calls
    assert not name.startswith(("hang", "drip")) or "did not answer within 0.7 s" in ends[0]["why"]
    assert ends[-1]["outcome"] == outcome and {row["outcome"] for row in ends[:-1]} <= {"retry", "reask"}
    assert len(rows(tmp_path / "ledger", "reply")) == calls - sum(f in UNANSWERED for f in faults[:calls]) - (
        name.startswith(("drip", "broken gzip")))  # fmt: skip


UNANSWERED = (drops, resets, babbles, hangs)


def noting(seen, fault=tells(GOOD)):
    """A fault that notes the request first."""
    return lambda handler, body: seen.append(json.loads(body)) or fault(handler, body)


def slowly(seconds, fault):
    return lambda handler, body: time.sleep(seconds) or fault(handler, body)


def test_there_are_at_least_forty_modes_and_the_eight_outcomes_are_all_met():
    assert len(ONCE) >= 46
    assert {outcome for _, outcome, *_ in ONCE.values()} | {"retry", "reask"} == set(Outcome)


def test_a_reask_shows_the_model_what_was_wrong(server):
    seen = []
    server.fail([tells('{"answer": 42}'), noting(seen)])
    ask(connect(server))
    roles = [message["role"] for message in seen[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert seen[0]["messages"][2]["content"] == '{"answer": 42}'
    assert "video_level_caption: Field required" in seen[0]["messages"][3]["content"]


def test_without_json_schema_the_schema_travels_in_the_text_and_is_remembered(server):
    seen = []
    server.fail([*[refuses_fields("response_format")] * 3, noting(seen)])
    client = connect(server)
    ask(client)
    ask(client, "other notes")
    assert "response_format" not in seen[0] and '"video_level_caption"' in seen[0]["messages"][0]["content"]


def test_pictures_are_halved_once_where_they_are_too_large(server):
    seen = []
    server.fail([noting(seen, complains(413, "too large")), noting(seen)])
    picture = encode_picture(np.zeros((30, 40, 3), np.uint8))
    connect(server).ask(VIDEO, "s", [picture], VideoReply)
    posted = [request["messages"][1]["content"][0]["image_url"]["url"] for request in seen]
    assert [decode_picture(uri).shape for uri in posted] == [(30, 40, 3), (15, 20, 3)]


def test_retry_after_is_waited_for_and_holds_everybody(server):
    server.fail([complains(429, "later", Retry_After="0.4")])
    client = connect(server, concurrency=8)
    begun = time.monotonic()
    list(client.ask_all(Question(VIDEO, "s", [str(i)], VideoReply) for i in range(3)))
    assert 0.4 <= time.monotonic() - begun


def test_an_endpoint_that_is_down_stops_the_run_and_the_next_run_goes_on(server, tmp_path):
    server.fail(["ok"] * 3 + [answer(500)] * 500)
    client, served = connect(server, tmp_path / "l", retries=1, give_up=3, concurrency=1), 0
    outcomes = []
    for i in range(20):
        try:
            ask(client, str(i))
            served += 1
        except EndpointError as problem:
            outcomes.append(problem.outcome)
    assert served == 3 and outcomes[:3] == ["quarantined", "quarantined", "fatal"] and set(outcomes[2:]) == {"fatal"}
    assert server.calls == 3 + 3 * 2
    client.close()
    server.faults.clear()
    with connect(server, tmp_path / "l") as again:
        assert all(ask(again, str(i)) for i in range(20))
        assert (again.reused, again.asked) == (3, 17)


def test_a_fatal_answer_frees_those_who_wait(server):
    server.fail([slowly(0.5, complains(429, "later", Retry_After="30")), slowly(1.0, complains(401, "no"))])
    begun = time.monotonic()
    client = connect(server, concurrency=2, backoff=30)
    with pytest.raises(EndpointError):
        list(client.ask_all(Question(VIDEO, "s", [str(i)], VideoReply) for i in range(9)))
    with pytest.raises(EndpointError, match="refuses the key"):
        ask(client, "later")
    assert time.monotonic() - begun < 20 and server.calls == 2


def test_a_busy_endpoint_is_asked_less_and_less(server):
    client = connect(server, concurrency=32)
    server.fail([complains(429, "slow down")])
    ask(client)
    assert 16 <= client.throttle.limit < 17
    list(client.ask_all(Question(VIDEO, "s", [str(i)], VideoReply) for i in range(40)))
    assert 17.5 <= client.throttle.limit < 19  # and a little more after each round that goes well


# the environment


def test_proxies_and_certificates_of_the_environment_do_not_concern_loopback(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    assert ask(connect(server))


@pytest.mark.parametrize("name, value", (("ALL_PROXY", "socks5://127.0.0.1:9"), ("SSL_CERT_FILE", "/nowhere/ca.pem")))
def test_elsewhere_they_end_in_a_typed_error(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(EndpointError, match="proxy or certificates") as caught:
        Client.connect("https://annotator.invalid/v1", online=True, api_key="sk-canary-0123456789")
    assert "SSL_CERT_FILE" in caught.value.cure


def test_a_campus_proxy_is_used_for_an_address_elsewhere(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = Client.connect("http://annotator.invalid/v1", "m", online=True, api_key="k" * 20, retries=0)
    with pytest.raises(EndpointError, match="refuses the key"):  # the server as a proxy: it wants its own Host
        ask(client)


@pytest.mark.parametrize("path, outcome", (("", "fatal"), ("/v2", "fatal")))
def test_a_wrong_path_is_fatal(server, path, outcome):
    client = Client.connect(server.base_url.removesuffix("/v1") + path, backoff=0.001)
    with pytest.raises(EndpointError, match="404") as caught:
        ask(client)
    assert caught.value.outcome == outcome


@pytest.mark.parametrize("address", ("http://u:secret@127.0.0.1:1/v1", "http://127.0.0.1:1/v1?key=secret"))
def test_an_address_with_a_secret_is_refused_unshown(address):
    with pytest.raises(EndpointError, match="password or a query") as caught:
        Client.connect(address)
    assert "secret" not in str(caught.value)


def test_a_localhost_that_is_ipv6_only_is_reached_or_named(server):
    import socket

    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    class Six(LoopbackServer):
        address_family = socket.AF_INET6

        def server_bind(self):
            self.server_address = ("::1", 0)
            super().server_bind()

    try:
        six = Six(lambda _: json.loads(GOOD))
    except OSError:
        pytest.skip("no IPv6 address here")
    with running(six):
        port = six.server_address[1]
        with pytest.raises(EndpointError, match="cannot be reached"):
            ask(Client.connect(f"http://127.0.0.1:{port}/v1", retries=0, backoff=0.001))
        with pytest.raises(EndpointError, match="403"):  # reached: the server does not know the Host [::1]
            ask(Client.connect(f"http://[::1]:{port}/v1", retries=0, backoff=0.001, api_key=six.key))


def test_a_server_that_goes_in_the_middle_of_a_run_costs_no_answer(tmp_path):
    questions = [Question(VIDEO, "s", [str(i)], VideoReply) for i in range(12)]
    first = LoopbackServer(lambda _: json.loads(GOOD))
    with running(first):
        client = connect(first, tmp_path / "l", concurrency=2)
        replies = client.ask_all(questions)
        told = [next(replies) for _ in range(4)]
    with pytest.raises(EndpointError, match="cannot be reached"):
        list(replies)
    client.close()
    kept = len({row["key"] for row in rows(tmp_path / "l", "reply")})
    assert kept >= len(told) == 4
    second = LoopbackServer(lambda _: json.loads(GOOD))
    with running(second), connect(second, tmp_path / "l") as again:
        assert len(list(again.ask_all(questions))) == 12
        assert (again.reused, again.asked) == (kept, 12 - kept)


def test_a_full_disk_stops_before_the_next_call_is_paid(server, tmp_path, monkeypatch):
    client = connect(server, tmp_path / "l")
    ask(client)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(LedgerError, match="space") as caught:
        ask(client, "another")
    assert caught.value.outcome == "fatal" and server.calls == 1
    assert ask(client) and client.reused == 1


def test_a_reply_that_the_disk_does_not_take_is_served_and_rescued(server, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    client = connect(server, tmp_path / "l")
    write = Ledger.append

    def full(self, row):
        if row["row"] == "reply":
            raise OSError(122, "Disk quota exceeded")
        write(self, row)

    monkeypatch.setattr(Ledger, "append", full)
    assert ask(client)  # paid, and not lost
    with pytest.raises(LedgerError, match="quota") as caught:
        ask(client, "another")
    assert server.calls == 1
    monkeypatch.setattr(Ledger, "append", write)
    with pytest.raises(LedgerError), client:
        pass
    (rescued,) = (tmp_path / "tmp").iterdir()
    assert str(rescued) in caught.value.cure
    (tmp_path / "l").write_text((tmp_path / "l").read_text() + rescued.read_text())
    with connect(server, tmp_path / "l") as again:
        assert ask(again) and again.reused == 1


def test_a_second_run_on_a_ledger_is_refused_while_the_first_lasts(server, tmp_path):
    code = ("import sys; from instit_lite.annotation.ledger import Ledger; from instit_lite.errors import LedgerError\n"
            "try: Ledger(sys.argv[1])\nexcept LedgerError as p: print(p); sys.exit(3)\n")  # fmt: skip

    def other():
        return subprocess.run([sys.executable, "-c", code, tmp_path / "l"], capture_output=True, text=True)

    with connect(server, tmp_path / "l") as client:
        ask(client)
        done = other()
        assert done.returncode == 3 and "another run" in done.stdout
    assert other().returncode == 0


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch):
    def none(self):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("filelock.FileLock._acquire", none)
    with pytest.warns(UserWarning, match="no locks"):
        ledger = Ledger(tmp_path / "l")
    ledger.keep("k", ledger.begin("k", "kind", {}, None), 200, "body")
    ledger.close()
    with pytest.warns(UserWarning):
        assert Ledger(tmp_path / "l").get("k") == "body"


def test_a_clock_that_jumps_changes_nothing(server, monkeypatch):
    jumps = iter([0, 4e9, -4e9] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    server.fail([complains(429, "later", Retry_After="0.1"), answer(500)])
    assert ask(connect(server, patience=10))


def test_offline_is_the_default(server):
    with pytest.raises(OfflineRefused) as caught:
        Client.connect("https://api.openai.com/v1", api_key="k" * 20)
    assert caught.value.outcome == "fatal" and not os.environ.get("OPENAI_API_KEY")
