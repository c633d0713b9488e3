"""Runs scored and compared. In: the answered items of runs. Out: tables. No model is loaded.

Multiple choice is read strictly and by upstream's rules side by side; what can be checked without a judge stands beside
the judge's scores. docs/evaluation.md explains every number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ..errors import InstitError
from .choice import parse_choice
from .predictions import Answered, Run, address
from .report import ALL, mean_of, score_table
from .rules import mentions
from .score import upstream_choice, upstream_score
from .statistics import Interval, paired_difference, sign_flip_test

NOTE = (
    "Means with 95 % intervals clustered by clip. Choice: what cannot be read is wrong. Open: the judge's mean of what "
    "it scored. majority: always the letter that is right most often. kind: the marks and moments a question names."
)
BOTH_NOTE = (
    "Percent. strict: of all items. upstream: its arithmetic on the file as it is, of those that it could read. said, "
    "true: how often each letter, A to D, was chosen and is right; the fifth number counts answers that chose none."
)
MENTION_NOTE = "Percent, where the truth or the answer names one. invented: the share with an id from nowhere."
CIRCULAR_NOTE = "Percent. A rotation that was not answered is wrong; a guess is right in all four once in 256 times."
COMPARE_NOTE = (
    "Percent; B minus A on the same questions, clustered by clip. p: two-sided, signs of whole clips flipped at "
    "random. seen: the true difference that so many questions show four times out of five."
)


def table_of(title: str, columns: str, rows: list[list], note: str) -> dict:
    """A table as the report page reads it; names of `columns` are divided by bars."""
    return {"title": title, "columns": columns.split("|"), "rows": rows, "note": note}


def percent(interval: Interval, sign: str = "") -> str:
    """An interval in percent."""
    mean, low, high = (f"{100 * value:{sign}.1f}" for value in interval)
    return "–" if np.isnan(interval.mean) else f"{mean} [{low}, {high}]"


def parts_of(run: Run) -> dict[tuple[str, str], list[Answered]]:
    """The answered items of a run by split and format, without rotated ones."""
    parts = defaultdict(list)
    for one in run.upright:
        parts[one.item.split, one.item.format].append(one)
    return parts


def score_tables(run: Run, blind: Run | None = None) -> list[dict]:
    """The tables of a run: scores by kind, both scorers, what open-ended answers name, rotations; empty ones left out.

    `blind`: the same model without the pictures.
    """
    tables = [kind_table(run, blind), both_scorers(run), mention_table(run), circular_table(run)]
    return [table for table in tables if table["rows"]]


def kind_table(run: Run, blind: Run | None) -> dict:
    """Scores by split, format and kind, beside the letter that is right most often and the blind run."""
    asked, parts = run.upright, parts_of(run)
    best = {part: Counter(one.item.answer for one in said).most_common(1)[0][0] for part, said in parts.items()}
    usual = [best[address(one.item)[:2]] if one.item.format == "choice" else None for one in asked]
    others = {address(one.item): one.said for one in blind.upright} if blind else {}
    unseen = {"blind": [others.get(address(one.item)) for one in asked]} if blind else {}
    runs = {"majority": usual, **unseen, run.name: [one.said for one in asked]}
    title = f"Inst-It Bench: {run.name}" + "".join(f", {n} {what}" for what, n in run.notes.items())
    return score_table([one.item for one in asked], runs, title, note=NOTE)


def both_scorers(run: Run) -> dict:
    """The strict score and upstream's, part by part."""
    rows = []
    for (split, form), part in parts_of(run).items():
        theirs, said, true = upstream_score([one.mark for one in part if one.mark is not None], len(part)), "", ""
        if form == "choice":
            chosen = Counter(parse_choice(one.text, one.item.options) for one in part)
            right = Counter(one.item.answer for one in part)
            said, true = (" ".join(str(n[k]) for k in ks) for n, ks in ((chosen, (*"ABCD", None)), (right, "ABCD")))
            file = [row for row in run.rows if (row["split"], row["format"]) == (split, form)]
            whole = all(row["model_prediction"] is not None for row in file)
            theirs = upstream_choice([(r["ground_truth"], r["model_prediction"]) for r in file]) if whole else None
        number = [f"{100 * theirs.accuracy:.2f}", f"{theirs.correct:g} of {theirs.parsed}"] if theirs else ["stops", ""]
        rows.append([split, form, len(part), spread(part, [one.mark for one in part]), *number, said, true])
    return table_of(f"Both scorers: {run.name}", "split|format|n|strict|upstream|it counts|said|true", rows, BOTH_NOTE)


