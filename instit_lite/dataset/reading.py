"""One record as it comes, made canonical. In: parsed JSON. Out: the record as the format says, and repairs.

Slips that are known from the published files are mended, and every repair is reported; anything else that
does not fit is refused with a `RecordError` that names file, record, key and cure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError

QAS = "question_answer_pairs"
VIDEO_KEYS = ("video_id", "video_path", "frame_level_caption", QAS, "video_level_caption")
FRAME_KEYS = ("timestamp", "frame_name", "instance_level", "image_level", "temporal_change")
IMAGE_KEYS = ("image_id", "image_path", "instance_level_caption", "image_level_caption")
QA_KEYS = ("question", "answer")
EMPTY = {"video_level_caption": None, "temporal_change": None, QAS: []}
CURE = "correct this key in the file, or leave the record out"

SLIPS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"<0+>"), "<1>", "<0> read as <1>"),
    (re.compile(r"<0+([1-9][0-9]*)>"), r"<\1>", "zero-padded timestamp"),
    (re.compile(r"\[0+([1-9][0-9]*)\]"), r"[\1]", "zero-padded mark id"),
)


class Doubled(dict):
    """A JSON object in which a key stands twice; plain parsing would keep the last one and say nothing."""


def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict for `json.loads(object_pairs_hook=...)`, a `Doubled` where a key repeats."""
    built = dict(pairs)
    return built if len(built) == len(pairs) else Doubled(built)


@dataclass(frozen=True)
class Repair:
    """One slip that was mended: in which file and record, at which key, and what was done."""

    path: str
    record: str
    key: str
    what: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.record}, {self.key}: {self.what}"


