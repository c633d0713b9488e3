"""What a reviewer decides. In: INST-IT records, verdicts. Out: items to judge, decisions as JSON lines, mended records.

An item is one text of a record. A reviewer's file only grows: an item's last line counts, and only while the record
still says what was judged.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ..annotation.schema import Strict
from ..errors import InstitError
from ..profiles import append_line, read_lines
from .reading import RecordReader
from .records import is_video

KINDS = ("instance", "frame", "change", "summary", "question")
VERDICTS = ("accept", "edit", "reject")


@dataclass(frozen=True)
class Item:
    """One text to judge: `told`, of a question the answer. `path` leads to it in the record of `clip`.

    `timestamp` and `mark_id` are None where the text is about more than one frame or instance.
    """

    clip: str
    path: tuple[str | int, ...]
    kind: str
    told: str
    timestamp: int | None = None
    mark_id: int | None = None
    question: str = ""

    @property
    def key(self) -> str:
        return "/".join(map(str, (self.clip, *self.path)))

    def __str__(self) -> str:
        where = f" <{self.timestamp}>" if self.timestamp else ""
        return f"{self.clip}{where} {self.kind}" + (f" [{self.mark_id}]" if self.mark_id else "")


def name_of(record: dict) -> str:
    """Name a record: "video 3", "image 7"."""
    return f"video {record['video_id']}" if is_video(record) else f"image {record['image_id']}"


def items_of(record: dict) -> list[Item]:
    """Return the texts of a video or image record in reading order; what is blank is no item."""
    name, found = name_of(record), []

    def add(kind: str, told: str | None, *path: str | int, **about) -> None:
        if told and told.strip():
            found.append(Item(name, path, kind, told, **about))

    def add_frame(captions: tuple, scene: tuple, instances: dict[str, str], text: str, t: int) -> None:
        for mark, caption in instances.items():
            add("instance", caption, *captions, mark, timestamp=t, mark_id=int(mark))
        add("frame", text, *scene, timestamp=t)

    if not is_video(record):
        add_frame(("instance_level_caption",), ("image_level_caption",), record["instance_level_caption"],
                  record["image_level_caption"], 1)  # fmt: skip
        return found
    for i, frame in enumerate(record["frame_level_caption"]):
        at, t = ("frame_level_caption", i), frame["timestamp"]
        add_frame((*at, "instance_level"), (*at, "image_level"), frame["instance_level"], frame["image_level"], t)
        add("change", frame["temporal_change"], *at, "temporal_change", timestamp=t)
    add("summary", record["video_level_caption"], "video_level_caption")
    for i, pair in enumerate(record["question_answer_pairs"]):
        add("question", pair["answer"], "question_answer_pairs", i, "answer", question=pair["question"])
    return found


class Decision(Strict):
    """One line of a reviewer's file. `text` is the corrected text of an edit, else None; `time` is UTC, ISO 8601."""

    item: str
    kind: str
    question: str
    told: str
    verdict: Literal["accept", "edit", "reject"]
    text: str | None
    reviewer: str
    time: str


class DecisionFile:
    """A reviewer's decisions in `folder/<reviewer>.jsonl`; what a kill cut short is passed over and counted."""

    def __init__(self, folder: str | Path, reviewer: str) -> None:
        """Open or begin the file; raises `InstitError` for a name that is no file name."""
        if not re.fullmatch(r"\w[\w.-]{0,63}", reviewer):
            cure = "use letters, digits, hyphens and underscores"
            raise InstitError(f"the reviewer's name {reviewer!r} does not name a file", cure=cure)
        self.path, self.reviewer, self.damaged = Path(folder) / f"{reviewer}.jsonl", reviewer, 0
        self.last: dict[str, Decision] = {}
        for row in read_lines(self.path):
            try:
                decision = Decision.model_validate(row)
                self.last[decision.item] = decision
            except ValidationError:
                self.damaged += 1

    def of(self, item: Item) -> Decision | None:
        """Return what was decided last of an item as it stands now; a judged text that has changed is open again."""
        kept = self.last.get(item.key)
        same = kept is not None and (kept.told, kept.question) == (item.told, item.question)
        return kept if same else None

    def decide(self, item: Item, verdict: str, text: str | None = None) -> Decision:
        """Keep a verdict; it is on disk when this returns. `text` is the corrected text, with "edit" and only there.

        Raises `InstitError` for an edit that says nothing or nothing new, and where the file cannot be written.
        """
        if (verdict == "edit") != (text is not None):
            raise InstitError(f"the verdict {verdict!r} with the text {text!r}", cure="give a text with an edit only")
        if text is not None and (not text.strip() or text == item.told):
            reason = "the corrected text is blank" if not text.strip() else "the corrected text changes nothing"
            raise InstitError(reason, cure="reject the item, or accept it as it is")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        decision = Decision(item=item.key, kind=item.kind, question=item.question, told=item.told, verdict=verdict,
                            text=text, reviewer=self.reviewer, time=now)  # fmt: skip
        try:
            append_line(self.path, decision.model_dump())
        except OSError as problem:
            reason = f"the decision was not kept ({problem.strerror})"
            raise InstitError(reason, path=self.path, cure="give a writable folder; earlier ones are kept") from None
        self.last[item.key] = decision
        return decision


def decisions_beside(folder: str | Path) -> Path:
    """Where decisions on a folder of annotations are kept: beside it, since making it anew replaces it."""
    folder = Path(folder).resolve()
    return folder.with_name(f"{folder.name}.verification")


def decision_files(folder: str | Path) -> list[DecisionFile]:
    """Open the files of all reviewers in a folder, by name."""
    return [DecisionFile(folder, path.stem) for path in sorted(Path(folder).glob("*.jsonl"))]


def corrected(records: Iterable[dict], decisions: DecisionFile) -> list[dict]:
    """Return the records with edits put in and rejected texts taken out; what is open or accepted stays."""
    return [correct(record, decisions) for record in records]


def correct(record: dict, decisions: DecisionFile) -> dict:
    done = copy.deepcopy(record)
    for item in reversed(items_of(record)):  # from the end, so that a pair that goes moves no other
        decision, (*way, last) = decisions.of(item), item.path
        if decision is None or decision.verdict == "accept":
            continue
        place = reduce(getitem, way, done)
        if decision.text is not None:
            place[last] = decision.text
        elif item.kind == "question":
            del done["question_answer_pairs"][item.path[1]]
        elif item.kind == "instance":
            del place[last]
        else:
            place[last] = "" if item.kind == "frame" else None
    return RecordReader().record(done)
