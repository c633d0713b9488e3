"""Answers from files. In: predictions in upstream's format, or kept by this kit; perhaps a bench. Out: items, answers.

Upstream's file is one JSON list per split and format, with `question_id`, `question`, `model_prediction`,
`ground_truth` and `split` (paper-facts D.4). What a file leaves out of the bench is an empty answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..dataset.quarantine import Quarantine
from ..dataset.reading import TEXT, TEXT_OR_NULL, RecordReader
from ..dataset.streaming import stream_list
from ..errors import RecordError
from ..profiles import read_lines
from .item import BenchItem
from .released import NO_FRAMES, kind_of, rotated
from .report import Answer, mark_of

ROW = {"question_id": TEXT, "question": TEXT, "model_prediction": TEXT_OR_NULL, "ground_truth": TEXT, "split": TEXT}


class Answered(NamedTuple):
    """An item, what was said, and its mark: strict for a choice, the judge's for an open answer (None: unscored)."""

    item: BenchItem
    text: str
    mark: float | None

    @property
    def said(self) -> Answer:  # as `report.score_rows` takes it
        return self.text if self.item.format == "choice" else self.mark


class Run(NamedTuple):
    """What one model answered, and `rows`: the file as it was.

    `notes` counts what did not fit: items unanswered, unknown questions, doubled ids, truths other than the bench's.
    """

    name: str
    answered: list[Answered]
    rows: list[dict]
    notes: dict[str, int]

    @property
    def upright(self) -> list[Answered]:
        """Without rotated items."""
        return [one for one in self.answered if "@" not in one.item.question_id]


def read_predictions(path: Path, quarantine: Quarantine) -> list[dict]:
    """Read a file, or every .json and .jsonl file of a folder; each row gets its `format`, "open" or "choice".

    Upstream's rows do not say it: a file is multiple choice where every truth is a letter. Rows that do not fit are
    quarantined. Raises `RecordError` where no row is left.
    """
    rows = []
    if path.is_dir():
        for file in sorted(f for f in path.iterdir() if f.suffix in (".json", ".jsonl")):
            rows += read_predictions(file, quarantine)
        return rows
    for number, raw in enumerate(read_lines(path) if path.suffix == ".jsonl" else stream_list(path)):
        reader = RecordReader(path, f"row {number}")
        try:
            if not (isinstance(raw, dict) and set(raw) == {"run"}):  # our own first line
                reader.value(ROW, raw, "")
                rows.append(raw)
        except RecordError as problem:
            quarantine.add(reader.name, problem)
    if not rows:
        raise RecordError("holds no prediction", path=path, cure="see docs/evaluation.md for the format")
    form = "choice" if all(row["ground_truth"] in tuple("ABCD") for row in rows) else "open"
    return [{"format": form} | row for row in rows]


def match(rows: Sequence[dict], bench: Sequence[BenchItem] | None, name: str) -> Run:
    """Bring answers and items together; without a `bench` the rows themselves say what is asked and right.

    The splits and formats that the rows speak of are taken from the bench whole. An id "<id>@<turn>" is a rotation of
    the item `<id>`. Of a doubled id the first row counts.
    """
    found: dict[tuple, dict] = {}
    for row in rows:
        found.setdefault((row["split"], row["format"], row["question_id"]), row)
    if bench is None:
        items = {key: item_of(row) for key, row in found.items()}
    else:
        items = {address(i): i for i in bench if (i.split, i.format) in {key[:2] for key in found}}
        for *part, whole in found:
            base, _, turn = whole.partition("@")
            if turn in ("1", "2", "3") and (*part, base) in items:
                items[*part, whole] = rotated(items[*part, base], int(turn))
    texts = [found.get(key, {}).get("model_prediction") for key in items]
    marks = [mark_of(i, text or "")[0] if i.format == "choice" else None for i, text in zip(items.values(), texts)]
    notes = {
        "unanswered": texts.count(None), "doubled": len(rows) - len(found), "unknown": len(found.keys() - items.keys()),
        "with another truth": sum(row["ground_truth"] != items[k].answer for k, row in found.items() if k in items),
    }  # fmt: skip
    answered = [Answered(item, text or "", mark) for item, text, mark in zip(items.values(), texts, marks)]
    return Run(name, answered, [*rows], {what: n for what, n in notes.items() if n})


def address(item: BenchItem) -> tuple[str, str, str]:
    """What a row and its item share: split, format, question id."""
    return item.split, item.format, item.question_id


def item_of(row: dict) -> BenchItem:
    """The item that a row tells of itself: no options' texts, no pictures."""
    clip, form = row["question_id"].partition("@")[0].rsplit("-", 1)[0], row["format"]
    return BenchItem(
        row["question_id"], row.get("kind") or kind_of(row["question"]), form, row["split"], row["question"],
        row["ground_truth"], None, f"{row['split']} {clip}", NO_FRAMES, (), 4 if form == "choice" else 0,
    )  # fmt: skip
