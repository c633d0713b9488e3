"""What is posted. In: a question and how the endpoint wants to be asked. Out: a request, its key and its bytes.

A question is always asked with its JSON schema. How the schema travels depends on the endpoint, and is found out by
asking: as `json_schema`, else as `json_object` with the schema in the text, else in the text alone. The same goes for
options that some models refuse. The key in the ledger does not depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import BaseModel

from .pictures import Picture
from .schema import response_format

FORMATS = ("json_schema", "json_object", "text")
SCHEMA_WORDS = ("response_format", "json_schema", "json_object", "structured output", "guided")
SCHEMA_IN_TEXT = "Answer with one JSON object and nothing else. It must fit this JSON schema:\n"


class Question(NamedTuple):
    """A prompt with its pictures, and the form of the reply, None for free text; `kind` names the stage and the schema."""

    kind: str
    system: str
    parts: Sequence[str | Picture]
    schema: type[BaseModel] | None

    @property
    def pictures(self) -> list[Picture]:
        return [part for part in self.parts if isinstance(part, Picture)]


@dataclass(frozen=True)
class Manner:
    """How an endpoint wants to be asked."""

    format: str = FORMATS[0]
    length: str = "max_tokens"  # newer models want "max_completion_tokens"
    temperature: bool = True  # some models allow their own only

    def concede(self, complaint: str) -> Manner | None:
        """Return the next manner to try after an endpoint's complaint, None where it is about something else."""
        complaint = complaint.lower()
        if "max_completion_tokens" in complaint and self.length == "max_tokens":
            return replace(self, length="max_completion_tokens")
        if self.format != FORMATS[-1] and any(word in complaint for word in SCHEMA_WORDS):
            return replace(self, format=FORMATS[FORMATS.index(self.format) + 1])
        return replace(self, temperature=False) if "temperature" in complaint and self.temperature else None


def canonical_request(question: Question, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `chat.completions.create`, all that a reply depends on, with pictures by their names."""
    content = [
        {"type": "image_url", "image_url": {"url": part.name, "detail": "high"}}
        if isinstance(part, Picture) else {"type": "text", "text": part}
        for part in question.parts
    ]
    request = {
        "messages": [{"role": "system", "content": question.system}, {"role": "user", "content": content}],
        "response_format": question.schema and response_format(question.kind, question.schema), **options,
    }
    return {name: value for name, value in request.items() if value is not None}


def body_of(request: dict[str, Any], pictures: Sequence[Picture]) -> bytes:
    """Return the JSON of a request, or of something around one, with the pictures in the place of their names."""
    body = json.dumps(request)
    for picture in pictures:
        body = body.replace(f'"url": "{picture.name}"', f'"url": "{picture.uri}"')
    return body.encode()


def wire_request(request: dict[str, Any], manner: Manner, corrections: Sequence[dict] = ()) -> dict[str, Any]:
    """Return a canonical request as the endpoint wants it, with the turns that ask for a better reply."""
    posted = dict(request)
    messages = posted["messages"]
    if manner.format != "json_schema" and "response_format" in posted:
        schema = posted.pop("response_format")["json_schema"]["schema"]
        system = f"{messages[0]['content']}\n\n{SCHEMA_IN_TEXT}{json.dumps(schema)}"
        messages = [{"role": "system", "content": system}, *messages[1:]]
        if manner.format == "json_object":
            posted["response_format"] = {"type": "json_object"}
    posted["messages"] = [*(m for m in messages if m["content"]), *corrections]  # free text has no system text
    if "max_tokens" in posted:
        posted[manner.length] = posted.pop("max_tokens")
    if not manner.temperature:
        posted.pop("temperature", None)
    return posted


def correction(content: str, fault: str, schema: dict[str, Any]) -> list[dict[str, str]]:
    """Return the two turns that show a model its reply and what is wrong with it."""
    asked = f"That cannot be used: {fault}\n\n{SCHEMA_IN_TEXT}{json.dumps(schema)}"
    return [{"role": "assistant", "content": content or "(empty)"}, {"role": "user", "content": asked}]
