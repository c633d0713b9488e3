"""What calls cost. In: prices and token counts. Out: estimates, and whether there is room for another call.

Money is counted in whole nanodollars. Before a call the most that it can cost is reserved; afterwards it is settled
with what the endpoint counted, and where it does not say, with the reservation.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

NANO = 1_000_000_000
LONGEST_REPLY = 4096  # tokens, where a budget needs a limit and none was given
BYTES_PER_TOKEN = 4  # of English prose, for estimates; a bound takes 1
OVERHEAD = 300  # tokens around the messages of a call


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


def prompt_tokens(request: dict[str, Any], picture_tokens: float, bytes_per_token: int = 1) -> int:
    """Return the most tokens that a request can count as: one for each byte of text; or what is to be expected."""
    contents = [message["content"] for message in request["messages"]]
    parts = [part for content in contents if not isinstance(content, str) for part in content]
    texts = [content for content in contents if isinstance(content, str)]
    texts += [str(request.get("response_format", "")), *(part["text"] for part in parts if part["type"] == "text")]
    pictures = sum(part["type"] != "text" for part in parts)
    written = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return math.ceil(written / bytes_per_token + pictures * picture_tokens) + OVERHEAD


class Budget:
    """At most `limit` nanodollars, None for no limit, of which `spent` are gone and `reserved` may go."""

    def __init__(self, limit: int | None, spent: int) -> None:
        self.limit, self.spent, self.reserved = limit, spent, 0
        self.excess = 1.0  # how far the endpoint has counted above the bound: later calls reserve as much more

    def most(self, cost: int) -> int:
        """Return what to reserve for a call that is bound to cost no more than `cost`."""
        return math.ceil(cost * self.excess)

    def fits(self, most: int) -> bool:
        return self.limit is None or self.spent + self.reserved + most <= self.limit

    def settle(self, reserved: int, cost: int) -> None:
        """Replace a reservation by what was spent."""
        self.reserved -= reserved
        self.spent += cost
        if 0 < reserved < cost:
            self.excess *= cost / reserved
