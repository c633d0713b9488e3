"""What reviewers decide. In: annotations, verdicts. Out: items to judge, decisions as JSON lines.

An item is one text. A reviewer's file only grows: the last line of an item counts, and only while the annotation still
says what was judged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ..annotation.schema import ClipAnnotation, Strict
from ..errors import InstitError
from ..profiles import append_line, read_lines

KINDS = ("instance", "frame", "change", "summary", "question")
VERDICTS = ("accept", "edit", "reject")


@dataclass(frozen=True)
class Item:
    """One text to judge, of a question the answer; the others as they apply, `number` to questions."""

    clip: str
    kind: str
    told: str
    timestamp: int | None = None
    mark_id: int | None = None
    question: str = ""
    number: int | None = None

    def __str__(self) -> str:
        """The item's name, by its place in the annotation: "video 1 <2> instance [3]"."""
        parts = (self.timestamp and f"<{self.timestamp}>", self.kind, self.mark_id and f"[{self.mark_id}]", self.number)
        return " ".join([self.clip, *(str(part) for part in parts if part)])


def items_of(clip: str, annotation: ClipAnnotation) -> list[Item]:
    """Return the texts of a clip in reading order; what is blank is no item."""
    found = []
    for frame in annotation.frames:
        t = frame.timestamp
        found += [Item(clip, "instance", one.caption, t, one.id) for one in frame.instances]
        found += [Item(clip, "frame", frame.image_level, t), Item(clip, "change", frame.temporal_change or "", t)]
    found.append(Item(clip, "summary", annotation.video_level_caption or ""))
    for n, pair in enumerate(annotation.question_answer_pairs, start=1):
        found.append(Item(clip, "question", pair.answer, question=pair.question, number=n))
    return [item for item in found if item.told.strip()]


class Decision(Strict):
    """One line of a file. `text` is the corrected text of an edit, else None; `time` is UTC in ISO 8601."""

    item: str
    question: str
    told: str
    verdict: Literal["accept", "edit", "reject"]
    text: str | None
    reviewer: str
    time: str


class DecisionFile:
    """The decisions of one reviewer, in `folder/<reviewer>.jsonl`; `damaged` counts lines that are none.

    Raises `InstitError` for a reviewer's name that is no file name.
    """

    def __init__(self, folder: str | Path, reviewer: str) -> None:
        if not re.fullmatch(r"\w[\w.-]{0,63}", reviewer):
            raise InstitError(f"the name {reviewer!r} does not name a file", cure="use letters, digits and hyphens")
        self.path, self.reviewer, self.damaged = Path(folder) / f"{reviewer}.jsonl", reviewer, 0
        self.last: dict[str, Decision] = {}
        for row in read_lines(self.path):
            try:
                self.last[row.get("item")] = Decision.model_validate(row)
            except ValidationError:
                self.damaged += 1

    def of(self, item: Item) -> Decision | None:
        """What was decided last of an item as it stands now: a text that has changed since is open again."""
        kept = self.last.get(str(item))
        return kept if kept and (kept.told, kept.question) == (item.told, item.question) else None

    def decide(self, item: Item, verdict: str, text: str | None = None) -> None:
        """Keep a verdict; it is on disk when this returns. `text` is the corrected text, with "edit" only.

        Raises `InstitError` for an edit that says nothing or nothing new, and where the file cannot be written.
        """
        if verdict == "edit" and (not text or not text.strip() or text == item.told):
            raise InstitError("the corrected text is blank or as before", cure="reject the item, or accept it as it is")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        decision = Decision(item=str(item), question=item.question, told=item.told, verdict=verdict, text=text,
                            reviewer=self.reviewer, time=now)  # fmt: skip
        try:
            append_line(self.path, decision.model_dump())
        except OSError as problem:
            raise InstitError(f"the decision was not kept ({problem.strerror})", path=self.path,
                              cure="make room, or give a writable folder") from None  # fmt: skip
        self.last[str(item)] = decision
