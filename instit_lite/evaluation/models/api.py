"""A model behind an OpenAI-compatible address. In: questions, an address, a key from the environment. Out: a `Model`.

GPT-4o and Gemini are asked here, and what vLLM, Ollama or `transformers serve` run on this machine. Nothing leaves the
machine without `online=True`. Calls go through the annotation client: kept, repeated and paid for as annotations are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...annotation.client import Client
from ...annotation.endpoint import KEY_NAME, choose_address, is_loopback
from ...annotation.pictures import Picture, encode_picture
from ...annotation.replies import Outcome
from ...annotation.requests import Question
from ...errors import OfflineRefused
from ..score import UNFINISHED
from .asked import Asked

SERVICES = {  # address (None: $OPENAI_BASE_URL, else OpenAI itself), and the variable that holds the key
    "api": (None, KEY_NAME),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
}


@dataclass(eq=False)
class ApiModel:
    """A model by its name on the wire, and the client that asks it."""

    name: str
    client: Client

    @property
    def together(self) -> int:
        return self.client.concurrency

    def identity(self) -> dict[str, str]:
        return {"model": self.name, "address": self.client.place}

    def answer(self, items: Sequence[Asked], *, blind: bool = False, max_new_tokens: int = 128) -> list[str]:
        """Ask all at a time that the client allows. Raises `EndpointError` where the service fails for good."""
        self.client.max_tokens = max_new_tokens
        asked = [self.client.start(Question("answer", "", parts_of(item, blind), None)) for item in items]
        return [self.text_of(future) for future in asked]

    def text_of(self, future: Future) -> str:
        """What was said; a refusal is an answer, too, and what did not end ends in `UNFINISHED`."""
        verdict = future.result()
        if verdict.outcome == Outcome.REFUSED:
            return verdict.reason
        if verdict.outcome in (Outcome.TRUNCATED, Outcome.FILTERED):
            return UNFINISHED
        return self.client.value(future).strip()


def parts_of(item: Asked, blind: bool) -> list[str | Picture]:
    """The frames of a clip under their timestamps, then the question."""
    parts: list[str | Picture] = []
    for number, frame in enumerate([] if blind else item.frames, start=1):
        parts += [f"<{number}>"] * (item.split == "video")
        parts.append(encode_picture(frame))
    return [*parts, item.prompt]


def api_model(
    name: str, service: str = "api", *, base_url: str | None = None, online: bool = False,
    ledger: str | Path | None = None, together: int = 8, **settings: Any,
) -> ApiModel:  # fmt: skip
    """Prepare a model of a service in `SERVICES`, or at `base_url`; nothing is sent yet.

    `ledger`: a file where replies are kept before they are read, so that none is paid for twice; `settings` are the
    client's, such as `budget`. Raises `OfflineRefused` for an address elsewhere without `online`, or without its key in
    the environment.
    """
    usual, key_name = SERVICES[service]
    address, key = choose_address(base_url or usual, online), os.environ.get(key_name, "")
    if not key.strip() and not is_loopback(address):
        cure = f"set {key_name} in the environment"
        raise OfflineRefused("there is no API key", path=urlsplit(address).hostname, cure=cure)
    return ApiModel(name, Client.connect(address, name, ledger, online, api_key=key, concurrency=together, **settings))
