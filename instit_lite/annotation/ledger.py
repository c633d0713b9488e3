"""The ledger of API calls. In: requests before they are sent, replies as they arrive. Out: the same replies next time.

An append-only file of JSON lines, which is safe on a network file system too, or memory where no path is given. A call
writes three rows: `ask` before it is sent, with the most that it can cost; `reply` with the raw body, before anything
is checked; `end` with what became of it. An `ask` without an `end` was under way when its run was killed. Long texts
stand in rows of their own, once; pictures are named by their hash.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import LedgerError

SPARE = 64 * 2**20  # bytes that must be free on the disk before a call is paid for
LONG = 200  # characters from which on a text gets a row of its own


def ledger_key(request: dict[str, Any]) -> str:
    """Return SHA-256 of a request's canonical JSON: the same words, pictures and options, the same key."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


class Ledger:
    """Replies by key, and what they cost. Threads may share it; a line torn by a kill is passed over.

    `spent`: nanodollars, calls under way at their most. `last`: the outcome of the last call for each key.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Open or begin the ledger at `path`; raise `LedgerError` where that cannot be, or another run holds it."""
        self.path = None if path is None else Path(path)
        self.bodies: dict[str, int] = {}  # where the last reply to a key begins in the file
        self.open: dict[int, int | None] = {}  # calls under way, and the most that they can cost
        self.texts: set[str] = set()
        self.last: dict[str, str] = {}
        self.spent = 0
        self.calls = 0
        self.damaged = 0  # lines that could not be read
        self.broken: LedgerError | None = None
        self.lock = threading.Lock()
        self.guard: FileLock | None = None
        self.file: Any = io.BytesIO()
        self.reader = self.file
        self.torn = False  # the last line was written in part
        self.rescued: str | None = None  # the file that took what this one could not
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.guard = hold(self.path)
                handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)  # for its owner alone
                self.file = os.fdopen(handle, "ab", buffering=0)
                self.reader = open(self.path, "rb")
                self.read()
            except OSError as problem:
                raise refuse_disk(problem, self.path) from None

    def read(self) -> None:
        """Read what is there, line by line."""
        with open(self.path, "rb") as lines:
            at, line = 0, b"\n"
            for line in lines:
                try:
                    self.learn(json.loads(line), at)
                except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                    self.damaged += 1
                at += len(line)
        self.torn = not line.endswith(b"\n")

    def learn(self, row: dict[str, Any], at: int) -> None:
        """Take one row into the index."""
        match row["row"]:
            case "text":
                self.texts.add(row["sha256"])
            case "ask":
                self.calls = max(self.calls, row["call"])
                self.open[row["call"]] = row["most"]
                self.spent += row["most"] or 0
            case "reply":
                if row["status"] < 300:
                    self.bodies[sys.intern(row["key"])] = at
            case "end":
                self.last[sys.intern(row["key"])] = sys.intern(row["outcome"])
                if row["call"] in self.open:
                    self.spent += row["cost"] - (self.open.pop(row["call"]) or 0)

    def get(self, key: str) -> str | None:
        """Return the last body that was kept under `key`, as it came; it may be unusable."""
        with self.lock:
            if key not in self.bodies:
                return None
            self.reader.seek(self.bodies[key])
            return json.loads(self.reader.readline())["body"]

    def begin(self, key: str, kind: str, request: dict[str, Any], most: int | None) -> int:
        """Note a call before it is sent, and return its number; raise `LedgerError` where replies could not be kept.

        `most`: nanodollars that it can cost, None where no price is known.
        """
        if self.broken is None and self.path and shutil.disk_usage(self.path.parent).free < SPARE:
            self.broken = refuse_disk(OSError(28, "too little space is left on the disk"), self.path)
        if self.broken is not None:
            raise self.broken
        with self.lock:
            self.calls += 1
            number = self.calls
            row = {"row": "ask", "key": key, "call": number, "kind": kind, "most": most,
                   "at": datetime.now(UTC).isoformat(timespec="seconds"), "request": self.shorten(request)}  # fmt: skip
            try:
                self.append(row)
            except OSError as problem:
                self.broken = refuse_disk(problem, self.path)
                raise self.broken from None
        return number

    def keep(self, key: str, call: int, status: int, body: str) -> None:
        """Keep the raw body of a reply; a kill cannot lose it once this returns. It never raises: see `rescue`."""
        self.note({"row": "reply", "key": key, "call": call, "status": status, "body": body})

    def end(
        self, key: str, call: int, outcome: str, why: str = "", cost: int = 0, tokens: tuple[int, int] | None = None
    ) -> None:
        """Note what became of a call, what it cost in nanodollars, and the (prompt, completion) tokens counted."""
        self.note({"row": "end", "key": key, "call": call, "outcome": str(outcome), "why": why, "cost": cost,
                   "tokens": tokens})  # fmt: skip

    def note(self, row: dict[str, Any]) -> None:
        with self.lock:
            try:
                self.append(row)
            except OSError as problem:
                self.rescue(row, problem)

    def append(self, row: dict[str, Any]) -> None:
        """Write one line and take it into the index."""
        line = json.dumps(row).encode() + b"\n"
        torn, self.torn = b"\n" * self.torn, True
        self.file.seek(0, os.SEEK_END)
        if self.file.write(torn + line) != len(torn + line):
            raise OSError(28, "a line was written in part")
        self.torn = False
        self.learn(row, self.file.tell() - len(line))

    def rescue(self, row: dict[str, Any], problem: OSError) -> None:
        """Write a row that the ledger could not take to the temporary folder, and let nothing more be begun."""
        with suppress(OSError):
            file = open(self.rescued, "ab") if self.rescued else tempfile.NamedTemporaryFile(suffix=".jsonl", delete=False)
            with file:
                self.rescued = file.name
                file.write(json.dumps(row).encode() + b"\n")
        cure = f"make room, append {self.rescued} to the ledger and run again: it has what could not be written"
        self.broken = refuse_disk(problem, self.path, cure)

    def shorten(self, value: Any) -> Any:
        """Replace long texts of a request by their hash; each gets a row of its own the first time."""
        if isinstance(value, dict):
            return {name: self.shorten(json.dumps(part) if name == "schema" else part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.shorten(part) for part in value]
        if not isinstance(value, str) or len(value) < LONG:
            return value
        sha256 = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        if sha256 not in self.texts:
            self.append({"row": "text", "sha256": sha256, "text": value})
        return {"sha256": sha256}

    def sync(self) -> None:
        """Have the disk itself confirm what was written: against a power cut, which a paid reply must outlive."""
        if self.path is not None:
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Let go of the file; the ledger answers nothing more."""
        self.file.close()
        self.reader.close()
        if self.guard is not None:
            self.guard.release()


def hold(path: Path) -> FileLock | None:
    """Hold the ledger against other runs. One process may hold it more than once."""
    guard = FileLock(f"{path}.lock", timeout=0, is_singleton=True, thread_local=False)
    try:
        guard.acquire()
    except Timeout:
        cure = "wait for the other run, or give this one a ledger of its own"
        raise LedgerError("another run is writing this ledger", path=path, cure=cure) from None
    except (OSError, NotImplementedError):
        if not os.access(path.parent, os.W_OK):
            raise
        warnings.warn(f"{path}: this file system has no locks; let only one run use the ledger at a time", stacklevel=4)
        return None
    return guard


def refuse_disk(problem: OSError, path: Path | None, cure: str = "") -> LedgerError:
    reason = f"the ledger cannot be read or written ({problem.strerror or problem})"
    return LedgerError(reason, path=path, cure=cure or "give a writable file with room; what was answered is kept")
