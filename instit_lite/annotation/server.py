"""The loopback server. In: HTTP posts on 127.0.0.1. Out: chat completions as OpenAI gives them.

No well-kept Python package sees posted pictures offline, hence this one. It answers nobody who lacks its token, and
nobody who was led here by a web page. It can fail on request, one fault a call, so that what the client does about a
bad endpoint can be tested and shown.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..errors import InstitError
from .budget import BYTES_PER_TOKEN, prompt_tokens
from .endpoint import TOKENS
from .schema import SIMULATED_MODEL
from .simulated import ErrorModel, Simulator

MAX_BODY = 32 * 2**20
HOSTS = ("127.0.0.1", "localhost")
PICTURE_TOKENS = 85 + 4 * 170  # what a simulated picture counts as
FAULTS = ("401", "429", "500", "refusal", "not-json", "truncated")


class LoopbackServer(ThreadingHTTPServer):
    """Answers `POST …/chat/completions` with `answer(request)` as the content, on a free port of 127.0.0.1.

    `key` is the token that it wants, by default a new one, which clients of the same process find by themselves.
    `faults` are consumed one a call: a name, "ok", or a function of the handler and the body that answers itself.
    `calls` counts the posts that came in.
    """

    request_queue_size = 512
    daemon_threads = True

    def __init__(self, answer: Callable[[dict], dict], path: str = "/v1", key: str | None = None) -> None:
        super().__init__((HOSTS[0], 0), Handler)
        self.answer, self.path, self.key = answer, path, key or secrets.token_urlsafe(24)
        if key is None:
            TOKENS[self.server_address[1]] = self.key
        self.faults: deque[Any] = deque()
        self.calls = 0
        self.lock = threading.Lock()
        self.connections: set[socket.socket] = set()

    @property
    def base_url(self) -> str:
        """What the client's `base_url` must be."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.path}"

    def fail(self, faults: Iterable[Any]) -> None:
        """Plan one fault (see `FAULTS`) or "ok" for each of the next calls."""
        for fault in faults:
            if not callable(fault) and fault not in (*FAULTS, "ok"):
                raise InstitError(f"there is no fault {fault!r}", cure=f"choose from {', '.join(FAULTS)}")
            self.faults.append(fault)

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Let go of the port, the token and every open connection, whose threads would go on to answer."""
        TOKENS.pop(self.server_address[1], None)
        super().server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet about a client that went away; anything else is the server's own fault and is shown."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class SimulatedServer(LoopbackServer):
    """A loopback server with the simulated annotator behind it; `know_frame` is the simulator's."""

    def __init__(self, seed: int, errors: ErrorModel, key: str | None) -> None:
        simulator = Simulator(seed, errors)
        super().__init__(simulator.answer, f"/{simulator.identity}/v1", key)
        self.know_frame = simulator.know_frame


@contextmanager
def simulated_server(
    seed: int = 0, errors: ErrorModel = ErrorModel(), key: str | None = None, faults: Iterable[str] = ()
) -> Iterator[SimulatedServer]:
    """Run the simulated annotator while the `with` block lasts; other keys than `key` get HTTP 401."""
    server = SimulatedServer(seed, errors, key)
    server.fail(faults)
    with running(server):
        yield server


@contextmanager
def running(server: LoopbackServer) -> Iterator[LoopbackServer]:
    """Serve from a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open for many calls."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every call waits 40 ms for a delayed acknowledgement
    wbufsize = -1  # one write per answer
    timeout = 300  # seconds until an idle connection is let go
    server: LoopbackServer

    def do_POST(self) -> None:
        """Answer one call, or fail as planned."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            return self.refuse(413, "the request is too large or does not say its length")
        body = self.rfile.read(int(length))
        if self.headers.get("Host", "").rpartition(":")[0] not in HOSTS:
            return self.refuse(403, "this server is for its own machine only")
        given = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.server.key}".encode()):
            return self.refuse(401, "the key is wrong")
        if self.path != f"{self.server.path}/chat/completions":
            return self.refuse(404, f"there is nothing at {self.path}")
        with self.server.lock:
            self.server.calls += 1
            fault = self.server.faults.popleft() if self.server.faults else "ok"
        if callable(fault):
            return fault(self, body)
        if fault in ("401", "429", "500"):
            return self.refuse(int(fault), "planned fault")
        try:
            request = json.loads(body)
            content = json.dumps(self.server.answer(request))
        except InstitError as problem:
            return self.refuse(422, str(problem))
        except ValueError:
            return self.refuse(400, "the request is not JSON")
        asked = prompt_tokens(request, PICTURE_TOKENS, BYTES_PER_TOKEN)
        return self.reply(200, json.dumps(completion(content, fault, asked)).encode())

    def refuse(self, status: int, message: str) -> None:
        self.close_connection = status == 413  # its body was not read
        error = {"message": message, "type": "loopback", "code": None}
        self.reply(status, json.dumps({"error": error}).encode())

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a notebook's output is not a log."""


def completion(content: str, fault: str = "ok", asked: int = 0) -> dict[str, Any]:
    """Wrap content as a chat completion, spoilt where a fault says so; `asked` is the prompt in tokens."""
    told = len(content) // BYTES_PER_TOKEN + 1
    usage = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
    content = content[: len(content) // 2] if fault == "truncated" else content
    message = {"role": "assistant", "content": "I see two shapes." if fault == "not-json" else content}
    if fault == "refusal":
        message |= {"content": None, "refusal": "I cannot help with that."}
    choice = {"index": 0, "message": message, "finish_reason": "length" if fault == "truncated" else "stop"}
    return {"id": "chatcmpl-loopback", "object": "chat.completion", "created": 0, "model": SIMULATED_MODEL,
            "choices": [choice], "usage": usage}
