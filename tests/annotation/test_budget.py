"""Money: never more than allowed, whatever an endpoint counts, and whoever is killed."""

import threading

import pytest
from faults import _fresh, answer, drops, envelope, server  # noqa: F401 - two are fixtures
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.annotation.budget import NANO, Prices, prompt_tokens
from instit_lite.annotation.client import Client
from instit_lite.annotation.ledger import Ledger
from instit_lite.annotation.pictures import encode_picture
from instit_lite.annotation.requests import Question
from instit_lite.annotation.schema import VIDEO, VideoReply
from instit_lite.errors import EndpointError, InstitError

PRICES = Prices(2.5, 10.0, 1445)


def connect(server, ledger=None, **more):
    given = {"prices": PRICES, "max_tokens": 40, "backoff": 0.001, "concurrency": 64}
    return Client.connect(server.base_url, "m", ledger, **{**given, **more})


def questions(count):
    return (Question(VIDEO, "s", [f"notes {i:04d}"], VideoReply) for i in range(count))


def counts(usage):
    return answer(200, envelope(usage=usage))


def spend(client, count=400):
    """Ask until the budget says no; return the number of answers."""
    told = []
    with pytest.raises(EndpointError, match="budget") as caught:
        told.extend(client.ask_all(questions(count)))
    assert caught.value.outcome == "fatal" and "Cure: raise the budget" in str(caught.value)
    return len(told)


@pytest.mark.parametrize("usage", (
    {"prompt_tokens": 30, "completion_tokens": 12}, None, {"prompt_tokens": "many"}, "worst",
))  # fmt: skip
def test_a_budget_is_never_overshot_and_is_used(server, tmp_path, usage):
    client = connect(server, tmp_path / "l", budget=0.02)
    tokens = prompt_tokens(client.request(*next(questions(1))), 0)
    told = {"prompt_tokens": tokens, "completion_tokens": 40} if usage == "worst" else usage
    server.fail([counts(told)] * 400)
    answered = spend(client)
    spent = client.spending.spent / NANO
    assert spent <= 0.02 and client.spending.reserved == 0
    assert answered >= 5 and spent > 0.02 - 64 * PRICES.cost(tokens, 40) / NANO
    each = PRICES.cost(30, 12) if usage and usage != "worst" and usage["prompt_tokens"] == 30 else PRICES.cost(tokens, 40)
    assert client.spending.spent == server.calls * each == client.ledger.spent


def test_failures_that_may_have_been_billed_count_and_others_do_not(server):
    client = connect(server, budget=1.0, retries=3)
    server.fail([answer(500), answer(429), drops, counts({"prompt_tokens": 1, "completion_tokens": 1})])
    list(client.ask_all(questions(1)))
    reserved = PRICES.cost(prompt_tokens(client.request(*next(questions(1))), 0), 40)
    assert client.spending.spent == reserved + PRICES.cost(1, 1)


def test_an_endpoint_that_counts_above_the_bound_is_reserved_more_for(server):
    client = connect(server, budget=0.05, concurrency=1)
    server.fail([counts({"prompt_tokens": 9000, "completion_tokens": 9})] * 400)
    spend(client)
    assert client.spending.spent / NANO <= 0.05 and server.calls == 2


def test_all_runs_with_a_ledger_share_its_budget(server, tmp_path):
    with connect(server, tmp_path / "l", budget=0.01) as client:
        first = spend(client)
    with connect(server, tmp_path / "l", budget=0.01) as client:
        assert spend(client) == first and client.asked == 0  # all from the ledger, then no more
    with connect(server, tmp_path / "l", budget=0.02) as client:
        assert spend(client) > first
        assert client.ledger.spent / NANO <= 0.02


def test_a_call_under_way_at_a_kill_counts_against_the_budget(server, tmp_path):
    ledger = Ledger(tmp_path / "l")
    ledger.begin("k", VIDEO, {}, int(0.01 * NANO))
    ledger.close()
    assert spend(connect(server, tmp_path / "l", budget=0.01)) == 0 and server.calls == 0


def test_threads_share_a_budget(server):
    client = connect(server, budget=0.01)
    outcomes = []

    def work(start):
        for i in range(start, start + 40):
            try:
                client.ask(VIDEO, "s", [str(i)], VideoReply)
                outcomes.append("done")
            except EndpointError as problem:
                outcomes.append(problem.outcome)

    threads = [threading.Thread(target=work, args=(40 * k,)) for k in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert set(outcomes) == {"done", "fatal"} and client.spending.spent / NANO <= 0.01


def test_a_budget_wants_prices_and_sets_a_longest_reply(server):
    with pytest.raises(InstitError, match="no price"):
        Client.connect(server.base_url, "m", budget=1.0)
    client = connect(server, budget=1.0, max_tokens=None)
    assert client.request(*next(questions(1)))["max_tokens"] == 4096


@given(text=st.text(max_size=300))
@settings(max_examples=50, deadline=None)
def test_the_bound_counts_every_byte_of_text(text):
    request = {"messages": [{"role": "system", "content": text}]}
    assert prompt_tokens(request, 0) >= len(text.encode("utf-8", "replace")) + 100


def test_pictures_count_as_their_price_says(server):
    import numpy as np

    picture = encode_picture(np.zeros((8, 8, 3), np.uint8))
    client = connect(server)
    with_two = client.request(VIDEO, "s", ["a", picture, picture], VideoReply)
    without = client.request(VIDEO, "s", ["a"], VideoReply)
    assert prompt_tokens(with_two, 1445) - prompt_tokens(without, 1445) == 2 * 1445

