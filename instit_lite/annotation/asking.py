"""All calls for one question. In: a question and a client's settings. Out: the verdict that stands.

The loop is our own, because a retry that the ledger does not see is money that nobody counts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import openai

from .budget import NANO, prompt_tokens
from .endpoint import scrub
from .pictures import halve_picture
from .replies import WEB_PAGE, Outcome, Verdict, judge
from .requests import Manner, Question, body_of, correction, wire_request

if TYPE_CHECKING:
    from .client import Client

LONGEST_WAIT = 30.0  # seconds between two calls, where the endpoint does not ask for more
WEB_PAGES = 3  # after so many pages in place of replies the run stops
TOO_LARGE = ("http 413", "context_length", "context length", "too large", "maximum context")


class Asking:
    """One question on its way to an answer."""

    def __init__(self, client: Client, question: Question, key: str, request: dict) -> None:
        self.client, self.question, self.key, self.request = client, question, key, request
        self.pictures = question.pictures
        self.retries, self.reasks = client.retries, client.reasks
        self.corrections: list[dict] = []
        self.calls = self.pages = 0
        self.wait = self.waited = 0.0
        self.lengthened = self.halved = False

    async def run(self) -> Verdict:
        """Call until a verdict stands."""
        while True:
            self.wait = 0.0
            verdict = await self.call()
            if verdict.outcome not in (Outcome.RETRY, Outcome.REASK):
                return verdict
            if self.wait:
                await self.client.throttle.rest(self.wait)

    async def call(self) -> Verdict:
        """Wait for the right to send, note the call, send it, keep what came, judge it, and settle what it cost."""
        client, prices, longest = self.client, self.client.prices, self.request.get("max_tokens", 0)
        asked = self.request | {"messages": [*self.request["messages"], *self.corrections]}
        tokens = prompt_tokens(asked, prices.picture_tokens if prices else 0)
        most = client.spending.most(prices.cost(tokens, longest)) if prices else 0
        async with client.throttle.slot(most) as fits:
            if client.stopped is not None or not fits:
                client.spending.settle(most if fits else 0, 0)
                return client.stopped or self.over_budget()
            cost = 0
            try:
                manner = client.manner
                request = wire_request(self.request, manner, self.corrections)
                call = client.ledger.begin(self.key, self.question.kind, request, most if prices else None)
                cost = most
                answer = await self.send(call, body_of(request, self.pictures))
                verdict = answer if isinstance(answer, Verdict) else await self.read(call, *answer)
                verdict = self.decide(verdict, manner)
                if not verdict.billed:
                    cost = 0
                elif verdict.tokens and prices:
                    cost = prices.cost(*verdict.tokens)
                client.ledger.end(self.key, call, verdict.outcome, verdict.reason, cost, verdict.tokens)
            finally:
                client.spending.settle(most, cost)
        return verdict

    async def send(self, call: int, content: bytes) -> tuple[int, Mapping[str, str], str] | Verdict:
        """Post under one deadline for all of it; the library's own starts anew at every byte."""
        client = self.client
        options = {"headers": {"Content-Type": "application/json"}, "timeout": client.timeout}
        try:
            async with asyncio.timeout(client.timeout):
                response = await client.apis[call % len(client.apis)].post(
                    "/chat/completions", content=content, cast_to=httpx2.Response, options=options
                )
        except openai.APIStatusError as raised:
            response = raised.response
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException):
            reason = f"did not answer within {client.timeout:g} s"
            return Verdict(Outcome.RETRY, reason, "try later, or raise timeout")
        except Exception as raised:  # whatever a library raises here is a call that failed, and no more
            unsent = isinstance(raised.__cause__, httpx2.ConnectError)
            reason = "cannot be reached" if isinstance(raised, openai.APIConnectionError) else type(raised).__name__
            return Verdict(Outcome.RETRY, reason, "check the address, or start the server", billed=not unsent)
        return response.status_code, response.headers, response.content.decode("utf-8", "replace")

    async def read(self, call: int, status: int, headers: Mapping[str, str], body: str) -> Verdict:
        """Judge an answer, which is in the ledger before that."""
        client = self.client
        body = scrub(body, client.secret)
        headers = {name: scrub(value, client.secret) for name, value in headers.items()}
        client.ledger.keep(self.key, call, status, body)
        if client.paid:
            await asyncio.to_thread(client.ledger.sync)
        client.asked += status < 300
        return judge(status, headers, body, self.question.kind, self.question.schema)

    def decide(self, verdict: Verdict, manner: Manner) -> Verdict:
        """Say whether a call shall be followed by another one, and change what that one asks."""
        if verdict.outcome == Outcome.RETRY:
            return self.pause(verdict)
        self.client.throttle.quicken()
        self.client.gave_up = 0
        match verdict.outcome:
            case Outcome.REASK if self.reasks:
                self.reasks -= 1
                if self.question.schema is not None:
                    schema = self.question.schema.model_json_schema()
                    self.corrections = correction(verdict.content, verdict.reason, schema)
                if verdict.content and "{" not in verdict.content:  # prose: the endpoint ignores the schema unsaid
                    self.client.manner = replace(manner, format="text")
            case Outcome.REASK:
                return replace(verdict, outcome=Outcome.QUARANTINED)
            case Outcome.TRUNCATED if not self.lengthened and "max_tokens" in self.request:
                self.lengthened = True
                self.request = self.request | {"max_tokens": 2 * self.request["max_tokens"]}
                return replace(verdict, outcome=Outcome.RETRY)
            case Outcome.QUARANTINED if self.yields(verdict, manner):
                return replace(verdict, outcome=Outcome.RETRY)
        return verdict

    def yields(self, verdict: Verdict, manner: Manner) -> bool:
        """Ask in another manner, or with smaller pictures, where that is what the endpoint complains of."""
        conceded = manner.concede(verdict.content)
        if conceded is not None:
            self.client.manner = conceded if self.client.manner == manner else self.client.manner
            return True
        if self.halved or not any(word in f"{verdict.reason} {verdict.content}".lower() for word in TOO_LARGE):
            return False
        self.halved, self.pictures = True, [halve_picture(picture) for picture in self.pictures]
        return True

    def pause(self, verdict: Verdict) -> Verdict:
        """Choose how long to wait after a failure that passes; give up where it does not seem to pass."""
        client = self.client
        client.throttle.slow()
        self.pages += verdict.reason.startswith(WEB_PAGE)
        if self.pages >= WEB_PAGES:
            return replace(verdict, outcome=Outcome.FATAL)
        if not verdict.busy and not self.retries:  # several questions in a row: the endpoint is down
            client.gave_up += 1
            down = client.gave_up >= client.give_up
            return replace(verdict, outcome=Outcome.FATAL if down else Outcome.QUARANTINED)
        self.retries -= not verdict.busy  # a busy endpoint is no failure of this question
        backoff = min(LONGEST_WAIT, client.backoff * 2 ** min(self.calls, 20) * random.uniform(0.75, 1.25))
        self.wait = max(backoff, verdict.wait or 0.0)
        self.calls += 1
        self.waited += self.wait
        if self.waited > client.patience:
            reason = f"{verdict.reason}; it wants more than the {client.patience:g} s that were allowed"
            return replace(verdict, outcome=Outcome.FATAL, reason=reason, cure="run again later, or raise patience")
        client.throttle.hold(verdict.wait or 0.0)
        client.retried += 1
        return verdict

    def over_budget(self) -> Verdict:
        spent, limit = self.client.spending.spent / NANO, self.client.spending.limit / NANO
        reason = f"the budget of ${limit:.2f} has no room for another call (${spent:.2f} spent)"
        return Verdict(Outcome.FATAL, reason, "raise the budget and run again: nothing is asked twice")
