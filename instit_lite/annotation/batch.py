"""Questions by the batch. In: requests, and the result files of a batch API. Out: JSONL files, and a fuller ledger.

The files are OpenAI's Batch format, which `vllm run-batch` reads too; a request's `custom_id` is its key in the
ledger. A clip takes two rounds, because equations 2 and 3 read what equation 1 brought: the same command is run again
after each merge, and writes only what the ledger still lacks.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import InstitError
from ..profiles import atomic_write_text
from .budget import Prices
from .ledger import Ledger
from .pictures import Picture
from .replies import Outcome, Verdict, judge
from .requests import body_of
from .schema import FORMS

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000  # of one file, as OpenAI takes it
OPEN = (Outcome.RETRY, Outcome.REASK, Outcome.FATAL, "")  # outcomes after which a request is sent again


class BatchFolder:
    """Files `requests-0001.jsonl`, … of requests that wait to be sent; each stands in them once. Killed runs go on.

    `kinds`: the kind of question by key. `again`: the folder of what is to be sent once more.
    """

    def __init__(self, path: str | Path, most_requests: int = MOST_REQUESTS, most_bytes: int = MOST_BYTES) -> None:
        self.path, self.most_requests, self.most_bytes = Path(path), most_requests, most_bytes
        self.again = self.path / "again"
        self.path.mkdir(parents=True, exist_ok=True)
        self.index = self.path / "index.txt"
        lines = self.index.read_text("ascii").splitlines() if self.index.exists() else []
        self.kinds = dict(line.split(" ", 1) for line in lines if re.fullmatch(r"[0-9a-f]{64} .+", line))
        self.lines = self.bytes = 0  # of the last file
        for last in self.paths()[-1:]:  # take it up where a killed run left it
            whole = [line for line in last.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            self.lines, self.bytes = len(whole), sum(map(len, whole))
            with open(last, "r+b") as file:
                file.truncate(self.bytes)
            for row in map(json.loads, whole):
                self.learn(row["custom_id"], kind_of(row["body"]))

    def paths(self) -> list[Path]:
        return sorted(self.path.glob("requests-*.jsonl"))

    def learn(self, key: str, kind: str) -> None:
        if key not in self.kinds:
            self.kinds[key] = kind
            with open(self.index, "a", encoding="ascii") as file:
                file.write(f"\n{key} {kind}\n")

    def add(self, key: str, request: dict[str, Any], pictures: Sequence[Picture] = ()) -> None:
        """Write a request, unless it stands here already."""
        if key in self.kinds:
            return
        row = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": request}
        line, paths = body_of(row, pictures) + b"\n", self.paths()
        if len(line) > self.most_bytes:
            raise InstitError(f"a request has {len(line)} bytes, and a file takes {self.most_bytes}",
                              path=self.path, cure="annotate smaller frames")  # fmt: skip
        if not paths or self.lines >= self.most_requests or self.bytes + len(line) > self.most_bytes:
            paths.append(self.path / f"requests-{len(paths) + 1:04d}.jsonl")
            self.lines = self.bytes = 0
        with open(paths[-1], "ab") as file:
            file.write(line)
        self.lines, self.bytes = self.lines + 1, self.bytes + len(line)
        self.learn(key, kind_of(request))

    def reissue(self, keys: set[str]) -> list[Path]:
        """Write the requests of `keys` once more into `again`, in place of what was there."""
        shutil.rmtree(self.again, ignore_errors=True)
        if not keys:
            return []
        again = BatchFolder(self.again, self.most_requests, self.most_bytes)
        for path in self.paths():
            with open(path, "rb") as lines:
                for line in lines:
                    if line[15:79].decode() in keys:  # after `{"custom_id": "`
                        row = json.loads(line)
                        again.add(row["custom_id"], row["body"])
        return again.paths()


def kind_of(request: dict[str, Any]) -> str:
    return request.get("response_format", {}).get("json_schema", {}).get("name", "text")  # a text may say anything


def merge_results(
    folder: BatchFolder, ledger: Ledger, results: Iterable[str | Path], prices: Prices | None = None
) -> Counter[str]:
    """Take result files into the ledger; write what is missing to `again/`, and lost items to `quarantine.jsonl`.

    Returns counts: `merged`, `repeated`, `unknown` and `damaged` lines, then `answered`, `missing` and `quarantined`
    requests. A line that is merged already changes nothing, so that a killed merge is simply run again.
    """
    counts: Counter[str] = Counter()
    for path in map(Path, results):
        for row in read_results(path, counts):
            key = row["custom_id"]
            if key not in folder.kinds:
                counts["unknown"] += 1
            elif ledger.last.get(key) == Outcome.DONE:
                counts["repeated"] += 1
            else:
                merge_row(ledger, key, folder.kinds[key], row, path.name, prices)
                counts["merged"] += 1
    states = {key: ledger.last.get(key, "") for key in folder.kinds}
    missing = {key for key, state in states.items() if state in OPEN}
    lost = {key: state for key, state in states.items() if state not in (*OPEN, Outcome.DONE)}
    folder.reissue(missing)
    rows = [{"custom_id": key, "kind": folder.kinds[key], "outcome": state} for key, state in lost.items()]
    atomic_write_text(folder.path / "quarantine.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return counts + Counter(answered=len(states) - len(missing) - len(lost), missing=len(missing), quarantined=len(lost))


def read_results(path: Path, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a result file, counting lines that are none."""
    try:
        lines = open(path, "rb")
    except OSError as problem:
        cure = "give the downloaded result file"
        raise InstitError(f"cannot be read ({problem.strerror})", path=path, cure=cure) from None
    with lines:
        for line in lines:
            try:
                row = json.loads(line)
                row["custom_id"] + ""
            except (ValueError, LookupError, TypeError, RecursionError):
                counts["damaged"] += bool(line.strip())
            else:
                yield row


def merge_row(ledger: Ledger, key: str, kind: str, row: dict[str, Any], name: str, prices: Prices | None) -> None:
    """Take one result into the ledger as if it had come over the wire; there is no asking back."""
    call = ledger.begin(key, kind, {"batch": name}, None)
    response = row.get("response")
    verdict = Verdict(Outcome.RETRY, str(row.get("error"))[:200])
    if isinstance(response, dict) and type(response.get("status_code")) is int:
        status, body = response["status_code"], json.dumps(response.get("body"))
        ledger.keep(key, call, status, body)
        verdict = judge(status, {}, body, kind, FORMS.get(kind))
    outcome = Outcome.QUARANTINED if verdict.outcome == Outcome.REASK else verdict.outcome
    cost = prices.cost(*verdict.tokens) if prices and verdict.tokens else 0
    ledger.end(key, call, outcome, verdict.reason, cost, verdict.tokens)
