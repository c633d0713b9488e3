"""The published Inst-It Bench. In: its hub id, or a folder laid out like it. Out: `BenchItem`s, frames on demand.

    image_open_ended.json  image_multi_choices.json  video_open_ended.json  video_multi_choices.json
    images_vpt[.zip]  videos_vpt[.zip]

Its questions have no published kinds; `kind_of` tells them apart by the instances and moments that they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..annotation.claims_in_text import SPAN, ids_in, moments_in
from ..dataset.quarantine import Quarantine
from ..dataset.reading import TEXT, RecordReader
from ..dataset.released import fetch, unpack
from ..dataset.streaming import stream_list
from ..errors import RecordError
from ..marks.reader import read_clip
from .choice import parse_choice
from .item import BenchItem

HUB_ID = "Inst-IT/Inst-It-Bench"
TABLES = {f"{split}_{name}.json": (split, form) for split in ("image", "video")
          for form, name in (("open", "open_ended"), ("choice", "multi_choices"))}  # fmt: skip
ITEM, OPTIONS = dict.fromkeys(("question_id", "question", "answer"), TEXT), dict.fromkeys("ABCD", TEXT)
NO_FRAMES = np.zeros((0, 0, 0, 3), np.uint8)
ALL_FRAMES = 10_000  # upstream shows a clip whole; its longest has 20


def load_bench(
    source: str | Path = HUB_ID, pictures: bool = False, quarantine: Quarantine | None = None
) -> list[BenchItem]:
    """Read the tables that are there; what does not fit the format goes to the quarantine.

    Without `pictures` only questions are fetched: enough to score answers. With them, `with_frames` can load what an
    item shows. Raises `RecordError` where no question of the bench is there.
    """
    archives = ["images_vpt.zip", "videos_vpt.zip"] if pictures else []
    folder = fetch(source, [*TABLES, *archives])
    for archive in archives:
        if (folder / archive).exists():
            unpack((folder / archive).with_suffix(""))
    left_out, items = quarantine or Quarantine(), {}
    for name, (split, form) in TABLES.items():
        for number, raw in enumerate(stream_list(folder / name) if (folder / name).exists() else ()):
            reader = RecordReader(folder / name, f"record {number}")
            try:
                item = read_item(reader, raw, split, form, folder)
                if items.setdefault(item.key, item) is not item:
                    raise reader.fail("question_id", "was there before")
            except RecordError as problem:
                left_out.add(reader.name, problem)
    if not items:
        cure = f"give {HUB_ID}, or a folder with one of {', '.join(TABLES)}"
        raise RecordError("holds no question of Inst-It Bench", path=source, cure=cure)
    return list(items.values())


def read_item(reader: RecordReader, raw: Any, split: str, form: str, folder: Path) -> BenchItem:
    """Read one record, with options as a map or in four columns; raises `RecordError`."""
    said, options = reader.value(ITEM, raw, ""), None
    reader.name, answer = f"{split} {form} {said['question_id']}", said["answer"]
    if form == "choice":
        given = raw.get("options") or {k: raw.get(f"choice_{k.lower()}") for k in "ABCD"}
        options, answer = reader.value(OPTIONS, given, "options"), parse_choice(answer)
        if answer is None:
            raise reader.fail("answer", f"is {said['answer']!r} and no letter")
    path = raw.get(f"{split}_path")
    if path and (not isinstance(path, str) or path.startswith("/") or ".." in PurePosixPath(path).parts):
        raise reader.fail(f"{split}_path", "is no path inside the folder")
    clip = raw.get(f"{split}_id", said["question_id"].rsplit("-", 1)[0])
    return BenchItem(
        said["question_id"], kind_of(said["question"]), form, split, said["question"], answer, options,
        f"{split} {clip}", NO_FRAMES, (), len(options or ()), source=folder / path if path else None,
    )  # fmt: skip


def kind_of(question: str) -> str:
    """What a question names: how many instances, and when."""
    when = moments_in(question)
    time = ", interval" if SPAN.search(question) or len(when) > 1 else ", moment" if when else ""
    return ("no mark", "one mark", "several marks")[min(len(ids_in(question)), 2)] + time


def with_frames(item: BenchItem) -> BenchItem:
    """The item with its frames, all of them, in natural order; raises `UnreadableInput` or `RecordError`."""
    if item.source is None:
        raise RecordError(f"{item.question_id} names no picture", cure="load the bench from its own files")
    frames = read_clip(item.source, ALL_FRAMES).frames
    return replace(item, frames=frames, timestamps=tuple(range(1, len(frames) + 1)))


def rotated(item: BenchItem, turn: int) -> BenchItem:
    """The item with its options moved on by `turn` letters, under the id "<id>@<turn>"."""
    before = {"ABCD"[(k + turn) % 4]: letter for k, letter in enumerate("ABCD")}
    options = {letter: item.options[before[letter]] for letter in "ABCD"}
    answer = next(letter for letter in "ABCD" if before[letter] == item.answer)
    return replace(item, question_id=f"{item.question_id}@{turn}", options=options, answer=answer)


def rotations(items: Sequence[BenchItem]) -> list[BenchItem]:
    """Every multiple-choice item and its three rotations: what a model is asked for MMBench's CircularEval."""
    return [rotated(i, turn) if turn else i for i in items if i.format == "choice" for turn in range(4)]
