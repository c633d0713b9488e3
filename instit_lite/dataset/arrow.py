"""Records in Arrow form. In: INST-IT records of one kind. Out: a `datasets` folder, and records back.

Arrow gives every row the same fields: from maps `{"1": ...}` it would invent a field for every id that
occurs anywhere. So the maps become lists of {id, caption}, and the way back rebuilds them, order included.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RecordError
from .records import is_video, validate

if TYPE_CHECKING:
    from datasets import Features

FRAMES = "frame_level_caption"


def to_arrow(records: Iterable[dict], folder: str | Path) -> Path:
    """Write records, all of clips or all of pictures, with `datasets`; the folder appears only when it is
    whole.

    A dataset that is already there is replaced; a folder with anything else in it is left alone. Raises
    `RecordError` where a record is not what the format says, or where kinds are mixed.
    """
    from datasets import Dataset

    folder, records = Path(folder), list(records)
    for record in records:
        validate(record, folder)
    if len({is_video(record) for record in records}) > 1:
        raise RecordError("video and image records have different fields", path=folder,
                          cure="write them to two folders")  # fmt: skip
    if folder.exists() and not (folder.is_dir() and (is_arrow(folder) or not any(folder.iterdir()))):
        raise RecordError("holds something else than a dataset", path=folder, cure="name another folder")
    video = not records or is_video(records[0])
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        with quietly():
            rows = [to_lists(record) for record in records]
            columns = {name: [row[name] for row in rows] for name in features(video)}
            written = Dataset.from_dict(columns, features=features(video))
            written.save_to_disk(str(partial), num_shards=None if records else 1)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def from_arrow(folder: str | Path) -> list[dict]:
    """Read records written by `to_arrow`; raise `RecordError` where the folder is not such a dataset."""
    from datasets import load_from_disk

    if not is_arrow(Path(folder)):
        raise RecordError("is not a dataset folder", path=folder, cure="write it with `to_arrow`")
    try:
        with quietly():
            rows = load_from_disk(str(folder)).to_list()
        records = [to_maps(row) for row in rows]
    except (OSError, ValueError, LookupError, TypeError) as problem:
        raise RecordError(f"cannot be read ({problem})", path=folder, cure="write it again") from problem
    for record in records:
        validate(record, folder)
    return records


def is_arrow(folder: Path) -> bool:
    """Tell whether a folder was written by `datasets`."""
    return (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()


def features(video: bool) -> Features:
    """Return the typed fields of a row."""
    from datasets import Features, List, Value

    text, number = Value("string"), Value("int64")
    captions = List({"id": number, "caption": text})
    if not video:
        return Features({"image_id": number, "image_path": text, "instance_level_caption": captions,
                         "image_level_caption": text})  # fmt: skip
    frame = {"timestamp": number, "frame_name": text, "instance_level": captions, "image_level": text,
             "temporal_change": text}  # fmt: skip
    return Features({
        "video_id": number, "video_path": text, FRAMES: List(frame),
        "question_answer_pairs": List({"question": text, "answer": text}), "video_level_caption": text,
    })  # fmt: skip


def to_lists(record: dict) -> dict:
    """Turn a record's maps into lists of {id, caption}."""
    if not is_video(record):
        return record | {"instance_level_caption": as_list(record["instance_level_caption"])}
    frames = [frame | {"instance_level": as_list(frame["instance_level"])} for frame in record[FRAMES]]
    return record | {FRAMES: frames}


def to_maps(row: dict) -> dict:
    """Turn a row's lists of {id, caption} back into maps."""
    if not is_video(row):
        return row | {"instance_level_caption": as_map(row["instance_level_caption"])}
    frames = [frame | {"instance_level": as_map(frame["instance_level"])} for frame in row[FRAMES]]
    return row | {FRAMES: frames}


def as_list(captions: dict[str, str]) -> list[dict]:
    return [{"id": int(mark), "caption": caption} for mark, caption in captions.items()]


def as_map(captions: list[dict]) -> dict[str, str]:
    return {str(entry["id"]): entry["caption"] for entry in captions}


@contextmanager
def quietly() -> Iterator[None]:
    """Keep the library's progress bars out of the page, and leave its setting as it was."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_off = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            enable_progress_bars()
