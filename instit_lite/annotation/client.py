"""The annotation client. In: a prompt and marked pictures. Out: a parsed reply, also kept in the ledger.

The real `openai` client posts to any OpenAI-compatible endpoint, from an event loop in a thread of its own, so that
`ask` works everywhere, in a running notebook too. Every question ends in an answer or in one typed error.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr

from ..errors import InstitError, NotYetAnswered
from .batch import BatchFolder
from .budget import LONGEST_REPLY, NANO, PRICES, Budget, Prices
from .endpoint import choose_address, choose_key, is_loopback, open_apis, place_of_address
from .ledger import Ledger, ledger_key
from .pictures import Picture
from .replies import Outcome, Verdict, judge_body
from .requests import Manner, Question, canonical_request
from .throttle import Throttle

Form = TypeVar("Form", bound=BaseModel)
PAPER_MODEL = "gpt-4o-2024-08-06"
GRACE = 10.0  # seconds for calls under way when a client is closed
WRITTEN = Verdict(Outcome.RETRY, "a question was written for a batch",
                  "send the files, merge the results, and run this again", NotYetAnswered)  # fmt: skip
CLOSED = Verdict(Outcome.FATAL, "the client is closed", "connect a new one")


@dataclass(eq=False)
class Client:
    """One endpoint, one model, one ledger; threads may share it. Make it with `Client.connect`."""

    apis: list[Any]  # of openai.AsyncOpenAI, one for 4 calls under way: each call looks at all connections of one
    model: str
    ledger: Ledger
    secret: SecretStr
    timeout: float = 120.0  # seconds per call in all
    retries: int = 3  # after 5xx, timeouts and lost connections
    backoff: float = 0.5  # seconds before the first retry, doubled before each further one
    patience: float = 600.0  # seconds that a question may wait between its calls
    reasks: int = 1  # after a reply that does not fit
    give_up: int = 5  # questions in a row that failed for good: the run stops
    concurrency: int = 4  # calls under way at most
    temperature: float | None = 0.0
    max_tokens: int | None = None
    jpeg: int | None = None  # quality of pictures; by default PNG: every pixel, and more bytes
    seed: int | None = None  # of the endpoint's sampling, to ask the same question more than once
    budget: float | None = None  # dollars, all runs with this ledger together
    prices: Prices | None = None  # by default those that are known for the model
    batch: BatchFolder | None = None  # write questions there instead of sending them
    shared: bool = False  # the ledger is somebody else's, who closes it
    asked: int = field(default=0, init=False)  # replies that came over the wire
    reused: int = field(default=0, init=False)  # replies from the ledger
    retried: int = field(default=0, init=False)  # calls that failed and were repeated
    gave_up: int = field(default=0, init=False)
    stopped: Verdict | None = field(default=None, init=False)  # the fatal verdict that ended the run
    models: dict[str, None] = field(default_factory=dict, init=False)  # how the models called themselves
    manner: Manner = field(default=Manner(), init=False)
    under_way: dict[str, Future] = field(default_factory=dict, init=False)
    closed: bool = field(default=False, init=False)
    lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.place = place_of_address(self.address)
        self.paid = self.prices is not None or not is_loopback(self.address)
        if self.budget is not None:
            if self.prices is None:
                raise InstitError(f"no price of {self.model} is known, so that no budget can be kept",
                                  cure="give prices: dollars for a million tokens in and out, tokens of a picture")
            self.max_tokens = self.max_tokens or LONGEST_REPLY
        self.spending = Budget(None if self.budget is None else int(self.budget * NANO), self.ledger.spent)
        self.throttle = Throttle(self.concurrency, self.spending)

    @classmethod
    def connect(
        cls, base_url: str | None = None, model: str = PAPER_MODEL, ledger: str | Path | Ledger | None = None,
        online: bool = False, api_key: str | SecretStr | None = None, batch: str | Path | None = None, **settings: Any,
    ) -> Client:
        """Prepare a client; nothing is sent yet. `settings` are the fields from `timeout` to `prices`.

        `base_url` falls back to `$OPENAI_BASE_URL` and then to OpenAI, `api_key` to `$OPENAI_API_KEY`. With a folder
        `batch` nothing is ever sent. Raises `OfflineRefused` for an address elsewhere without `online=True`, or
        without a key, `EndpointError` for an address, key or environment that cannot be used, and `LedgerError`.
        """
        key = api_key if api_key is None or isinstance(api_key, SecretStr) else SecretStr(api_key)
        del api_key  # no traceback shall hold it
        address = choose_address(base_url, online or batch is not None)
        key = SecretStr("batch") if batch is not None else choose_key(key, address)
        apis = open_apis(address, key, 1 + settings.get("concurrency", cls.concurrency) // 4)
        settings.setdefault("prices", None if is_loopback(address) else PRICES.get(model))
        shared = isinstance(ledger, Ledger)
        return cls(apis, model, ledger if shared else Ledger(ledger), key, shared=shared,
                   batch=None if batch is None else BatchFolder(batch), **settings)  # fmt: skip

    @property
    def address(self) -> str:
        return str(self.apis[0].base_url).rstrip("/")

    def request(self, kind: str, system: str, parts: Sequence[str | Picture], schema: type[Form]) -> dict:
        """Return what will be posted, everything that a reply depends on, with pictures by their names."""
        options = {name: getattr(self, name) for name in ("model", "temperature", "max_tokens", "seed")}
        return canonical_request(Question(kind, system, parts, schema), options)

    def key_of(self, request: dict) -> str:
        """The ledger's key of what `request` returned."""
        return ledger_key({"endpoint": self.place, **request})

    def ask(self, kind: str, system: str, parts: Sequence[str | Picture], schema: type[Form]) -> Form:
        """Ask once, or take the reply from the ledger; `kind` names the stage and the schema on the wire.

        Raises `EndpointError` (down, wrong key, HTTP failure, budget), `ReplyError` (refused, cut short, misshapen),
        `LedgerError` (disk full) or, for a batch, `NotYetAnswered`; `outcome` says which of the eight it is.
        """
        return self.value(self.start(Question(kind, system, parts, schema)))

    def ask_all(self, questions: Iterable[Question]) -> Iterator[BaseModel]:
        """Ask many, several at a time; yield the replies in the order of the questions.

        Questions are taken from the iterable as they are needed, so that not all pictures are encoded at once. After
        an error nothing new is begun, what is under way is kept, and the error is raised; for a batch all questions
        are written first.
        """
        ahead: deque[Future] = deque()
        failed: list[InstitError] = []
        for question in questions:
            ahead.append(self.start(question))
            while ahead and (ahead[0].done() or len(ahead) >= 2 * self.concurrency):
                yield from self.take(ahead, failed)
            if failed and self.batch is None:
                break
        while ahead:
            yield from self.take(ahead, failed)
        if failed:
            raise failed[0]

    def take(self, ahead: deque[Future], failed: list[InstitError]) -> Iterator[BaseModel]:
        try:
            reply = self.value(ahead.popleft())
        except InstitError as problem:
            failed.append(problem)
        else:
            if not failed:
                yield reply

    def start(self, question: Question) -> Future:
        """Begin to ask, and return a future `Verdict`; the same question under way is asked once."""
        request = self.request(*question)
        key = self.key_of(request)
        done: Future = Future()
        with self.lock:
            if key in self.under_way:
                return self.under_way[key]
            verdict = CLOSED if self.closed else self.recall(key, question)
            if verdict is None and self.batch is not None:
                self.batch.add(key, request, question.pictures)
                verdict = WRITTEN
            if verdict is not None:
                done.set_result(verdict)
                return done
            answer = self.answer(question, key, request)
            self.under_way[key] = asyncio.run_coroutine_threadsafe(answer, loop_of(os.getpid()))
            return self.under_way[key]

    def recall(self, key: str, question: Question) -> Verdict | None:
        """Return the ledger's reply where it is usable; an unusable one was an attempt and is asked again."""
        body = self.ledger.get(key)
        verdict = judge_body(body, question.kind, question.schema) if body is not None else None
        if verdict is None or verdict.outcome != Outcome.DONE:
            return None
        self.reused += 1
        return verdict

    async def answer(self, question: Question, key: str, request: dict) -> Verdict:
        """Ask the endpoint, in the event loop; a fatal verdict stops all others."""
        from .asking import Asking

        try:
            verdict = await Asking(self, question, key, request).run()
            if verdict.outcome == Outcome.FATAL and self.stopped is None:
                self.stopped = verdict
                self.throttle.stop.set()
            return verdict
        finally:
            with self.lock:
                del self.under_way[key]

    def value(self, future: Future) -> Any:
        """Wait, and return what was answered, or raise the typed error."""
        try:
            verdict = future.result()
        except CancelledError:
            verdict = CLOSED
        if verdict.outcome != Outcome.DONE:
            raise verdict.problem(str(self.batch.path) if self.batch else self.address)
        self.models.setdefault(verdict.model)
        return verdict.parsed

    def close(self) -> None:
        """Begin nothing more, wait shortly for calls under way, whose answers are paid, and close the ledger."""
        loop = loop_of(os.getpid())
        with self.lock:
            self.closed, self.stopped = True, self.stopped or CLOSED
            left = list(self.under_way.values())
        loop.call_soon_threadsafe(self.throttle.stop.set)
        for future in wait(left, GRACE).not_done:
            future.cancel()
        for api in self.apis:
            asyncio.run_coroutine_threadsafe(api.close(), loop).result(GRACE)
        if not self.shared:
            self.ledger.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close()
        if self.ledger.broken is not None and kind is None:
            raise self.ledger.broken


@cache
def loop_of(process: int) -> asyncio.AbstractEventLoop:
    """Return the event loop of a process, running in a thread of its own; a fork has none and gets its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="instit-annotation", daemon=True).start()
    return loop
