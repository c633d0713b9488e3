"""What calls cost. In: prices and token counts. Out: an estimate beforehand, and the right to spend, never too much.

Money is counted in whole nanodollars. Before a call is sent the most that it can cost is reserved; afterwards it is
settled with what the endpoint counted, and where it does not say, with the reservation.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, NamedTuple

NANO = 1_000_000_000
LONGEST_REPLY = 4096  # tokens, where a budget needs a limit and none was given
BYTES_PER_TOKEN = 4  # of English prose, for estimates; a bound takes 1
OVERHEAD = 100  # tokens around the messages of a call


class Prices(NamedTuple):
    """Dollars for a million tokens in and out, and the most tokens that a picture counts as."""

    prompt: float
    completion: float
    picture_tokens: int

    def cost(self, prompt_tokens: float, completion_tokens: float) -> int:
        """Return nanodollars, rounded up."""
        return math.ceil((prompt_tokens * self.prompt + completion_tokens * self.completion) * NANO / 1e6)


# As OpenAI published them for the paper's model: 85 tokens and 170 for each of at most 8 tiles of a picture.
PRICES = {"gpt-4o-2024-08-06": Prices(2.5, 10.0, 85 + 8 * 170)}


def prompt_tokens(request: dict[str, Any], picture_tokens: int, bytes_per_token: int = 1) -> int:
    """Return the most tokens that a request can count as: one for each byte of text; or what is to be expected."""
    texts, pictures = [str(request.get("response_format", ""))], 0
    for message in request["messages"]:
        parts = message["content"]
        for part in [{"type": "text", "text": parts}] if isinstance(parts, str) else parts:
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                pictures += 1
    written = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return math.ceil(written / bytes_per_token) + OVERHEAD + pictures * picture_tokens


class Budget:
    """At most `limit` nanodollars, of which `spent` are gone; None for no limit. Used inside one event loop."""

    def __init__(self, limit: int | None, spent: int) -> None:
        self.limit, self.spent, self.reserved = limit, spent, 0
        self.factor = 1.0  # how far an endpoint has counted above the bound: its later calls reserve more
        self.settled = asyncio.Condition()

    async def reserve(self, most: int | None) -> int | None:
        """Reserve the most that a call can cost, waiting for calls under way; None where too little is left."""
        most = math.ceil((most or 0) * self.factor)
        async with self.settled:
            while self.limit is not None and self.spent + self.reserved + most > self.limit:
                if not self.reserved:
                    return None
                await self.settled.wait()
            self.reserved += most
        return most

    async def settle(self, reserved: int, cost: int) -> None:
        """Replace a reservation by what was spent."""
        self.reserved -= reserved
        self.spent += cost
        if reserved and cost > reserved:
            self.factor *= cost / reserved
        async with self.settled:
            self.settled.notify_all()
