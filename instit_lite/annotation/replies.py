"""Replies in. In: the raw body of a completion, the schema asked for. Out: the parsed reply, or one error.

`EndpointError`: the body is not an API reply at all. `ReplyError`: it is one, and its content cannot be used.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import EndpointError, ReplyError

Form = TypeVar("Form", bound=BaseModel)


class Refused(ReplyError):
    """A reply that asking again would not mend: refused, filtered or cut short."""


@dataclass(frozen=True)
class Reply(Generic[Form]):
    """A usable reply, the model's own name, and the tokens it counted (0 where it does not say)."""

    parsed: Form
    model: str
    prompt_tokens: int
    completion_tokens: int


def read_reply(body: str, kind: str, schema: type[Form]) -> Reply[Form]:
    """Read a chat completion's body; see the module's docstring for the errors."""
    envelope = read_envelope(body, kind)
    choice = envelope["choices"][0]
    content = usable_content(choice, kind)
    try:
        parsed = schema.model_validate_json(bare_json(content))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole text"
        raise ReplyError(
            f"the reply to {kind!r} is not what the schema asks for: {where}: {first['msg']}",
            cure="ask again, or use a model that supports json_schema",
        ) from None
    usage = envelope.get("usage") if isinstance(envelope.get("usage"), dict) else {}
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    numbers = [n if isinstance(n, int) else 0 for n in counts]
    return Reply(parsed, str(envelope.get("model") or "unnamed"), *numbers)


def read_envelope(body: str, kind: str) -> dict[str, Any]:
    """Parse the outer JSON and make sure that there is a choice in it."""
    try:
        envelope = json.loads(body)
        choice = envelope["choices"][0]
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError):
        raise EndpointError(
            f"the answer to {kind!r} is not an API reply: {body.strip()[:60]!r}",
            cure="check that the address ends in /v1 and is not a login page",
        ) from None
    return envelope


def usable_content(choice: dict[str, Any], kind: str) -> str:
    """Return the text of a choice that was finished and not refused."""
    message = choice["message"]
    if message.get("refusal"):
        said = str(message["refusal"])[:200]
        raise Refused(f"the model refused {kind!r}: {said}", cure="leave this clip out")
    if choice.get("finish_reason") == "length":
        raise Refused(f"the reply to {kind!r} was cut short at the token limit", cure="raise max_tokens")
    if choice.get("finish_reason") == "content_filter":
        raise Refused(f"the reply to {kind!r} was withheld by a content filter", cure="leave this clip out")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise ReplyError(f"the reply to {kind!r} is empty", cure="ask again")
    return content


def bare_json(content: str) -> str:
    """Take JSON out of a code fence, and drop a leading block of thoughts, as some models add them."""
    text = re.sub(r"^\s*<think>.*?</think>", "", content, flags=re.DOTALL).strip()
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text, flags=re.DOTALL)
    return fenced[1] if fenced else text
