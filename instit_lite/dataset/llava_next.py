"""LLaVA-NeXT-Data, the general part of the mix. In: its hub id, or a folder like it. Out: group 0 dialogues.

    data/train-00000-of-00250.parquet ...      id, conversations, data_source, image {bytes, path}; text-only: null
    llava_next_raw_format/llava_next_raw_format_processed.json      the same with paths, beside unpacked pictures

The shards are sorted by source (COCO first, text-only last), so that a part of the data is drawn from all of them.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datasets import Image, load_dataset
from filelock import FileLock

from ..errors import RecordError
from ..marks.files import leads_out
from ..marks.images import SUFFIXES
from ..profiles import atomic_write_bytes
from .dialogues import PLACEHOLDER, Dialogue, general_dialogue, load_dialogues, save_dialogues
from .quarantine import Quarantine
from .streaming import stream_list

HUB_ID = "lmms-lab/LLaVA-NeXT-Data"
SHARDS = "data/train-*.parquet"
RAW = "llava_next_raw_format/llava_next_raw_format_processed.json"
FORMAT = re.compile(r"(Answer|Provide|Give|Reply|Respond|Describe)\b")  # begins a line that says how to answer


def general_dialogues(
    source: str | Path, n: int, seed: int, out: str | Path, quarantine: Quarantine, repairs: Counter[str]
) -> list[Dialogue]:
    """Draw about `n` dialogues; from parquet, their pictures are written to `out`. A second call loads the first's.

    The whole is 92 GB: over the hub only the drawn rows travel. Picture paths are absolute.
    """
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    kept = out / f"general-{n}-{seed}.json"
    with FileLock(out / ".lock"):  # several processes that train together draw once
        if not kept.exists():
            save_dialogues(kept, drawn(source, n, seed, out, quarantine, repairs))
    return load_dialogues(kept)


def drawn(
    source: str | Path, n: int, seed: int, out: Path, quarantine: Quarantine, repairs: Counter[str]
) -> list[Dialogue]:
    """Draw dialogues and write their pictures; what cannot be used is quarantined."""
    rows = raw_rows(Path(source) / RAW, n, seed) if (Path(source) / RAW).exists() else shard_rows(source, n, seed)
    made, home = [], (Path(source) / RAW).parent.resolve()
    for number, row in enumerate(rows):
        name = f"general-{row.get('id', number)}" if isinstance(row, dict) else f"row {number}"
        try:
            picture = picture_of(row, out / f"{seed}-{number:06d}", home)
            made.append(general_dialogue(picture, pairs_of(row, picture is not None, repairs), name))
        except RecordError as problem:
            quarantine.add(name, RecordError(problem.reason, path=source, cure=problem.cure))
    return [dialogue for dialogue in made if dialogue]


def shard_rows(source: str | Path, n: int, seed: int) -> Iterator[dict]:
    """Stream the first rows of every parquet shard, equally many of each, in a seeded order of shards."""
    try:
        rows = load_dataset(str(source), data_files={"train": SHARDS}, split="train", streaming=True)
        rows = rows.cast_column("image", Image(decode=False))
        shards, given = random.Random(seed).sample(range(rows.num_shards), rows.num_shards), 0
        for place, shard in enumerate(shards):
            each = -(-(n - given) // (len(shards) - place))
            for row in rows.shard(rows.num_shards, shard).take(each):
                given += 1
                yield row
    except (OSError, ValueError, ConnectionError) as problem:
        reason = f"no general data: neither {SHARDS} nor {RAW} can be read ({problem})"
        cure = f"give {HUB_ID} with a connection, or a folder laid out like it"
        raise RecordError(reason, path=source, cure=cure) from problem


def raw_rows(path: Path, n: int, seed: int) -> Iterable[dict]:
    """Draw `n` rows of the raw json, each as likely as any other, in one pass (reservoir sampling)."""
    rng, kept = random.Random(seed), []
    for number, row in enumerate(stream_list(path)):
        place = number if number < n else rng.randint(0, number)
        if place == len(kept):
            kept.append(row)
        elif place < n:
            kept[place] = row
    return kept


def picture_of(row: Any, stem: Path, home: Path) -> str | None:
    """Return the absolute path of a row's picture, in `home`, or written from its bytes where it comes with them; None:
    text-only.
    """
    image = row.get("image") if isinstance(row, dict) else None
    if isinstance(image, str) and image:
        if leads_out(image) or not (home / image).is_file():
            raise RecordError(f"the picture {image} is missing", cure="unpack the archives beside the json")
        return str(home / image)
    if not image or not image.get("bytes"):
        return None
    suffix = Path(image.get("path") or "").suffix.lower()
    path = stem.with_suffix(suffix if suffix in SUFFIXES else ".jpg")
    atomic_write_bytes(path, image["bytes"])
    return str(path)


def pairs_of(row: Any, has_picture: bool, repairs: Counter[str]) -> list[tuple[str, str]]:
    """Return a row's questions and answers; raise `RecordError` unless human and gpt take turns.

    The placeholder goes to the head, as in LLaVA's own code. The kit asks the turns of a dialogue apart from each
    other (`training.packing`), so that what only the first says about the form of all answers goes to the others too.
    """
    turns = row.get("conversations") if isinstance(row, dict) else None
    if not isinstance(turns, list) or not all(isinstance(t, dict) and isinstance(t.get("value"), str) for t in turns):
        raise RecordError("holds no list of turns with from and value", cure="leave it out")
    if not turns or [turn.get("from") for turn in turns] != ["human", "gpt"] * (len(turns) // 2):
        raise RecordError("human and gpt do not take turns", cure="leave it out")
    words = [turn["value"] for turn in turns]
    if words[0].count(PLACEHOLDER) != has_picture:
        reason = f"{words[0].count(PLACEHOLDER)} placeholders for {int(has_picture)} pictures"
        raise RecordError(reason, cure="leave it out")
    if has_picture and not words[0].startswith(f"{PLACEHOLDER}\n"):
        repairs["<image> moved to the head"] += 1
    words[0] = words[0].replace(PLACEHOLDER, "").strip()
    pairs = list(zip(words[::2], words[1::2]))
    carried = [pairs[0], *((carry(words[0], question), answer) for question, answer in pairs[1:])]
    if given := sum(a != b for a, b in zip(pairs, carried)):
        repairs["general question given the form that the first one asks for"] += given
    return carried


def carry(first: str, question: str) -> str:
    """Give a later question the line of the first that fixes the form of answers, before a box or after a question."""
    lines = first.split("\n")
    if len(lines) < 2 or "\n" in question.strip():
        return question
    if lines[-1].startswith("[") and question.startswith("["):  # regions: the task first, then a box a turn
        return f"{lines[0]}\n{question}"
    return f"{question}\n{lines[-1]}" if FORMAT.match(lines[-1]) else question
