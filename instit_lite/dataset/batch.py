"""Annotate many. In: a folder of clips and pictures. Out: a folder for each, `records.json`, `quarantine.jsonl`.

Every item ends in exactly one of the two: `items/NAME/`, or a line in the quarantine with path, reason and cure. A
second run goes on: what is there and made from the same files with the same settings is kept.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import EndpointError, InstitError, NotYetAnswered, OfflineRefused, OutputError
from ..marks.images import SUFFIXES, entries
from ..marks.style import get_style
from .annotate import CARD, PART, Request, fingerprint, refuse_others
from .quarantine import Quarantine, plain
from .records import is_video, read_list
from .worker import annotate_apart, end_all

ITEMS, QUARANTINE, RECORDS = "items", "quarantine.jsonl", "records.json"
BESIDE = {"boxes": ".json", "masks": ".png", "coco": ".json", "youtube_vis": ".json"}
PATIENCE = 3  # failures of the endpoint in a row that stop the batch


def is_batch(source: Path) -> bool:
    """Tell a folder of clips from a folder of frames: the frames are pictures that lie in it."""
    return source.is_dir() and not any(file.suffix.lower() in SUFFIXES for file in entries(source))


def requests_of(request: Request) -> list[Request]:
    """Return a request for everything in the folder `request.source` but hidden files, in natural order.

    What the request names may be a folder with an entry for each item, or a COCO or YouTube-VIS file for all.
    """
    out, found = Path(request.out), entries(request.source)
    if not found:
        raise InstitError("holds nothing", path=request.source, cure="give a folder of clips or pictures")
    if out.resolve().is_relative_to(request.source.resolve()):
        raise InstitError("lies inside the folder that is read", path=out, cure="name another folder with --out")
    given = {key: path for key in BESIDE if (path := getattr(request, key))}
    ledger = request.kept_in if request.asks else None
    return [
        replace(request, source=item, out=out / ITEMS / item.name, video=item.stem if "youtube_vis" in given else None,
                ledger=ledger, **{key: beside(path, item, BESIDE[key]) for key, path in given.items()})
        for item in found
    ]  # fmt: skip


def beside(given: Path, item: Path, end: str) -> Path:
    """Return what belongs to an item in the folder `given`, or `given` itself where it is a file."""
    names = (item.name, item.stem, f"{item.name}{end}", f"{item.stem}{end}")
    found = (given / name for name in names if (given / name).exists())
    return next(found, given / names[-1]) if given.is_dir() else given


def annotate_all(
    requests: Sequence[Request], out: str | Path, workers: int = 1, limit: float = 600,
    say: Callable[[str], None] = print,
) -> tuple[int, int, int]:  # fmt: skip
    """Annotate every request, whose `out` lies in `out`/items, `workers` at once, each within `limit` seconds.

    Returns how many were annotated now, how many were there before, how many were quarantined. Raises `InstitError`
    where `out` holds something else or another run writes there, and stops, to be gone on with, where nothing can be
    written, nothing may be asked, or the endpoint failed three times in a row.
    """
    out = Path(out)
    get_style(requests[0].style)
    refuse_others(out, QUARANTINE)
    (out / ITEMS).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            for left in (out / ITEMS).glob(f"{PART}*"):  # by a killed run
                shutil.rmtree(left, ignore_errors=True)
            todo = [request for request in requests if not is_current(request)]
            kept = len(requests) - len(todo)
            say(f"{len(requests)} items, {kept} of them are there")
            quarantined = run(todo, Quarantine(out / QUARANTINE), workers, limit, say)
            write_records(requests, out)
            return sum(map(is_current, todo)), kept, quarantined
    except Timeout:
        raise InstitError("another run is writing there", path=out, cure="wait for it") from None


def run(todo: Sequence[Request], quarantine: Quarantine, workers: int, limit: float, say: Callable[[str], None]) -> int:
    """Annotate in order and say how it goes; return how many were quarantined. See `annotate_all`."""

    def one(request: Request) -> str | InstitError:
        try:
            return annotate_apart(request, limit)
        except InstitError as problem:
            return problem

    failed, began, pool = 0, 0.0, ThreadPoolExecutor(workers)
    try:
        for n, (request, told) in enumerate(zip(todo, pool.map(one, todo)), start=1):
            if isinstance(told, NotYetAnswered):
                told = told.reason
            elif isinstance(told, InstitError):
                failed = failed + 1 if isinstance(told, EndpointError) else 0
                if isinstance(told, OfflineRefused | OutputError) or failed == PATIENCE:
                    raise told
                shutil.rmtree(request.out, ignore_errors=True)  # made from what is no longer there
                quarantine.add(request.source.name, told)
                told = f"QUARANTINED: {told.reason}"
            began = began or time.monotonic()  # the first item waits for the libraries to be loaded
            left = (time.monotonic() - began) / max(n - 1, 1) * (len(todo) - n)
            more = f" (about {left / 60:.0f} min left)" * (left > 60)
            say(plain(f"[{n}/{len(todo)}] {request.source.name}: {told}{more}"))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        end_all()
    say(str(quarantine))
    return quarantine.count


def is_current(request: Request) -> bool:
    """Say whether an item's output is there and made from what is there now."""
    try:
        card = json.loads((request.out / CARD).read_text(encoding="utf-8"))
        same = card["made_from"] == json.loads(json.dumps(fingerprint(request)))
        return same and (request.salvage or not card["salvaged"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def write_records(requests: Sequence[Request], out: Path) -> None:
    """Gather the records of all items in one json list, with ids from 1 and paths from `out`."""
    partial, lead = out / f"{PART}{RECORDS}", "["
    made = (request.out for request in requests if os.path.exists(request.out / CARD))  # False for too long a name, too
    with open(partial, "w", encoding="utf-8") as file:
        for count, folder in enumerate(made, start=1):
            (record,) = read_list(folder / "record.json")
            kind = "video" if is_video(record) else "image"
            record |= {f"{kind}_id": count, f"{kind}_path": f"{ITEMS}/{record[f'{kind}_path']}"}
            file.write(f"{lead}\n{json.dumps(record, ensure_ascii=False)}")
            lead = ","
        file.write("\n]\n" if lead == "," else "[]\n")
    os.replace(partial, out / RECORDS)
