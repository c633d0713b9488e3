"""Results on paper. In: items and the answers of some runs. Out: a table with intervals, and lasting files."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..dataset.statistics import format_table as format_table  # where a result's reader looks for it
from ..errors import InstitError, RecordError
from ..profiles import atomic_write_text
from .item import BenchItem, fingerprint
from .score import Verdict, is_correct
from .statistics import Interval, clustered_interval, paired_difference

if TYPE_CHECKING:  # scoring files of answers loads no torch
    from ..model.load import Base

BEFORE, AFTER = "base", "after SFT"
ALL = "all"
Answer = str | float | None  # what was said; or a judge's mark of it, None where unscored
NOTE = (
    "Share of exactly right answers with 95 % intervals clustered by clip. An answer that cannot be read is "
    "wrong and is counted as unparsed. chance: a guess among the possible answers; prior: the best guess of somebody "
    "who sees the picture but not which mark is which; majority: the most frequent answer "
    "of each kind in other scenes; blind: the model without the picture. One training seed: the intervals cover the "
    "choice of questions, not the choice of seed."
)


@dataclass(frozen=True)
class ScoreRow:
    """One line of the score table: a split and format, all its questions or those of one kind.

    `prior`: the mean of the items' `prior`, None where no mark is needed; `runs`: accuracy of each run; `difference`:
    after minus before, on the same questions, None without such a pair.
    """

    split: str
    format: str
    kind: str
    n: int
    clips: int
    chance: float
    prior: float | None
    runs: dict[str, Interval]
    unparsed: dict[str, int]
    difference: Interval | None


def score_rows(items: Sequence[BenchItem], runs: dict[str, list[Answer]]) -> list[ScoreRow]:
    """Score every run by split and format, first all questions, then each kind.

    `runs` names lists of answers in the order of `items`; what a judge left unscored stays out of the mean.
    Raises `InstitError` where a list has another length.
    """
    for name, answers in runs.items():
        if len(answers) != len(items):
            what = f"the run {name!r} has {len(answers)} answers for {len(items)} items"
            raise InstitError(what, cure="give one answer per item, in the order of the items")
    marks = {name: [mark_of(i, a) for i, a in zip(items, answers)] for name, answers in runs.items()}
    groups: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, item in enumerate(items):
        for kind in (ALL, item.kind):
            groups[item.split, item.format][kind].append(place)
    return [
        score_row(items, marks, (*head, kind), places)
        for head, kinds in groups.items()
        for kind, places in kinds.items()
    ]


def mark_of(item: BenchItem, answer: Answer) -> tuple[float | None, bool]:
    """The mark of an answer, None where unscored; and whether it is unparsed or unscored."""
    if not isinstance(answer, str):
        return answer, answer is None
    verdict = is_correct(item, answer)
    return float(verdict is Verdict.CORRECT), verdict is Verdict.UNPARSED


def mean_of(values: Sequence[float | None], clips: Sequence[str]) -> Interval:
    """The clustered interval of the values that are there; NaN where there is none."""
    there = [(value, clip) for value, clip in zip(values, clips) if value is not None]
    return clustered_interval(*zip(*there)) if there else Interval(*[float("nan")] * 3)


def score_row(
    items: Sequence[BenchItem], marks: dict[str, list[tuple]], key: tuple[str, str, str], places: list[int]
) -> ScoreRow:
    """Score the items at `places`; `marks` as `mark_of` gives them."""
    clips = [items[i].clip_id for i in places]
    right = {name: [said[i][0] for i in places] for name, said in marks.items()}
    unparsed = {name: sum(said[i][1] for i in places) for name, said in marks.items()}
    paired = BEFORE in right and AFTER in right
    difference = paired_difference(right[BEFORE], right[AFTER], clips) if paired else None
    chance = float(np.mean([items[i].chance for i in places]))
    priors = [items[i].prior for i in places]
    prior = None if None in priors else float(np.mean(priors))
    means = {name: mean_of(values, clips) for name, values in right.items()}
    return ScoreRow(*key, len(places), len(set(clips)), chance, prior, means, unparsed, difference)


def score_table(
    items: Sequence[BenchItem], runs: dict[str, list[Answer]], title: str = "Micro bench", by_kind: bool = True,
    note: str = NOTE,
) -> dict:  # fmt: skip
    """Return `score_rows` as the report page reads tables: {"title", "columns", "rows", "note"}.

    Usual runs, in this order: "majority", "blind", "base", "after SFT". `unparsed` counts for the last run.
    """
    paired, last = BEFORE in runs and AFTER in runs, list(runs)[-1]
    columns = ["split", "format", "kind", "n", "clips", "chance", "prior", *runs]
    columns += [f"{AFTER} minus {BEFORE}"] * paired + [f"unparsed ({last})"]
    lines = []
    for row in score_rows(items, runs):
        if by_kind or row.kind == ALL:
            prior = "–" if row.prior is None else f"{row.prior:.2f}"
            line = [row.split, row.format, row.kind, row.n, row.clips, f"{row.chance:.2f}", prior]
            change = ["{:+.2f} [{:+.2f}, {:+.2f}]".format(*row.difference)] if row.difference else []
            lines.append([*line, *map(str, row.runs.values()), *change, row.unparsed[last]])
    return {"title": title, "columns": columns, "rows": lines, "note": note}


def save_result(table: dict, path: str | Path) -> Path:
    """Write a table as JSON, whole or not at all. Raises `RecordError` where rows and columns differ."""
    whole = {"title", "columns", "rows", "note"} <= set(table)
    if not whole or any(len(row) != len(table["columns"]) for row in table["rows"]):
        what = "the table lacks title, columns, rows or note, or a row does not have one value per column"
        raise RecordError(what, path=path, cure="make the table with score_table")
    atomic_write_text(path, json.dumps(table, ensure_ascii=False, indent=1) + "\n")
    return Path(path)


class PredictionFile:
    """Answers kept as they arrive, one JSON line each, keys as upstream's prediction files and some more.

    The first line names the run. A file of another run is begun afresh; a line that a kill cut short is dropped; an
    answer counts only for the very question, options, truth and pixels it was given to.
    """

    def __init__(self, path: str | Path, run: dict) -> None:
        self.path = Path(path)
        head, *self.lines = read_lines(self.path) or [None]
        if head != {"run": run}:
            self.lines = []
        atomic_write_text(self.path, "".join(json.dumps(line) + "\n" for line in [{"run": run}, *self.lines]))

    def known(self, items: Sequence[BenchItem]) -> dict[str, str]:
        """Answers already given, by `item.key`."""
        kept = {(line["key"], line["item"]): line["model_prediction"] for line in self.lines}
        marks = {item.key: (item.key, fingerprint(item)) for item in items}
        return {key: kept[mark] for key, mark in marks.items() if mark in kept}

    def keep(self, items: Sequence[BenchItem], answers: Sequence[str]) -> None:
        """Append answers; they are on disk when this returns."""
        with open(self.path, "a", encoding="utf-8") as file:
            for item, answer in zip(items, answers, strict=True):
                file.write(json.dumps(prediction_line(item, answer)) + "\n")


def read_lines(path: Path) -> list[dict]:
    """Read JSON lines; what a kill cut short is left out."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def prediction_line(item: BenchItem, answer: str) -> dict:
    """One answer as a record: upstream's five keys, ours behind them."""
    return {
        "question_id": item.question_id, "question": item.prompt, "model_prediction": answer,
        "ground_truth": item.answer, "split": item.split, "format": item.format, "kind": item.kind,
        "verdict": is_correct(item, answer).value, "key": item.key, "item": fingerprint(item),
    }  # fmt: skip


def model_fingerprint(base: Base) -> str:
    """A hash of names, shapes and first 4,096 values of all parameters: enough to tell trainings apart."""
    digest = hashlib.sha256()
    for name, parameter in base.model.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)}\n".encode())
        digest.update(parameter.detach().flatten()[:4096].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def answer_and_keep(
    base: Base, items: Sequence[BenchItem], path: str | Path, *, batch: int = 64, blind: bool = False,
    progress: bool = True,
) -> list[str]:  # fmt: skip
    """`answer_items` that keeps each batch of answers in a file and goes on there after a kill."""
    from .answer import answer_items

    file = PredictionFile(path, {"model": base.name, "weights": model_fingerprint(base), "blind": blind})
    return answer_items(base, items, batch, blind, progress, known=file.known(items), keep=file.keep)
