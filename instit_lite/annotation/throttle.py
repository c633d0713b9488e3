"""How fast to ask. In: what endpoints say about their limits. Out: the right to send, at most so many at a time.

The limit is halved when an endpoint is busy, at most once a second, and grows by one for each full round of replies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from .budget import Budget


class Throttle:
    """The calls under way to one endpoint; used inside one event loop."""

    def __init__(self, most: int, budget: Budget) -> None:
        self.most, self.budget = most, budget
        self.limit = float(most)
        self.under_way = 0
        self.until = self.slowed = 0.0  # `time.monotonic`: nobody sends before the one, the other was the last halving
        self.freed = asyncio.Condition()
        self.stop = asyncio.Event()  # the run stops: nobody waits any longer

    @asynccontextmanager
    async def slot(self, most: int) -> AsyncIterator[bool]:
        """Wait for the right to send a call that costs `most`, reserve that, and give the right back.

        Yields False where the budget has no room, and no call under way could make some.
        """
        while True:
            async with self.freed:
                await self.freed.wait_for(lambda: self.under_way < int(self.limit) and (
                    self.budget.fits(most) or not self.budget.reserved))  # fmt: skip
                wait = self.until - time.monotonic()
                if wait <= 0 or self.stop.is_set():
                    break
            await self.rest(wait)
        self.under_way += 1
        fits = self.budget.fits(most)
        self.budget.reserved += most if fits else 0
        try:
            yield fits
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
            self.slowed, self.limit = time.monotonic(), max(1.0, self.limit / 2)

    def quicken(self) -> None:
        """The endpoint has answered."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)
