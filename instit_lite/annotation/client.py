"""The annotation client. In: a prompt and marked pictures. Out: a parsed reply, also kept in the ledger.

The real `openai` client posts to any OpenAI-compatible endpoint. Its own retries are off: they would be
invisible to the ledger, and would repeat what no repeat can mend.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from ..errors import EndpointError, ReplyError
from .endpoint import choose_address, choose_key, is_loopback, place_of_address
from .ledger import Ledger, ledger_key
from .pictures import Picture
from .replies import Refused, Reply, read_reply
from .schema import response_format

Form = TypeVar("Form", bound=BaseModel)
PAPER_MODEL = "gpt-4o-2024-08-06"
PASSING = (408, 409, 429)  # and every 5xx: worth another try
LONGEST_WAIT = 30.0  # seconds between two attempts


@dataclass(eq=False)
class Client:
    """One endpoint, one model, one ledger; threads may share it. Make it with `Client.connect`."""

    api: Any  # an openai.OpenAI
    model: str
    ledger: Ledger
    timeout: float = 120.0  # seconds per call in all
    retries: int = 3  # after 429, 5xx, timeouts and lost connections
    backoff: float = 0.5  # seconds before the first retry, doubled before each further one
    reasks: int = 1  # after a reply that does not fit
    temperature: float | None = 0.0
    max_tokens: int | None = None
    asked: int = field(default=0, init=False)  # replies that came over the wire
    reused: int = field(default=0, init=False)  # replies from the ledger
    retried: int = field(default=0, init=False)  # attempts that failed and were repeated
    models: dict[str, None] = field(default_factory=dict, init=False)  # how the models called themselves
    lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @classmethod
    def connect(
        cls, base_url: str | None = None, model: str = PAPER_MODEL, ledger: str | Path | Ledger | None = None,
        online: bool = False, api_key: str | None = None, **settings: Any,
    ) -> Client:
        """Prepare a client; nothing is sent yet. `settings` are the fields from `timeout` to `max_tokens`.

        `base_url` falls back to `$OPENAI_BASE_URL` and then to OpenAI, `api_key` to `$OPENAI_API_KEY`.
        Raises `OfflineRefused` for an address elsewhere without `online=True`, or without a key.
        """
        import openai

        address = choose_address(base_url, online)
        key = choose_key(api_key, address)
        proxies = not is_loopback(address)
        web = openai.DefaultHttpx2Client(follow_redirects=False, trust_env=proxies)
        api = openai.OpenAI(base_url=address, api_key=key, max_retries=0, http_client=web)
        return cls(api, model, ledger if isinstance(ledger, Ledger) else Ledger(ledger), **settings)

    @property
    def address(self) -> str:
        return str(self.api.base_url).rstrip("/")

    def ask(self, kind: str, system: str, parts: Sequence[str | Picture], schema: type[Form]) -> Form:
        """Ask once, or take the reply from the ledger; `kind` names the stage and the schema on the wire.

        Raises `EndpointError` (down, wrong key, HTTP failure), `ReplyError` (refused, cut short, misshapen).
        """
        request = self.request(kind, system, parts, schema)
        key = ledger_key({"endpoint": place_of_address(self.address), **request})
        reply = self.recall(key, kind, schema) or self.ask_endpoint(key, kind, request, schema)
        self.models.setdefault(reply.model)
        return reply.parsed

    def request(self, kind: str, system: str, parts: Sequence[str | Picture], schema: type[Form]) -> dict:
        """Return the arguments of `chat.completions.create`: everything that a reply depends on."""
        content = [
            {"type": "image_url", "image_url": {"url": part.uri, "detail": "high"}}
            if isinstance(part, Picture) else {"type": "text", "text": part}
            for part in parts
        ]
        messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        request = {
            "model": self.model, "messages": messages, "response_format": response_format(kind, schema),
            "temperature": self.temperature, "max_tokens": self.max_tokens,
        }
        return {name: value for name, value in request.items() if value is not None}

    def recall(self, key: str, kind: str, schema: type[Form]) -> Reply | None:
        """Return the ledger's reply where it is usable; an unusable one was an attempt and is asked again."""
        try:
            reply = read_reply(self.ledger.get(key) or "", kind, schema)
        except (EndpointError, ReplyError):
            return None
        self.count("reused")
        return reply

    def ask_endpoint(self, key: str, kind: str, request: dict, schema: type[Form]) -> Reply:
        """Post until a usable reply has come; the ledger keeps every body before it is looked at."""
        for left in range(self.reasks, -1, -1):
            body = self.post(key, kind, request)
            self.ledger.keep(key, kind, body)
            self.count("asked")
            try:
                return read_reply(body, kind, schema)
            except (EndpointError, ReplyError) as problem:
                if isinstance(problem, Refused) or not left:
                    problem.path = self.address
                    raise

    def post(self, key: str, kind: str, request: dict) -> str:
        """Post one request and return the body of its answer; wait and repeat after failures that pass."""
        import httpx2
        import openai

        for attempt in range(self.retries + 1):
            wait = self.backoff * 2**attempt * random.uniform(0.75, 1.25)
            try:
                return self.send(request)
            except openai.APIStatusError as raised:
                status = raised.status_code
                passing = status in PASSING or status >= 500
                said = " ".join(raised.message.replace(self.api.api_key, "***").split())[:200].rstrip(".")
                reason, cure = f"answers HTTP {status}: {said}", "check address, model and credit"
                if status in (401, 403):
                    reason, cure = f"refuses the key (HTTP {status})", "set OPENAI_API_KEY anew"
                told = raised.response.headers.get("retry-after", "")
                wait = float(told) if told.isdigit() else wait
            except (openai.APITimeoutError, httpx2.TimeoutException, TimeoutError):
                passing = True
                reason, cure = f"did not answer within {self.timeout:g} s", "try later, or raise timeout"
            except (openai.APIConnectionError, httpx2.TransportError):
                passing = True
                reason, cure = "cannot be reached", "check the address, or start the server"
            self.ledger.note(key, kind, reason)
            if not passing or attempt == self.retries:
                raise EndpointError(reason, path=self.address, cure=cure)
            self.count("retried")
            time.sleep(min(LONGEST_WAIT, wait))

    def send(self, request: dict) -> str:
        """Post and read the body under one deadline; the library's own timeout starts anew at every byte."""
        deadline = time.monotonic() + self.timeout
        create = self.api.chat.completions.with_streaming_response.create
        body = b""
        with create(**request, timeout=self.timeout) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if time.monotonic() > deadline:
                    raise TimeoutError
        return body.decode("utf-8", "replace")

    def count(self, name: str) -> None:
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()
