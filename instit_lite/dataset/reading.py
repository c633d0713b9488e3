"""One record as it comes, made canonical. In: parsed JSON. Out: the record as the format says, and repairs.

Slips that are known from the published files are mended, and every repair is reported; anything else that does not
fit is refused with a `RecordError` that names file, record, key and cure.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import RecordError

# The kinds of values in a record; the two record forms below are paper-facts D.2.
TEXT, TEXT_OR_NULL, ID, TIMESTAMP, CAPTIONS = "text", "text or null", "id", "timestamp", "captions by mark id"
FRAME = {"timestamp": TIMESTAMP, "frame_name": TEXT, "instance_level": CAPTIONS, "image_level": TEXT,
         "temporal_change": TEXT_OR_NULL}  # fmt: skip
QA = {"question": TEXT, "answer": TEXT}
VIDEO = {"video_id": ID, "video_path": TEXT, "frame_level_caption": [FRAME], "question_answer_pairs": [QA],
         "video_level_caption": TEXT_OR_NULL}  # fmt: skip
IMAGE = {"image_id": ID, "image_path": TEXT, "instance_level_caption": CAPTIONS, "image_level_caption": TEXT}

SLIPS = (
    (r"<0+>", "<1>", "<0> read as <1>"),
    (r"<0+([1-9][0-9]*)>", r"<\1>", "zero-padded timestamp"),
    (r"\[0+([1-9][0-9]*)\]", r"[\1]", "zero-padded mark id"),
)
CURE = "correct this key in the file, or leave the record out"


class Doubled(dict):
    """A JSON object in which a key stands twice; plain parsing would keep the last one and say nothing."""


def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict for `json.loads(object_pairs_hook=...)`, a `Doubled` where a key repeats."""
    built = dict(pairs)
    return built if len(built) == len(pairs) else Doubled(built)


class RecordReader:
    """Reads one record. `path` and `name` tell which, until its own id is known; `repairs` says what it mended."""

    def __init__(self, path: str | Path | None = None, name: str = "record") -> None:
        self.path, self.name = path, name
        self.repairs: list[str] = []

    def fail(self, key: str, reason: str, cure: str = CURE) -> RecordError:
        """Return (not raise) the error for one key."""
        where = f"{self.name}, {key}" if key else self.name
        return RecordError(f"{where}: {reason}", path=self.path, cure=cure)

    def mend(self, key: str, what: str) -> None:
        where = f"{self.path}: " if self.path else ""
        self.repairs.append(f"{where}{self.name}, {key}: {what}")

    def record(self, raw: Any, kind: str | None = None) -> dict:
        """Read a record of the kind "video" or "image" (None: its id tells); return it in canonical form.

        The frames of a clip ascend in time, and the first one has nothing to be compared with.
        """
        ids = [f"{kind}_id"] if kind else ["video_id", "image_id"]
        found = [key for key in ids if isinstance(raw, dict) and key in raw]
        if not found:
            raise self.fail("", f"has no {' or '.join(ids)}", "give one record per clip or picture")
        self.name = f"{found[0]} {raw[found[0]]}"
        if found == ["image_id"]:
            return self.value(IMAGE, raw, "")
        record = self.value(VIDEO, raw, "")
        frames = record["frame_level_caption"]
        times = [frame["timestamp"] for frame in frames]
        if not frames:
            raise self.fail("frame_level_caption", "holds no frame")
        if any(b <= a for a, b in zip(times, times[1:])):
            raise self.fail("frame_level_caption", f"the timestamps {times} do not ascend")
        if frames[0]["temporal_change"]:
            raise self.fail("frame_level_caption[0].temporal_change", "the first frame has none before it",
                            "set it to null")  # fmt: skip
        if frames[0]["temporal_change"] == "":
            self.mend("frame_level_caption[0].temporal_change", "empty text read as null")
            frames[0]["temporal_change"] = None
        return record

    def value(self, form: Any, raw: Any, key: str) -> Any:
        """Read one value of a form: a dict of forms, a list with the form of its items, or a kind of value."""
        if isinstance(raw, Doubled):
            raise self.fail(key, "holds a key twice")
        if isinstance(form, dict):
            return self.fields(form, raw, key)
        if isinstance(form, list):
            self.expect(list, raw, key, "a list")
            return [self.value(form[0], item, f"{key}[{i}]") for i, item in enumerate(raw)]
        if form == CAPTIONS:
            return self.captions(raw, key)
        if form in (ID, TIMESTAMP):
            return self.whole(raw, key, least=0 if form == ID else 1)
        return None if raw is None and form == TEXT_OR_NULL else self.text(raw, key)

    def expect(self, kind: type, raw: Any, key: str, name: str) -> None:
        if not isinstance(raw, kind):
            raise self.fail(key, f"is {kind_of(raw)} instead of {name}")

    def fields(self, form: dict, raw: Any, key: str) -> dict:
        """Read an object; unknown keys are left out, such as the masks of the `_w_mask` files."""
        self.expect(dict, raw, key, "an object")
        stem = f"{key}." if key else ""
        for name in sorted(raw.keys() - form.keys()):
            self.mend(f"{stem}{name}", "unknown key left out")
        for name in form:
            if name not in raw:
                raise self.fail(f"{stem}{name}", "is missing")
        return {name: self.value(part, raw[name], f"{stem}{name}") for name, part in form.items()}

    def captions(self, raw: Any, key: str) -> dict[str, str]:
        """Read the map from id-string to caption, in the order in which it was written."""
        self.expect(dict, raw, key, "a map from mark id to caption")
        found: dict[str, str] = {}
        for name, caption in raw.items():
            match = re.fullmatch(r"\[?0*([1-9][0-9]{0,8})\]?", str(name))
            if not match:
                raise self.fail(f"{key}.{name}", "is no mark id", "use the ids 1, 2, 3 ... as keys")
            if match[1] in found:
                raise self.fail(key, f"names a mark id twice ({match[1]})")
            if name != match[1]:
                self.mend(f"{key}.{name}", f"mark id written as {match[1]}")
            found[match[1]] = self.text(caption, f"{key}.{name}")
        return found

    def text(self, raw: Any, key: str) -> str:
        """Read a text and mend the slips in `SLIPS`; a text that UTF-8 cannot hold is refused."""
        self.expect(str, raw, key, "a text")
        if any("\ud800" <= sign <= "\udfff" for sign in raw):
            raise self.fail(key, "holds half of a character (a lone surrogate)")
        for pattern, right, what in SLIPS:
            raw, times = re.subn(pattern, right, raw)
            if times:
                self.mend(key, what if times == 1 else f"{what} ({times} times)")
        return raw

    def whole(self, raw: Any, key: str, least: int) -> int:
        """Read a whole number of at least `least`, of at most 64 bits."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise self.fail(key, f"is {kind_of(raw)} instead of a whole number")
        if not least <= raw < 2**63:
            raise self.fail(key, f"is {raw}, and must be at least {least}")
        return raw


def kind_of(raw: Any) -> str:
    """Name a JSON value's kind for a sentence."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(raw), "a number")
