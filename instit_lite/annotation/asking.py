"""All calls for one question. In: a question and a client's settings. Out: the verdict that stands.

The loop is our own, because a retry that the ledger does not see is money that nobody counts.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from .budget import NANO, prompt_tokens
from .endpoint import scrub
from .replies import WEB_PAGE, Outcome, Verdict, judge
from .requests import Manner, Question, correction, halve_pictures, name_pictures, wire_request

if TYPE_CHECKING:
    from .client import Client

LONGEST_WAIT = 30.0  # seconds between two attempts, where the endpoint does not ask for more
WEB_PAGES = 3  # after so many pages in place of replies the run stops
TOO_LARGE = ("http 413", "context_length", "context length", "too large", "maximum context")
GOING_ON = (Outcome.RETRY, Outcome.REASK)
HEADERS = {"Content-Type": "application/json"}


class Asking:
    """One question on its way to an answer."""

    def __init__(self, client: Client, question: Question, key: str, request: dict, named: dict) -> None:
        self.client, self.question, self.key = client, question, key
        self.request, self.named = request, named  # the same one with pictures, and with their names
        self.retries, self.reasks = client.retries, client.reasks
        self.corrections: list[dict] = []
        self.waits, self.waited, self.pages = 0, 0.0, 0
        self.lengthened = self.halved = False
        self.wait = 0.0

    async def run(self) -> Verdict:
        """Call until a verdict stands."""
        while True:
            self.wait = 0.0
            verdict = await self.call()
            if verdict.outcome not in GOING_ON:
                return verdict
            if self.wait:
                await self.client.throttle.rest(self.wait)

    async def call(self) -> Verdict:
        """Wait for the right to send, reserve the cost, note the call, send it, keep what came, and judge it."""
        client = self.client
        async with client.throttle.slot():
            if client.stopped is not None:
                return client.stopped
            manner = client.manner
            request = wire_request(self.request, manner, self.corrections)
            tokens = prompt_tokens(request, client.prices.picture_tokens if client.prices else 0)
            longest = request.get(manner.length, 0)
            reserved = await client.spending.reserve(client.prices and client.prices.cost(tokens, longest))
            if reserved is None:
                return self.over_budget()
            cost = 0
            try:
                noted = wire_request(self.named, manner, self.corrections)
                call = client.ledger.begin(self.key, self.question.kind, noted, reserved if client.prices else None)
                cost = reserved
                verdict = self.decide(await self.exchange(call, request, tokens + longest), manner)
                if not verdict.billed:
                    cost = 0
                elif verdict.tokens and client.prices:
                    cost = client.prices.cost(*verdict.tokens)
                client.ledger.end(self.key, call, verdict.outcome, verdict.reason, cost=cost, tokens=verdict.tokens)
            finally:
                await client.spending.settle(reserved, cost)
        return verdict

    async def exchange(self, call: int, request: dict[str, Any], tokens: int) -> Verdict:
        """Send one call; its reply is in the ledger before it is judged."""
        client = self.client
        answer = await self.send(json.dumps(request).encode())
        if isinstance(answer, Verdict):
            return answer
        status, headers, body = answer
        body = scrub(body, client.secret, fragments=status >= 300)
        headers = {name: scrub(value, client.secret) for name, value in headers.items()}
        client.ledger.keep(self.key, call, status, body)
        if client.paid:
            await asyncio.to_thread(client.ledger.sync)
        client.asked += status < 300
        client.throttle.heed(headers, tokens)
        return judge(status, headers, body, self.question.kind, self.question.schema)

    async def send(self, content: bytes) -> tuple[int, Mapping[str, str], str] | Verdict:
        """Post under one deadline for all of it; the library's own starts anew at every byte."""
        client = self.client
        options = {"headers": HEADERS, "timeout": client.timeout}
        try:
            async with asyncio.timeout(client.timeout):
                response = await client.api.post(
                    "/chat/completions", content=content, cast_to=httpx2.Response, options=options
                )
        except openai.APIStatusError as raised:
            response = raised.response
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException):
            cure = "try later, or raise timeout"
            return Verdict(Outcome.RETRY, f"did not answer within {client.timeout:g} s", cure)
        except Exception as raised:  # whatever a library raises here is a call that failed, and no more
            unsent = isinstance(raised.__cause__, httpx2.ConnectError)
            reason = "cannot be reached" if isinstance(raised, openai.APIConnectionError) else type(raised).__name__
            return Verdict(Outcome.RETRY, reason, "check the address, or start the server", billed=not unsent)
        return response.status_code, response.headers, response.content.decode("utf-8", "replace")

    def decide(self, verdict: Verdict, manner: Manner) -> Verdict:
        """Say whether a call shall be followed by another one, and change what that one asks."""
        client = self.client
        if verdict.outcome != Outcome.RETRY:
            client.throttle.quicken()
            client.gave_up = 0
        match verdict.outcome:
            case Outcome.RETRY:
                return self.pause(verdict)
            case Outcome.REASK if self.reasks:
                self.reasks -= 1
                if self.question.schema is not None:
                    schema = self.question.schema.model_json_schema()
                    self.corrections = correction(verdict.content, verdict.reason, schema)
                return verdict
            case Outcome.REASK:
                return replace(verdict, outcome=Outcome.QUARANTINED)
            case Outcome.TRUNCATED if not self.lengthened and "max_tokens" in self.request:
                self.lengthened = True
                longer = {"max_tokens": 2 * self.request["max_tokens"]}
                self.request, self.named = self.request | longer, self.named | longer
                return replace(verdict, outcome=Outcome.RETRY)
            case Outcome.QUARANTINED:
                return self.yield_to(verdict, manner)
        return verdict

    def yield_to(self, verdict: Verdict, manner: Manner) -> Verdict:
        """Ask in another manner, or with smaller pictures, where that is what the endpoint complains of."""
        conceded = manner.concede(verdict.content)
        if conceded is not None:
            self.client.manner = conceded if self.client.manner == manner else self.client.manner
            return replace(verdict, outcome=Outcome.RETRY)
        complaint = f"{verdict.reason} {verdict.content}".lower()
        if not self.halved and any(word in complaint for word in TOO_LARGE):
            self.halved = True
            self.request = halve_pictures(self.request)
            self.named = name_pictures(self.request)
            return replace(verdict, outcome=Outcome.RETRY)
        return verdict

    def pause(self, verdict: Verdict) -> Verdict:
        """Choose how long to wait after a failure that passes; give up where it does not seem to pass."""
        client = self.client
        client.throttle.slow()
        self.pages += verdict.reason.startswith(WEB_PAGE)
        if self.pages >= WEB_PAGES:
            return replace(verdict, outcome=Outcome.FATAL)
        if not verdict.busy:  # a busy endpoint is no failure of this question
            if not self.retries:
                return self.give_up(verdict)
            self.retries -= 1
        backoff = min(LONGEST_WAIT, client.backoff * 2**self.waits * random.uniform(0.75, 1.25))
        self.wait = max(backoff, verdict.wait or 0.0)
        self.waits += 1
        self.waited += self.wait
        if self.waited > client.patience:
            reason = f"{verdict.reason}; it wants more than the {client.patience:g} s that were allowed"
            return replace(verdict, outcome=Outcome.FATAL, reason=reason, cure="run again later, or raise patience")
        if verdict.wait:
            client.throttle.hold(verdict.wait)
        client.retried += 1
        return verdict

    def give_up(self, verdict: Verdict) -> Verdict:
        """Quarantine the question; after several in a row the endpoint is down, and the run stops."""
        self.client.gave_up += 1
        down = self.client.gave_up >= self.client.give_up
        return replace(verdict, outcome=Outcome.FATAL if down else Outcome.QUARANTINED)

    def over_budget(self) -> Verdict:
        client = self.client
        spent, limit = client.spending.spent / NANO, client.spending.limit / NANO
        reason = f"the budget of ${limit:.2f} has no room for another call (${spent:.2f} spent)"
        return Verdict(Outcome.FATAL, reason, "raise the budget and run again: nothing is asked twice", billed=False)