class RecordReader:
    """Reads one record. `path` and `place` name it until its own id is known; `repairs` is what it mended."""

    def __init__(self, path: str | Path | None = None, place: str = "record") -> None:
        self.path = None if path is None else str(path)
        self.name = place
        self.repairs: list[Repair] = []

    def fail(self, key: str, reason: str, cure: str = CURE) -> RecordError:
        """Return (not raise) the error for one key."""
        return RecordError(f"{self.name}, {key}: {reason}" if key else f"{self.name}: {reason}",
                           path=self.path, cure=cure)  # fmt: skip

    def mend(self, key: str, what: str) -> None:
        self.repairs.append(Repair(self.path or "", self.name, key, what))

    def record(self, raw: Any) -> dict:
        """Read a video record or an image record, told apart by their ids; return it in canonical form."""
        if isinstance(raw, dict) and "video_id" in raw:
            return self.video(raw)
        if isinstance(raw, dict) and "image_id" in raw:
            return self.image(raw)
        raise self.fail("", "has neither video_id nor image_id", "give one record per clip or picture")

    def video(self, raw: Any) -> dict:
        """Read a video record, paper-facts D.2."""
        raw = self.named(raw, "video_id", VIDEO_KEYS)
        frames = self.items(raw["frame_level_caption"], "frame_level_caption", self.frame)
        if not frames:
            raise self.fail("frame_level_caption", "holds no frame")
        self.check_order(frames)
        caption = raw["video_level_caption"]
        return {
            "video_id": raw["video_id"],
            "video_path": self.text(raw["video_path"], "video_path"),
            "frame_level_caption": frames,
            QAS: self.items(raw[QAS], QAS, self.qa),
            "video_level_caption": None if caption is None else self.text(caption, "video_level_caption"),
        }

    def image(self, raw: Any) -> dict:
        """Read an image record, paper-facts D.2."""
        raw = self.named(raw, "image_id", IMAGE_KEYS)
        return {
            "image_id": raw["image_id"],
            "image_path": self.text(raw["image_path"], "image_path"),
            "instance_level_caption": self.instances(raw["instance_level_caption"], "instance_level_caption"),
            "image_level_caption": self.text(raw["image_level_caption"], "image_level_caption"),
        }

    def named(self, raw: Any, key: str, keys: tuple[str, ...]) -> dict:
        """Read the id first, so that everything after it can be told by record."""
        if isinstance(raw, dict) and key in raw:
            number = self.whole(raw[key], key, least=0)
            self.name = f"{key} {number}"
            raw = type(raw)(raw | {key: number})
        return self.keyed(raw, "", keys)

    def frame(self, raw: Any, key: str) -> dict:
        raw = self.keyed(raw, key, FRAME_KEYS)
        change = raw["temporal_change"]
        return {
            "timestamp": self.whole(raw["timestamp"], f"{key}.timestamp", least=1),
            "frame_name": self.text(raw["frame_name"], f"{key}.frame_name"),
            "instance_level": self.instances(raw["instance_level"], f"{key}.instance_level"),
            "image_level": self.text(raw["image_level"], f"{key}.image_level"),
            "temporal_change": None if change is None else self.text(change, f"{key}.temporal_change"),
        }

    def check_order(self, frames: list[dict]) -> None:
        """Frames ascend in time, and the first one has nothing to be compared with."""
        times = [frame["timestamp"] for frame in frames]
        if any(b <= a for a, b in zip(times, times[1:])):
            raise self.fail("frame_level_caption", f"the timestamps {times} do not ascend")
        if frames[0]["temporal_change"] == "":
            self.mend("frame_level_caption[0].temporal_change", "empty text read as null")
            frames[0]["temporal_change"] = None
        if frames[0]["temporal_change"] is not None:
            raise self.fail("frame_level_caption[0].temporal_change", "the first frame has none before it",
                            "set it to null")  # fmt: skip

    def qa(self, raw: Any, key: str) -> dict:
        raw = self.keyed(raw, key, QA_KEYS)
        return {name: self.text(raw[name], f"{key}.{name}") for name in QA_KEYS}

    def keyed(self, raw: Any, key: str, keys: tuple[str, ...]) -> dict:
        """Check an object's keys: unknown ones are left out, missing ones filled where `EMPTY` says how."""
        if not isinstance(raw, dict):
            raise self.fail(key, f"is {kind_of(raw)} instead of an object")
        if isinstance(raw, Doubled):
            raise self.fail(key, "holds a key twice")
        stem = f"{key}." if key else ""
        for name in raw.keys() - set(keys):
            self.mend(f"{stem}{name}", "unknown key left out")
        for name in keys:
            if name not in raw and name not in EMPTY:
                raise self.fail(f"{stem}{name}", "is missing")
            if name not in raw:
                self.mend(f"{stem}{name}", "missing, read as empty")
        return {name: raw.get(name, EMPTY.get(name)) for name in keys}

    def items(self, raw: Any, key: str, read: Callable[[Any, str], dict]) -> list[dict]:
        if not isinstance(raw, list):
            raise self.fail(key, f"is {kind_of(raw)} instead of a list")
        return [read(item, f"{key}[{i}]") for i, item in enumerate(raw)]

    def instances(self, raw: Any, key: str) -> dict[str, str]:
        """Read the map from id-string to caption, in the order in which it was written."""
        if raw is None:
            self.mend(key, "null read as no instances")
            return {}
        if not isinstance(raw, dict):
            raise self.fail(key, f"is {kind_of(raw)} instead of a map from mark id to caption")
        found: dict[str, str] = {}
        for name, caption in raw.items():
            match = re.fullmatch(r"\[?0*([1-9][0-9]{0,8})\]?", name)
            if not match:
                raise self.fail(f"{key}.{name}", "is no mark id", "use the ids 1, 2, 3 ... as keys")
            if match[1] in found or isinstance(raw, Doubled):
                raise self.fail(key, f"names a mark id twice ({match[1]})" if match[1] in found
                                else "names a mark id twice")  # fmt: skip
            if name != match[1]:
                self.mend(f"{key}.{name}", f"mark id written as {match[1]}")
            found[match[1]] = self.text(caption, f"{key}.{name}")
        return found

    def text(self, raw: Any, key: str) -> str:
        """Read a text and mend the slips in `SLIPS`; a text that UTF-8 cannot hold is refused."""
        if not isinstance(raw, str):
            raise self.fail(key, f"is {kind_of(raw)} instead of a text")
        if not raw.isascii() and any("\ud800" <= sign <= "\udfff" for sign in raw):
            raise self.fail(key, "holds half of a character (a lone surrogate)")
        if "<0" in raw or "[0" in raw:
            for pattern, right, what in SLIPS:
                raw, times = pattern.subn(right, raw)
                if times:
                    self.mend(key, what if times == 1 else f"{what} ({times} times)")
        return raw

    def whole(self, raw: Any, key: str, least: int) -> int:
        """Read a whole number of at least `least`; digits given as a text are mended."""
        if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,15}", raw):
            self.mend(key, f"text {raw!r} read as a number")
            raw = int(raw)
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise self.fail(key, f"is {kind_of(raw)} instead of a whole number")
        if not least <= raw < 2**63:
            raise self.fail(key, f"is {raw}, and must be at least {least}")
        return raw


def kind_of(raw: Any) -> str:
    """Name a JSON value's kind for a sentence."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number",
             float: "a number", type(None): "null"}  # fmt: skip
    return names.get(dict if isinstance(raw, dict) else type(raw), type(raw).__name__)
