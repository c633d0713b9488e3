"""How fast to ask. In: what endpoints say about their limits. Out: the right to send, at most so many at a time.

The limit is halved when an endpoint is busy, at most once a second, and grows by one for each full round of replies.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Throttle:
    """The calls under way to one endpoint; used inside one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.under_way = 0
        self.until = 0.0  # nobody sends before this time, `time.monotonic`
        self.slowed = 0.0
        self.freed = asyncio.Condition()
        self.stop = asyncio.Event()  # the run stops: nobody waits any longer

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for the right to send one call, and give it back."""
        while True:
            async with self.freed:
                await self.freed.wait_for(lambda: self.under_way < int(self.limit))
                wait = self.until - time.monotonic()
                if wait <= 0 or self.stop.is_set():
                    self.under_way += 1
                    break
            await self.rest(wait)
        try:
            yield
        finally:
            self.under_way -= 1
            async with self.freed:
                self.freed.notify(2)

    async def rest(self, seconds: float) -> None:
        """Sleep, but not longer than the run."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stop.wait()

    def hold(self, seconds: float) -> None:
        """Let nobody send for so long."""
        self.until = max(self.until, time.monotonic() + seconds)

    def slow(self) -> None:
        """The endpoint is busy, or cannot be reached."""
        if time.monotonic() - self.slowed > 1:
            self.slowed = time.monotonic()
            self.limit = max(1.0, self.limit / 2)

    def quicken(self) -> None:
        """The endpoint has answered."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def heed(self, headers: Mapping[str, str], tokens: int) -> None:
        """Hold where the headers of a reply say that no more requests, or fewer than `tokens` tokens, are left."""
        for what, needed in (("requests", 1), ("tokens", tokens)):
            left = headers.get(f"x-ratelimit-remaining-{what}", "")
            if left.isdigit() and int(left) < needed:
                self.hold(min(60.0, seconds_of(headers.get(f"x-ratelimit-reset-{what}", ""))))


def seconds_of(text: str) -> float:
    """Read a duration as OpenAI writes it: "20ms", "1.5s", "6m0s"; 0 where it is none."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text))
