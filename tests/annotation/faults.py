"""Faults for the loopback server: what a bad endpoint, a bad network or a bad model sends in place of an answer."""

import json
import socket
import struct
import time

import pytest

from instit_lite.annotation.server import LoopbackServer, running

GOOD = '{"video_level_caption": "[1] waits at <1>."}'
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


def envelope(content=GOOD, finish="stop", usage=USAGE, **message):
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    body = {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}
    return body if usage is None else body | {"usage": usage}


def answer(status=200, said=b"", kind="application/json", **headers):
    """A whole answer: `said` is bytes, text, or an object to be written as JSON."""
    data = said if isinstance(said, bytes) else (said if isinstance(said, str) else json.dumps(said)).encode()

    def fault(handler, body):
        handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)
        handler.wfile.flush()

    return fault


def tells(content, **more):
    """A success with this content."""
    return answer(said=envelope(content, **more))


def complains(status, message, code=None, **headers):
    """An error as OpenAI words it."""
    return answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}}, **headers)


def drops(handler, body):
    """Promise more than comes."""
    handler.close_connection = True
    answer(200, '{"choices": [', Content_Length="4096")(handler, body)


def resets(handler, body):
    """Hang up with a reset."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def hangs(handler, body):
    handler.close_connection = True
    time.sleep(1.5)


def drips(head):
    """Send a byte now and then, for longer than anybody should wait: within the head, or within the body."""

    def fault(handler, body):
        handler.close_connection = True
        begin = b"HTTP/1.1 200 OK\r\nX-Slow: " if head else b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
        handler.wfile.write(begin)
        for _ in range(30):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)

    return fault


def babbles(handler, body):
    """Something that is no HTTP."""
    handler.close_connection = True
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    handler.wfile.flush()


def redirects(handler, body):
    answer(307, Location=f"http://127.0.0.1:{handler.server.server_address[1]}{handler.path}")(handler, body)


def refuses_fields(*fields):
    """Refuse requests that have one of these fields, in the words of `transformers serve`; answer others."""

    def fault(handler, body):
        found = set(fields) & set(json.loads(body))
        message = {"detail": f"Unsupported fields in the request: {found}"}
        (answer(422, message) if found else tells(GOOD))(handler, body)

    return fault


@pytest.fixture(scope="module")
def server():
    """A server whose good answer is `GOOD`."""
    with running(LoopbackServer(lambda request: json.loads(GOOD))) as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(server):
    """Nothing planned and nothing counted, for every test of a module that imports it."""
    server.faults.clear()
    server.calls = 0
