"""Records in Arrow form. In: INST-IT records of one kind. Out: a `datasets` folder, and records back.

Arrow gives every row the same fields: from maps `{"1": ...}` it would invent a field for every id that occurs
anywhere. So the maps become lists of {id, caption}, and the way back rebuilds them, order included.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import RecordError
from .reading import CAPTIONS, ID, IMAGE, TIMESTAMP, VIDEO
from .records import is_video, validate

FRAMES = "frame_level_caption"


def to_arrow(records: Iterable[dict], folder: str | Path) -> Path:
    """Write records, all of clips or all of pictures, with `datasets`; the folder appears only when it is whole.

    A dataset that is already there is replaced; a folder with anything else in it is left alone. Raises
    `RecordError` where a record is not what the format says, or where kinds are mixed.
    """
    from datasets import Dataset, Features, disable_progress_bars

    folder, records = Path(folder), list(records)
    for record in records:
        validate(record, folder)
    if len({is_video(record) for record in records}) > 1:
        raise RecordError("video and image records have different fields", path=folder,
                          cure="write them to two folders")  # fmt: skip
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not is_arrow(folder)):
        raise RecordError("holds something else than a dataset", path=folder, cure="name another folder")
    form = VIDEO if not records or is_video(records[0]) else IMAGE
    rows = [with_captions(record, as_list) for record in records]
    columns = {name: [row[name] for row in rows] for name in form}
    folder.parent.mkdir(parents=True, exist_ok=True)
    disable_progress_bars()
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        partial = Path(scratch) / folder.name
        written = Dataset.from_dict(columns, features=Features(field_types(form)))
        written.save_to_disk(str(partial), num_shards=None if records else 1)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    return folder


def from_arrow(folder: str | Path) -> list[dict]:
    """Read records written by `to_arrow`; raise `RecordError` where the folder is not such a dataset."""
    from datasets import load_from_disk

    if not is_arrow(Path(folder)):
        raise RecordError("is not a dataset folder", path=folder, cure="write it with `to_arrow`")
    try:
        return [with_captions(row, as_map) for row in load_from_disk(str(folder)).to_list()]
    except (OSError, ValueError, LookupError, TypeError) as problem:
        raise RecordError(f"cannot be read ({problem})", path=folder, cure="write it again") from problem


def is_arrow(folder: Path) -> bool:
    """Tell whether a folder was written by `datasets`."""
    return (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()


def field_types(form: Any) -> Any:
    """Arrow types of a record's form (`reading.VIDEO`, `reading.IMAGE`)."""
    from datasets import List, Value

    if isinstance(form, dict):
        return {name: field_types(part) for name, part in form.items()}
    if isinstance(form, list):
        return List(field_types(form[0]))
    if form == CAPTIONS:
        return List({"id": Value("int64"), "caption": Value("string")})
    return Value("int64" if form in (ID, TIMESTAMP) else "string")


def with_captions(record: dict, change: Callable) -> dict:
    """Change the form of a record's instance captions, wherever they stand."""
    if not is_video(record):
        return record | {"instance_level_caption": change(record["instance_level_caption"])}
    frames = [frame | {"instance_level": change(frame["instance_level"])} for frame in record[FRAMES]]
    return record | {FRAMES: frames}


def as_list(captions: dict[str, str]) -> list[dict]:
    return [{"id": int(mark), "caption": caption} for mark, caption in captions.items()]


def as_map(captions: list[dict]) -> dict[str, str]:
    return {str(entry["id"]): entry["caption"] for entry in captions}
