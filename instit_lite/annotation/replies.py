"""Replies in. In: the raw body of a completion, the schema asked for. Out: the parsed reply, or one error.

`EndpointError`: the body is not an API reply at all. `ReplyError`: it is one, and its content cannot be used.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from ..errors import EndpointError, ReplyError


class Refused(ReplyError):
    """A reply that asking again would not mend: refused, filtered or cut short."""


class Reply(NamedTuple):
    """A usable reply, and the name by which the model called itself."""

    parsed: Any
    model: str


def read_reply(body: str, kind: str, schema: type[BaseModel]) -> Reply:
    """Read a chat completion's body; see the module's docstring for the errors."""
    try:
        envelope = json.loads(body)
        choice = envelope["choices"][0]
        finish, message = choice.get("finish_reason"), choice["message"]
        refusal, content = message.get("refusal"), message.get("content")
    except (ValueError, LookupError, TypeError, AttributeError):
        raise EndpointError(
            f"the answer to {kind!r} is not an API reply: {body.strip()[:60]!r}",
            cure="check that the address ends in /v1 and is not a login page",
        ) from None
    if refusal or finish == "content_filter":
        said = str(refusal or "content filter")[:200]
        raise Refused(f"the model refused {kind!r}: {said}", cure="leave this clip out")
    if finish == "length":
        raise Refused(f"the reply to {kind!r} was cut short at the token limit", cure="raise max_tokens")
    if not isinstance(content, str) or not content.strip():
        raise ReplyError(f"the reply to {kind!r} is empty", cure="ask again")
    try:
        parsed = schema.model_validate_json(bare_json(content))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole text"
        raise ReplyError(
            f"the reply to {kind!r} is not what the schema asks for: {where}: {first['msg']}",
            cure="ask again, or use a model that supports json_schema",
        ) from None
    return Reply(parsed, str(envelope.get("model") or "unnamed"))


def bare_json(content: str) -> str:
    """Take JSON out of a code fence, and drop a leading block of thoughts, as some models add them."""
    text = re.sub(r"^\s*<think>.*?</think>", "", content, flags=re.DOTALL).strip()
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text, flags=re.DOTALL)
    return fenced[1] if fenced else text
