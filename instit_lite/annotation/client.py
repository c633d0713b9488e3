"""The annotation client. In: a prompt and marked pictures. Out: a parsed reply, also kept in the ledger.

The real `openai` client posts to any OpenAI-compatible endpoint. Its own retries are off: they would be
invisible to the ledger, and would repeat what no repeat can mend.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ..errors import EndpointError, ReplyError
from .endpoint import choose_address, choose_key, is_loopback, place_of_address
from .ledger import Ledger, ledger_key
from .pictures import Picture
from .replies import Refused, Reply, read_reply
from .schema import response_format

if TYPE_CHECKING:
    import openai

Form = TypeVar("Form", bound=BaseModel)
PAPER_MODEL = "gpt-4o-2024-08-06"
PASSING = (408, 409, 429)  # and every 5xx: worth another try
LONGEST_WAIT = 30.0


class Client:
    """One endpoint, one model, one ledger; threads may share it. Make it with `Client.connect`.

    Counters: `asked` replies that came over the wire, `reused` replies from the ledger, `retried` attempts
    that failed and were repeated; `prompt_tokens` and `completion_tokens` of what was asked; `models` the
    names by which the answering models called themselves.
    """

    def __init__(
        self, api: openai.OpenAI, model: str, ledger: Ledger, *, timeout: float = 120.0, retries: int = 3,
        backoff: float = 0.5, reasks: int = 1, temperature: float | None = 0.0, max_tokens: int | None = None,
    ) -> None:  # fmt: skip
        self.api, self.model, self.ledger = api, model, ledger
        self.timeout, self.retries, self.backoff, self.reasks = timeout, retries, backoff, reasks
        limits = {"temperature": temperature, "max_tokens": max_tokens}
        self.options = {name: value for name, value in limits.items() if value is not None}
        self.asked = self.reused = self.retried = self.prompt_tokens = self.completion_tokens = 0
        self.models: dict[str, None] = {}
        self.lock = threading.Lock()

    @classmethod
    def connect(
        cls, base_url: str | None = None, model: str = PAPER_MODEL, ledger: str | Path | Ledger | None = None,
        online: bool = False, api_key: str | None = None, **settings: Any,
    ) -> Client:  # fmt: skip
        """Prepare a client; nothing is sent yet.

        `base_url` falls back to `$OPENAI_BASE_URL` and then to OpenAI, `api_key` to `$OPENAI_API_KEY`.
        `settings`: `timeout` seconds per call in all, `retries` after 429, 5xx, timeouts, lost connections,
        `backoff` seconds before the first of them, `reasks` after a reply that does not fit, `temperature`,
        `max_tokens`.
        Raises `OfflineRefused` for an address elsewhere without `online=True`, or without a key.
        """
        import openai

        address = choose_address(base_url, online)
        key = choose_key(api_key, address)
        web = openai.DefaultHttpx2Client(follow_redirects=False, **transport_settings(address))
        api = openai.OpenAI(base_url=address, api_key=key, max_retries=0, http_client=web)
        return cls(api, model, ledger if isinstance(ledger, Ledger) else Ledger(ledger), **settings)

    @property
    def address(self) -> str:
        return str(self.api.base_url).rstrip("/")

    def ask(self, kind: str, system: str, content: str | Sequence[str | Picture], schema: type[Form]) -> Form:
        """Ask once, or take the reply from the ledger; `kind` names the stage and the schema on the wire.

        Raises `EndpointError` (down, wrong key, HTTP failure) or `ReplyError` (refused, cut short, not the
        schema).
        """
        parts = [content] if isinstance(content, str) else list(content)
        key = ledger_key(self.identity(kind, system, parts, schema))
        reply = self.recall(key, kind, schema)
        if reply is None:
            reply = self.ask_endpoint(key, kind, self.request(kind, system, parts, schema), schema)
        with self.lock:
            self.models.setdefault(reply.model)
        return reply.parsed

    def identity(self, kind: str, system: str, parts: list[str | Picture], schema: type[BaseModel]) -> dict:
        """Everything that a reply depends on: endpoint, model, options, words, pictures, schema."""
        said = [part if isinstance(part, str) else {"png": part.digest} for part in parts]
        return {
            "endpoint": place_of_address(self.address), "model": self.model, **self.options,
            "system": system, "user": said, "format": response_format(kind, schema),
        }  # fmt: skip

    def request(self, kind: str, system: str, parts: list[str | Picture], schema: type[BaseModel]) -> dict:
        """Return the arguments of `chat.completions.create`."""
        content = [
            {"type": "text", "text": part} if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": part.uri, "detail": "high"}}
            for part in parts
        ]  # fmt: skip
        messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        return {"model": self.model, "messages": messages, "response_format": response_format(kind, schema),
                **self.options}  # fmt: skip

    def recall(self, key: str, kind: str, schema: type[Form]) -> Reply[Form] | None:
        """Return the ledger's reply where it is usable; an unusable one was an attempt and is asked again."""
        body = self.ledger.get(key)
        if body is None:
            return None
        try:
            reply = read_reply(body, kind, schema)
        except (EndpointError, ReplyError):
            return None
        with self.lock:
            self.reused += 1
        return reply

    def ask_endpoint(self, key: str, kind: str, request: dict, schema: type[Form]) -> Reply[Form]:
        """Post until a usable reply has come; the ledger keeps every body before it is looked at."""
        for left in range(self.reasks, -1, -1):
            body = self.post(key, kind, request)
            self.ledger.keep(key, kind, body)
            with self.lock:
                self.asked += 1
            try:
                reply = read_reply(body, kind, schema)
            except (EndpointError, ReplyError) as problem:
                if isinstance(problem, Refused) or not left:
                    problem.path = problem.path or self.address
                    raise
                continue
            with self.lock:
                self.prompt_tokens += reply.prompt_tokens
                self.completion_tokens += reply.completion_tokens
            return reply
        raise AssertionError("unreachable")

    def post(self, key: str, kind: str, request: dict) -> str:
        """Post one request and return the body of its answer; wait and repeat after failures that pass."""
        for attempt in range(self.retries + 1):
            problem, wait = None, self.backoff * 2**attempt * random.uniform(0.75, 1.25)
            try:
                return self.send(request)
            except Exception as raised:
                problem, passing, told = explain(raised, self.address, self.timeout, self.api.api_key)
                if problem is None:
                    raise
            self.ledger.note(key, kind, problem.reason)
            if not passing or attempt == self.retries:
                raise problem from None  # without the request, whose headers hold the key
            with self.lock:
                self.retried += 1
            time.sleep(min(LONGEST_WAIT, wait if told is None else told))
        raise AssertionError("unreachable")

    def send(self, request: dict) -> str:
        """Post and read the body under one deadline; the library's own timeout starts anew at every byte."""
        deadline = time.monotonic() + self.timeout
        create = self.api.chat.completions.with_streaming_response.create
        with create(**request, timeout=self.timeout) as response:
            chunks = []
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise TimeoutError
        return b"".join(chunks).decode("utf-8", "replace")

    def close(self) -> None:
        """Close the connections; the ledger needs no closing."""
        self.api.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def transport_settings(address: str) -> dict[str, Any]:
    """Keep the environment's proxy away from this machine's loopback, and certificates from plain http.

    Reading the system's certificates takes longer than a call; the empty context trusts nobody.
    """
    if not is_loopback(address):
        return {}
    plain = address.startswith("http://")
    return {"trust_env": False, **({"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)} if plain else {})}


def explain(
    raised: Exception, address: str, timeout: float, key: str
) -> tuple[EndpointError | None, bool, float | None]:
    """Turn a failure into (typed error, is it worth another try, seconds the endpoint asks to wait)."""
    import httpx2
    import openai

    if isinstance(raised, openai.APITimeoutError | TimeoutError | httpx2.TimeoutException):
        reason = f"did not answer within {timeout:g} s"
        return error(reason, address, "try later, or raise timeout"), True, None
    if isinstance(raised, openai.APIStatusError):
        return explain_status(raised, address, key)
    if isinstance(raised, openai.APIConnectionError | httpx2.TransportError):
        return error("cannot be reached", address, "check the address, or start the server"), True, None
    if isinstance(raised, openai.OpenAIError):
        return error(f"failed: {scrub(str(raised), key)}", address, "check the endpoint"), False, None
    return None, False, None


def explain_status(
    raised: openai.APIStatusError, address: str, key: str
) -> tuple[EndpointError, bool, float | None]:
    """Turn an HTTP failure into what `explain` returns."""
    status, said = raised.status_code, scrub(raised.message, key)
    if status in (401, 403):
        return error(f"refuses the key (HTTP {status})", address, "set OPENAI_API_KEY anew"), False, None
    if status == 404:
        return error(f"knows no such model or path (HTTP 404: {said})", address, "check both"), False, None
    if raised.code == "insufficient_quota":
        return error("the account has no credit left", address, "top it up and run again"), False, None
    try:
        told = max(0.0, float(raised.response.headers.get("retry-after", "")))
    except ValueError:
        told = None
    passing = status in PASSING or status >= 500
    cure = "run again later; what was answered is kept" if passing else "mend the request"
    return error(f"answers HTTP {status}: {said}", address, cure), passing, told


def error(reason: str, address: str, cure: str) -> EndpointError:
    return EndpointError(reason, path=address, cure=cure)


def scrub(text: str, key: str) -> str:
    """Shorten a message and take the key out of it."""
    return " ".join(text.replace(key, "***").split())[:200].rstrip(".")
