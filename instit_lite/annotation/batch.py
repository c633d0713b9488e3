"""Questions by the batch. In: requests, and the result files of a batch API. Out: JSONL files, and a fuller ledger.

The files are OpenAI's Batch format, which `vllm run-batch` reads too; a request's `custom_id` is its key in the
ledger. A clip takes two rounds, because equations 2 and 3 read what equation 1 brought: the same command is run again
after each merge, and writes only what the ledger still lacks.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import InstitError
from .budget import Prices
from .ledger import Ledger
from .replies import Outcome, Verdict, judge
from .schema import FORMS

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000  # of one file, as OpenAI takes it
CUSTOM_ID = re.compile(rb'\{"custom_id": "([0-9a-f]{64})"')
OPEN = (Outcome.RETRY, Outcome.REASK, Outcome.FATAL, "")  # outcomes after which a request is sent again


class Shards:
    """JSONL files `<name>-0001.jsonl`, … that are begun anew where the next line would make one too large."""

    def __init__(self, folder: Path, name: str, most_requests: int, most_bytes: int) -> None:
        self.folder, self.name = folder, name
        self.most_requests, self.most_bytes = most_requests, most_bytes
        self.lines = self.bytes = 0

    def paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.name}-[0-9]*.jsonl"))

    def write(self, line: bytes) -> None:
        """Append one line; refuse one that no file can take."""
        if len(line) > self.most_bytes:
            raise InstitError(f"a request has {len(line)} bytes, and a file takes {self.most_bytes}",
                              path=self.folder, cure="annotate smaller frames, or fewer at a time")  # fmt: skip
        paths = self.paths()
        full = self.lines >= self.most_requests or self.bytes + len(line) > self.most_bytes
        if not paths or full:
            paths.append(self.folder / f"{self.name}-{len(paths) + 1:04d}.jsonl")
            self.lines = self.bytes = 0
        with open(paths[-1], "ab") as file:
            file.write(line)
        self.lines += 1
        self.bytes += len(line)


class BatchFolder:
    """A folder of requests that wait to be sent; each stands in it once. Killed runs go on."""

    def __init__(self, path: str | Path, most_requests: int = MOST_REQUESTS, most_bytes: int = MOST_BYTES) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.shards = Shards(self.path, "requests", most_requests, most_bytes)
        self.again = Shards(self.path, "again", most_requests, most_bytes)
        self.index = self.path / "index.txt"  # key and kind of each request
        lines = self.index.read_text("ascii").splitlines() if self.index.exists() else []
        self.kinds = dict(line.split(" ", 1) for line in lines if re.fullmatch(r"[0-9a-f]{64} .+", line))
        self.mend()

    def mend(self) -> None:
        """Take up the last file where a killed run left it: cut off a torn line, complete the index."""
        for path in self.shards.paths()[-1:]:
            whole = 0
            with open(path, "rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    whole += len(line)
                    self.shards.lines += 1
                    request = json.loads(line)
                    self.learn(request["custom_id"], request["body"]["response_format"]["json_schema"]["name"])
            self.shards.bytes = whole
            if whole < path.stat().st_size:
                with open(path, "r+b") as file:
                    file.truncate(whole)

    def learn(self, key: str, kind: str) -> None:
        if key not in self.kinds:
            self.kinds[key] = kind
            with open(self.index, "a", encoding="ascii") as file:
                file.write(f"\n{key} {kind}" if self.index.stat().st_size else f"{key} {kind}")

    def add(self, key: str, request: dict[str, Any]) -> None:
        """Write a request, unless it stands here already."""
        if key not in self.kinds:
            line = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": request}
            self.shards.write(json.dumps(line).encode() + b"\n")
            self.learn(key, request["response_format"]["json_schema"]["name"])

    def reissue(self, keys: set[str]) -> list[Path]:
        """Write the requests of `keys` once more, in place of what was to be sent again before."""
        for old in self.again.paths():
            old.unlink()
        self.again.lines = self.again.bytes = 0
        for path in self.shards.paths() if keys else []:
            with open(path, "rb") as file:
                for line in file:
                    if CUSTOM_ID.match(line)[1].decode() in keys:
                        self.again.write(line)
        return self.again.paths()


def merge_results(
    folder: BatchFolder, ledger: Ledger, results: Iterable[str | Path], prices: Prices | None = None
) -> Counter[str]:
    """Take result files into the ledger, write what is missing to `again-*.jsonl` and lost items to `quarantine.jsonl`.

    Returns counts: `merged`, `repeated`, `unknown` and `damaged` lines, then `answered`, `missing` and `quarantined`
    requests. A line that is merged already changes nothing, so that a killed merge is simply run again.
    """
    counts: Counter[str] = Counter()
    for path in map(Path, results):
        for row in read_results(path, counts):
            key = row.get("custom_id")
            if key not in folder.kinds:
                counts["unknown"] += 1
            elif ledger.last.get(key) == Outcome.DONE:
                counts["repeated"] += 1
            else:
                merge_line(ledger, key, folder.kinds[key], row, path.name, prices)
                counts["merged"] += 1
    states = {key: ledger.last.get(key, "") for key in folder.kinds}
    missing = {key for key, state in states.items() if state in OPEN}
    lost = [{"custom_id": key, "kind": folder.kinds[key], "outcome": state}
            for key, state in states.items() if state not in OPEN and state != Outcome.DONE]  # fmt: skip
    folder.reissue(missing)
    (folder.path / "quarantine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lost), "ascii")
    return counts + Counter(answered=len(states) - len(missing) - len(lost), missing=len(missing), quarantined=len(lost))


def read_results(path: Path, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a result file, counting lines that are none."""
    try:
        with open(path, "rb") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                    row["custom_id"]
                except (ValueError, LookupError, TypeError, RecursionError):
                    counts["damaged"] += bool(line.strip())
                else:
                    yield row
    except OSError as problem:
        cure = "give the downloaded result file"
        raise InstitError(f"cannot be read ({problem.strerror})", path=path, cure=cure) from None


def merge_line(ledger: Ledger, key: str, kind: str, row: dict[str, Any], name: str, prices: Prices | None) -> None:
    """Take one result into the ledger as if it had come over the wire."""
    call = ledger.begin(key, kind, {"batch": name}, None)
    response = row.get("response")
    if isinstance(response, dict) and type(response.get("status_code")) is int:
        body = json.dumps(response.get("body"))
        ledger.keep(key, call, response["status_code"], body)
        verdict = judge(response["status_code"], {}, body, kind, FORMS.get(kind))
    else:
        verdict = Verdict(Outcome.RETRY, str(row.get("error"))[:200])
    if verdict.outcome == Outcome.REASK:
        verdict = Verdict(Outcome.QUARANTINED, verdict.reason, tokens=verdict.tokens)
    cost = prices.cost(*verdict.tokens) if prices and verdict.tokens else 0
    ledger.end(key, call, verdict.outcome, verdict.reason, cost=cost, tokens=verdict.tokens)
