"""A canary key never reaches an output, a log, a ledger or a traceback, however talkative."""

import logging
import traceback

import pytest
from faults import answer, complains, drops, tells

from instit_lite.annotation.client import Client
from instit_lite.annotation.endpoint import choose_key, scrub
from instit_lite.annotation.schema import VIDEO, VideoReply
from instit_lite.annotation.server import LoopbackServer, running
from instit_lite.errors import InstitError

CANARY = "sk-canary-9f8e7d6c5b4a3210"
ECHO = {"Authorization": f"Bearer {CANARY}", "x-request-id": CANARY}
LEAKS = {
    "401 that repeats the key": [complains(401, f"Incorrect API key provided: {CANARY}.")],
    "400 that repeats the key": [complains(400, f"bad header Bearer {CANARY}")],
    "500 that repeats the key": [complains(500, f"cannot use {CANARY}")] * 4,
    "a page that repeats the key": [answer(200, f"<html>{CANARY}", "text/html")] * 4,
    "headers that repeat the key": [answer(500, "", **ECHO)] * 4,
    "a redirect with the key": [answer(302, Location=f"http://x.invalid/{CANARY}?k={CANARY}")],
    "a refusal with the key": [tells(None, refusal=f"no: {CANARY}")],
    "a reply with the key": [tells(f'{{"video_level_caption": "{CANARY}"}}')],
    "a bad reply with the key": [tells(f'{{"{CANARY}": 1}}')] * 4,
    "a lost connection": [drops] * 4,
}


@pytest.mark.parametrize("name", LEAKS)
def test_the_key_is_nowhere(tmp_path, caplog, capfd, name):
    caplog.set_level(logging.DEBUG)
    server = LoopbackServer(lambda _: {}, key=CANARY)
    server.fail(LEAKS[name])
    shown = []
    with running(server):
        client = Client.connect(server.base_url, "m", tmp_path / "l", api_key=CANARY, retries=3, backoff=0.001)
        try:
            shown.append(repr(client.ask(VIDEO, "s", ["notes"], VideoReply)))
        except InstitError as problem:
            shown += tell(problem)
        client.close()
    shown += [repr(client), caplog.text, (tmp_path / "l").read_text(), *capfd.readouterr()]
    assert shown and not [text for text in shown if CANARY in text]


def tell(problem):
    """All that a notebook could show of an error: its text, its traceback with every local variable of ours."""
    told = traceback.TracebackException.from_exception(problem, capture_locals=True)
    assert problem.__cause__ is None and problem.__context__ is None
    here = __file__
    for frame in told.stack:
        if frame.filename == here:
            frame.locals = None  # the caller's own variables
    return [str(problem), repr(problem), "".join(told.format(chain=True))]


@pytest.mark.parametrize("key", (f"{CANARY} ", f"{CANARY}\n", f"{CANARY}ä"))
def test_a_key_that_cannot_be_sent_is_refused_unshown(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    for given in (key, None):
        with pytest.raises(InstitError) as caught:
            Client.connect("https://annotator.invalid/v1", online=True, api_key=given)
        assert not [text for text in tell(caught.value) if CANARY in text]


def test_unusable_proxies_do_not_show_the_key(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", f"socks5://me:{CANARY}@127.0.0.1:9")
    with pytest.raises(InstitError) as caught:
        Client.connect("https://annotator.invalid/v1", online=True, api_key=CANARY)
    assert not [text for text in tell(caught.value) if CANARY in text]


def test_short_placeholders_are_no_secrets():
    assert scrub("EMPTY is a word", choose_key("EMPTY", "http://127.0.0.1:1/v1")) == "EMPTY is a word"
    key = choose_key(CANARY, "http://127.0.0.1:1/v1")
    assert scrub(f"a {CANARY} b", key) == "a *** b"
