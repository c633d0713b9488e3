"""The ledger of API calls. In: replies as they arrive. Out: the same replies on the next run.

An append-only file of JSON lines, or memory where no path is given, so that a second run re-asks nothing. A
line is one attempt: its key, the stage, and the raw body of the reply, written before anything is checked, or
what went wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from ..errors import InstitError


def ledger_key(request: dict[str, Any]) -> str:
    """Return SHA-256 of a request's canonical JSON: the same words, pictures and options, the same key."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


class Ledger:
    """Replies by key. Threads may share it; a torn last line, left by a killed run, is passed over."""

    def __init__(self, path: str | Path | None = None) -> None:
        """Open or begin the ledger at `path`; raise `InstitError` where it cannot be read or written."""
        self.path = None if path is None else Path(path)
        self.bodies: dict[str, str] = {}
        self.damaged = 0  # lines that could not be read
        self.lock = threading.Lock()
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                data = self.path.read_bytes() if self.path.exists() else b""
            except OSError as problem:
                raise refuse_disk(problem, self.path) from None
            self.read(data)
            if data and not data.endswith(b"\n"):
                self.write("\n")

    def read(self, data: bytes) -> None:
        for line in data.splitlines():
            try:
                row = json.loads(line)
                if "body" in row:
                    self.bodies[row["key"]] = row["body"]
            except (ValueError, LookupError, TypeError):
                self.damaged += 1

    def get(self, key: str) -> str | None:
        """Return the last body that was kept under `key`, as it came."""
        return self.bodies.get(key)

    def keep(self, key: str, kind: str, body: str) -> None:
        """Keep the raw body of a reply; it is on disk when this returns."""
        with self.lock:
            self.bodies[key] = body
            self.write(json.dumps({"key": key, "kind": kind, "body": body}) + "\n")

    def note(self, key: str, kind: str, problem: str) -> None:
        """Note an attempt that brought no reply."""
        with self.lock:
            self.write(json.dumps({"key": key, "kind": kind, "problem": problem}) + "\n")

    def write(self, line: str) -> None:
        if self.path is None:
            return
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # for its owner alone
            with open(file, "w", encoding="ascii") as lines:
                lines.write(line)
        except OSError as problem:
            raise refuse_disk(problem, self.path) from None


def refuse_disk(problem: OSError, path: Path) -> InstitError:
    reason = f"the ledger cannot be read or written ({problem.strerror})"
    return InstitError(reason, path=path, cure="give a writable file; what was answered so far is kept")
