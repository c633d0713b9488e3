"""INST-IT records. In: annotations, or the published json. Out: key-exact records, and annotations back.

A record is the dict that the published files hold: instance captions as a map from id-string to caption. On
the wire and in Arrow they are lists of `{id, caption}` instead, which strict schemas can express.
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
from .reading import RecordReader, Repair, no_doubles

__all__ = [
    "Quarantined", "Repair", "image_record", "is_video", "load_records", "read_image_record",
    "read_video_record", "save_records", "validate", "video_record",
]  # fmt: skip


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
    video_id: int, video_path: str, annotation: ClipAnnotation, repairs: list[Repair] | None = None
) -> dict:
    """Return a clip's INST-IT video record (paper-facts D.2).

    `video_path` is the folder of frames, relative to the dataset. The record has no place for the
    annotator's name: keep that beside it. Slips such as [03] are mended and reported as on reading. Raises
    `RecordError` where the annotation cannot be written as a record.
    """
    record = {
        "video_id": video_id,
        "video_path": str(video_path),
        "frame_level_caption": [
            {
                "timestamp": frame.timestamp,
                "frame_name": frame.frame_name,
                "instance_level": instance_map(frame, f"video_id {video_id}"),
                "image_level": frame.image_level,
                "temporal_change": frame.temporal_change,
            }
            for frame in annotation.frames
        ],
        "question_answer_pairs": [
            {"question": pair.question, "answer": pair.answer} for pair in annotation.question_answer_pairs
        ],
        "video_level_caption": annotation.video_level_caption,
    }
    return mended(record, repairs)


def image_record(
    image_id: int, image_path: str, annotation: FrameAnnotation, repairs: list[Repair] | None = None
) -> dict:
    """Return a picture's INST-IT image record (paper-facts D.2); it has no question-answer pairs."""
    if annotation.temporal_change:
        raise RecordError(f"image_id {image_id}: a picture has no temporal change", path=image_path,
                          cure="annotate it alone, without a frame before it")  # fmt: skip
    record = {
        "image_id": image_id,
        "image_path": str(image_path),
        "instance_level_caption": instance_map(annotation, f"image_id {image_id}"),
        "image_level_caption": annotation.image_level,
    }
    return mended(record, repairs)


def mended(record: dict, repairs: list[Repair] | None) -> dict:
    """Mend slips such as [03] in what an annotator wrote, and report them."""
    reader = RecordReader()
    clean = reader.record(record)
    report(reader.repairs, repairs)
    return clean


def instance_map(frame: FrameAnnotation, name: str) -> dict[str, str]:
    """List to map; raise `RecordError` where two captions claim one mark id, for the map would drop one."""
    captions = {str(instance.id): instance.caption for instance in frame.instances}
    if len(captions) < len(frame.instances):
        raise RecordError(f"{name}, timestamp {frame.timestamp}: two captions claim one mark id",
                          cure="keep one caption per mark id")  # fmt: skip
    return captions


def read_video_record(
    record: Any, repairs: list[Repair] | None = None, path: str | Path | None = None
) -> ClipAnnotation:
    """Turn a video record back into an annotation; annotator and model are unknown and stay empty.

    Slips are mended; each repair is appended to `repairs`, or warned of where no list is given.
    """
    reader = RecordReader(path)
    clean = reader.video(record)
    report(reader.repairs, repairs)
    return ClipAnnotation(
        frames=[
            FrameAnnotation(
                timestamp=frame["timestamp"],
                frame_name=frame["frame_name"],
                instances=instance_list(frame["instance_level"]),
                image_level=frame["image_level"],
                temporal_change=frame["temporal_change"],
            )
            for frame in clean["frame_level_caption"]
        ],
        video_level_caption=clean["video_level_caption"],
        question_answer_pairs=[QAPair(**pair) for pair in clean["question_answer_pairs"]],
        annotator="",
        model="",
    )


def read_image_record(
    record: Any, repairs: list[Repair] | None = None, path: str | Path | None = None
) -> FrameAnnotation:
    """Turn an image record back into an annotation: timestamp 1, named by the path's last part."""
    reader = RecordReader(path)
    clean = reader.image(record)
    report(reader.repairs, repairs)
    return FrameAnnotation(
        timestamp=1,
        frame_name=PurePosixPath(clean["image_path"]).name,
        instances=instance_list(clean["instance_level_caption"]),
        image_level=clean["image_level_caption"],
        temporal_change=None,
    )


def instance_list(captions: dict[str, str]) -> list[InstanceCaption]:
    return [InstanceCaption(id=int(mark), caption=caption) for mark, caption in captions.items()]


def report(found: list[Repair], repairs: list[Repair] | None) -> None:
    """Hand repairs on; where nobody asked for them, say how many there are and show the first three."""
    if repairs is not None:
        repairs.extend(found)
    elif found:
        shown = "; ".join(str(repair) for repair in found[:3])
        warnings.warn(f"{len(found)} repairs: {shown}{' ...' if len(found) > 3 else ''}", stacklevel=4)


def validate(record: Any, path: str | Path | None = None) -> None:
    """Raise `RecordError` unless `record` is exactly what the format says, with nothing to mend."""
    reader = RecordReader(path)
    reader.record(record)
    if reader.repairs:
        first = reader.repairs[0]
        raise reader.fail(first.key, f"needs a repair ({first.what})", "read it with `load_records` first")


def load_records(
    path: str | Path, repairs: list[Repair] | None = None
) -> tuple[list[dict], list[Quarantined]]:
    """Read a json file of video or image records; return the good ones, mended, and the quarantined ones.

    Repairs are appended to `repairs`, or warned of where no list is given. Raises `RecordError` only where
    the file as a whole cannot be read.
    """
    records: list[dict] = []
    quarantined: list[Quarantined] = []
    found: list[Repair] = []
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
    except OSError as problem:
        raise RecordError(f"cannot be read ({problem.strerror})", path=path,
                          cure="check the path") from problem  # fmt: skip
    except (ValueError, RecursionError) as problem:
        raise RecordError(f"is not whole JSON ({problem})", path=path,
                          cure="copy or download it again") from problem  # fmt: skip
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
