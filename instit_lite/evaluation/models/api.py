"""A model behind an OpenAI-compatible address. In: questions, an address, a key from the environment. Out: a `Model`.

GPT-4o and Gemini are asked here, and what vLLM, Ollama or `transformers serve` run on this machine. Nothing leaves the
machine without `online=True`. `sender` is the only place that knows the annotation client.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...annotation.client import Client
from ...annotation.endpoint import KEY_NAME, choose_address, is_loopback, place_of_address
from ...annotation.ledger import ledger_key
from ...annotation.pictures import encode_picture
from ...errors import EndpointError, OfflineRefused
from ..score import UNFINISHED
from .asked import Asked

SERVICES = {  # address (None: $OPENAI_BASE_URL, else OpenAI itself), and the variable that holds the key
    "api": (None, KEY_NAME),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
}


@dataclass(eq=False)
class ApiModel:
    """A model by its name on the wire. `send` takes the arguments of a chat completion and returns the reply's body.

    `settings` overrule what a request says otherwise; None takes a field out, for services that do not know it.
    """

    name: str
    send: Callable[[dict], str]
    address: str
    together: int = 8
    settings: dict[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, str]:
        return {"model": self.name, "address": self.address, "settings": json.dumps(self.settings, sort_keys=True)}

    def answer(self, items: Sequence[Asked], *, blind: bool = False, max_new_tokens: int = 128) -> list[str]:
        """Ask `together` questions at a time. Raises `EndpointError` where the service fails for good."""
        requests = [self.request(item, blind, max_new_tokens) for item in items]
        with ThreadPoolExecutor(self.together) as threads:
            return [read_text(body) for body in threads.map(self.send, requests)]

    def request(self, item: Asked, blind: bool, max_new_tokens: int) -> dict[str, Any]:
        """The arguments of a chat completion: the frames of a clip under their timestamps, then the question."""
        content: list[dict] = []
        for number, frame in enumerate([] if blind else item.frames, start=1):
            content += [{"type": "text", "text": f"<{number}>"}] * (item.split == "video")
            content.append({"type": "image_url", "image_url": {"url": encode_picture(frame).uri, "detail": "high"}})
        content.append({"type": "text", "text": item.prompt})
        asked = {"model": self.name, "messages": [{"role": "user", "content": content}], "temperature": 0.0}
        asked |= {"max_tokens": max_new_tokens} | self.settings
        return {name: value for name, value in asked.items() if value is not None}


def api_model(
    name: str, service: str = "api", *, base_url: str | None = None, online: bool = False,
    ledger: str | Path | None = None, together: int = 8, **settings: Any,
) -> ApiModel:  # fmt: skip
    """Prepare a model of a service in `SERVICES`, or at `base_url`; nothing is sent yet.

    `ledger`: a file where replies are kept before they are read, so that none is paid for twice. Raises
    `OfflineRefused` for an address elsewhere without `online`, or without its key in the environment.
    """
    usual, key_name = SERVICES[service]
    address, key = choose_address(base_url or usual, online), os.environ.get(key_name, "")
    if not key.strip() and not is_loopback(address):
        cure = f"set {key_name} in the environment"
        raise OfflineRefused("there is no API key", path=urlsplit(address).hostname, cure=cure)
    client = Client.connect(address, name, ledger, online, api_key=key)
    return ApiModel(name, sender(client), place_of_address(address), together, settings)


def sender(client: Client) -> Callable[[dict], str]:
    """A function that sends a request and returns the reply's body, from the ledger where one is kept."""

    def send(request: dict) -> str:
        key = ledger_key({"endpoint": place_of_address(client.address), **request})
        body = client.ledger.get(key)
        if body is None:
            body = client.post(key, "answer", request)
            read_text(body)  # what is no reply is not kept as one
            client.ledger.keep(key, "answer", body)
        return body

    return send


def read_text(body: str) -> str:
    """The text of a chat completion, a refusal's words included; `EndpointError` where the body is none."""
    try:
        choice = json.loads(body)["choices"][0]
        text = str(choice["message"].get("content") or choice["message"].get("refusal") or "").strip()
        return f"{text} {UNFINISHED}" if choice.get("finish_reason") in ("length", "content_filter") else text
    except (ValueError, LookupError, TypeError, AttributeError):
        cure = "check that the address ends in /v1 or /openai, and is no login page"
        raise EndpointError(f"the answer is not an API reply: {body.strip()[:60]!r}", cure=cure) from None