def spread(part: Sequence[Answered], values: Sequence[float | None]) -> str:
    """Mean and interval of one value per answered item."""
    return percent(mean_of(values, [one.item.clip_id for one in part]))


def mention_table(run: Run) -> dict:
    """Ids and timestamps of the open-ended answers against the truth's, by split."""
    rows = []
    for (split, form), part in parts_of(run).items():
        found = [mentions(one.item.question, one.item.answer, one.text) for one in part]
        for name in found[0] if form == "open" else ():
            values = [one[name] for one in found]
            rows.append([split, name, len(values) - values.count(None), spread(part, values)])
    return table_of(f"Marks and times named: {run.name}", "split|what|n|mean", rows, MENTION_NOTE)


def circular_table(run: Run) -> dict:
    """CircularEval (MMBench): right is who is right in every rotation that was asked; no rows where none was."""
    rows, marks = [], {address(one.item): one.mark for one in run.answered}
    turns = sorted({"".join(one.item.question_id.partition("@")[1:]) for one in run.answered})
    for (split, form), part in parts_of(run).items() if len(turns) > 1 else ():
        if form == "choice":
            ids = [[one.item.question_id + turn for turn in turns] for one in part]
            right = [[marks.get((split, form, name), 0.0) for name in names] for names in ids]
            each = {f"turned by {turn[1:] or 0}": column for turn, column in zip(turns, np.transpose(right))}
            for name, values in {"all": np.min(right, 1), "mean": np.mean(right, 1), **each}.items():
                rows.append([split, name, len(part), spread(part, values.tolist())])
    return table_of(f"CircularEval: {run.name}", "split|rotations|n|right", rows, CIRCULAR_NOTE)


def compare_runs(a: Run, b: Run) -> dict:
    """B against A on the questions that both have: each part with a test, each kind with an interval.

    Raises `InstitError` where they share no question, or hold different answers for true.
    """
    others = {address(one.item): one for one in b.upright}
    pairs = [(one, others[address(one.item)]) for one in a.upright if address(one.item) in others]
    if not pairs or any(x.item.answer != y.item.answer for x, y in pairs):
        what = "hold different answers for true" if pairs else "share no question"
        raise InstitError(f"{a.name} and {b.name} {what}", cure="give two runs on one bench, or name it with --bench")
    groups = defaultdict(list)
    for x, y in pairs:
        for kind in (ALL, x.item.kind) if None not in (x.mark, y.mark) else ():
            groups[x.item.split, x.item.format, kind].append((x.mark, y.mark, x.item.clip_id))
    rows = [[*key, *compared(*zip(*found), whole=key[2] == ALL)] for key, found in groups.items()]
    rows.sort(key=lambda row: (row[:2], row[2] != ALL))
    left = len(a.upright) + len(b.upright) - 2 * len(pairs)
    title = f"A: {a.name}, B: {b.name}" + f"; {left} that only one was asked are left out" * bool(left)
    return table_of(title, "split|format|kind|n|clips|A|B|difference|p|seen|A / B better", rows, COMPARE_NOTE)


def compared(before: Sequence[float], after: Sequence[float], clips: Sequence[str], whole: bool) -> list:
    """One row of a comparison, from n on; with test and sensitivity for a `whole` part."""
    change, p, seen = paired_difference(before, after, clips), "", ""
    if whole:
        p = f"{sign_flip_test(np.subtract(after, before), clips):.4f}"
        seen = f"{100 * (change.high - change.low) / 2 * 2.8 / 1.96:.1f}"
    better = f"{np.greater(before, after).sum()} / {np.less(before, after).sum()}"
    means = [f"{100 * np.mean(values):.1f}" for values in (before, after)]
    return [len(before), len(set(clips)), *means, percent(change, "+"), p, seen, better]
