"""INST-IT records. In: annotations, or the published json. Out: key-exact records, and annotations back.

A record is the dict that the published files hold: instance captions as a map from id-string to caption. On the
wire and in Arrow they are lists of `{id, caption}` instead, which strict schemas can express.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..annotation.schema import ClipAnnotation, FrameAnnotation, InstanceCaption, QAPair
from ..errors import RecordError
from ..profiles import atomic_write_text
from .reading import RecordReader, no_doubles


@dataclass(frozen=True)
class Quarantined:
    """A record that could not be read: where it stands, what is wrong, and the record as it came."""

    place: str
    error: RecordError
    raw: Any

    def __str__(self) -> str:
        return f"{self.place}: {self.error}"


def is_video(record: dict) -> bool:
    """Tell a video record from an image record."""
    return "video_id" in record


def video_record(
    video_id: int, video_path: str, annotation: ClipAnnotation, repairs: list[str] | None = None
) -> dict:
    """Return a clip's INST-IT video record (paper-facts D.2).

    `video_path` is the folder of frames, relative to the dataset. The record has no place for the annotator's
    name: keep that beside it. Slips such as [03] are mended and reported as on reading. Raises `RecordError` where
    the annotation cannot be written as a record.
    """
    frames = []
    for frame in annotation.frames:
        captions = instance_map(frame, f"video_id {video_id}")
        frames.append(frame.model_dump(exclude={"instances"}) | {"instance_level": captions})
    texts = annotation.model_dump(include={"question_answer_pairs", "video_level_caption"})
    record = {"video_id": video_id, "video_path": str(video_path), "frame_level_caption": frames, **texts}
    return mended(record, "video", repairs)


def image_record(
    image_id: int, image_path: str, annotation: FrameAnnotation, repairs: list[str] | None = None
) -> dict:
    """Return a picture's INST-IT image record (paper-facts D.2): no question-answer pairs, no temporal change."""
    captions = instance_map(annotation, f"image_id {image_id}")
    record = {"image_id": image_id, "image_path": str(image_path), "instance_level_caption": captions,
              "image_level_caption": annotation.image_level}  # fmt: skip
    return mended(record, "image", repairs)


def mended(record: Any, kind: str, repairs: list[str] | None) -> dict:
    """Put a record's keys in order, mend slips, and report them."""
    reader = RecordReader()
    clean = reader.record(record, kind)
    report(reader.repairs, repairs)
    return clean


def instance_map(frame: FrameAnnotation, name: str) -> dict[str, str]:
    """List to map; raise `RecordError` where two captions claim one mark id, for the map would drop one."""
    captions = {str(instance.id): instance.caption for instance in frame.instances}
    if len(captions) < len(frame.instances):
        raise RecordError(f"{name}, timestamp {frame.timestamp}: two captions claim one mark id",
                          cure="keep one caption per mark id")  # fmt: skip
    return captions


def read_video_record(record: Any, repairs: list[str] | None = None) -> ClipAnnotation:
    """Turn a video record back into an annotation; annotator and model are unknown and stay empty.

    Slips are mended; each repair is appended to `repairs`, or warned of where no list is given.
    """
    clean = mended(record, "video", repairs)
    frames = []
    for frame in clean["frame_level_caption"]:
        instances = instance_list(frame.pop("instance_level"))
        frames.append(FrameAnnotation(**frame, instances=instances))
    pairs = [QAPair(**pair) for pair in clean["question_answer_pairs"]]
    return ClipAnnotation(frames=frames, video_level_caption=clean["video_level_caption"],
                          question_answer_pairs=pairs, annotator="", model="")  # fmt: skip


def read_image_record(record: Any, repairs: list[str] | None = None) -> FrameAnnotation:
    """Turn an image record back into an annotation: timestamp 1, named by the path's last part."""
    clean = mended(record, "image", repairs)
    name, instances = PurePosixPath(clean["image_path"]).name, instance_list(clean["instance_level_caption"])
    return FrameAnnotation(timestamp=1, frame_name=name, instances=instances,
                           image_level=clean["image_level_caption"], temporal_change=None)  # fmt: skip


def instance_list(captions: dict[str, str]) -> list[InstanceCaption]:
    return [InstanceCaption(id=int(mark), caption=caption) for mark, caption in captions.items()]


def report(found: list[str], repairs: list[str] | None) -> None:
    """Hand repairs on; where nobody asked for them, say how many there are and show the first three."""
    if repairs is not None:
        repairs.extend(found)
    elif found:
        warnings.warn(f"{len(found)} repairs, the first: {'; '.join(found[:3])}", stacklevel=4)


def validate(record: Any, path: str | Path | None = None) -> None:
    """Raise `RecordError` unless `record` is exactly what the format says, with nothing to mend."""
    reader = RecordReader(path)
    reader.record(record)
    if reader.repairs:
        raise RecordError(f"a record needs a repair ({reader.repairs[0]})", path=path,
                          cure="read it with `load_records` first")  # fmt: skip


def load_records(path: str | Path, repairs: list[str] | None = None) -> tuple[list[dict], list[Quarantined]]:
    """Read a json file of video or image records; return the good ones, mended, and the quarantined ones.

    Repairs are appended to `repairs`, or warned of where no list is given. Raises `RecordError` only where the file
    as a whole cannot be read.
    """
    records, quarantined, found = [], [], []
    for i, raw in enumerate(read_list(path)):
        reader = RecordReader(path, f"record {i}")
        try:
            records.append(reader.record(raw))
            found += reader.repairs
        except RecordError as error:
            quarantined.append(Quarantined(f"record {i}", error, raw))
    report(found, repairs)
    return records, quarantined


def read_list(path: str | Path) -> list[Any]:
    """Read a json file that holds one list; raise `RecordError` naming what is wrong with it."""
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=no_doubles)
    except (OSError, ValueError, RecursionError) as problem:
        raise RecordError(f"cannot be read as JSON ({problem})", path=path,
                          cure="check the path, or copy the file again") from problem  # fmt: skip
    if not isinstance(raw, list):
        raise RecordError("holds no list of records", path=path, cure="wrap the records in [ ]")
    return raw


def save_records(path: str | Path, records: Iterable[dict]) -> Path:
    """Write records as one json list, a record a line; the file appears only when it is whole.

    Raises `RecordError`, and writes nothing, where a record is not exactly what the format says.
    """
    records = list(records)
    for record in records:
        validate(record, path)
    write_list(path, records)
    return Path(path)


def write_list(path: str | Path, items: list[dict]) -> None:
    """Write a json list atomically, an item a line."""
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    atomic_write_text(path, f"[\n{lines}\n]\n" if items else "[]\n")
