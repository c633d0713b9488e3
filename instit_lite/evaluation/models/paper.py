"""The paper's Table 2 beside what is run. In: figures of runs. Out: a table whose rows say where they are from.

Open-ended (OE) figures are a GPT-4o judge's, 0 to 100; multiple choice (MC) is accuracy in %, without the answers that
upstream's scorer could not read. The paper states neither frames, prompts nor decoding of the other models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..report import ALL, ScoreRow

COLUMNS = ("image OE", "image MC", "video OE", "video MC")
FORMATS = {"open": "OE", "choice": "MC"}


class PaperRow(NamedTuple):
    """A row of Table 2; `figures` by `COLUMNS`, None where there is none; `here`: what `open_model` takes, "": nothing."""

    model: str
    language: str
    tuned_on: str
    figures: tuple[float | None, ...]
    here: str


TABLE_2 = [PaperRow(**row) for row in json.loads(Path(__file__).with_name("table_2.json").read_text(encoding="utf-8"))]


def figures_of(rows: Sequence[ScoreRow], run: str) -> dict[str, str]:
    """A run's shares as percentages with intervals, by column of `COLUMNS`."""
    shares = {f"{row.split} {FORMATS.get(row.format)}": row.runs[run] for row in rows if row.kind == ALL}
    shown = {name: [100 * value for value in share] for name, share in shares.items() if name in COLUMNS}
    return {name: "{:.1f} [{:.1f}, {:.1f}]".format(*share) for name, share in shown.items()}


def beside_paper(measured: Mapping[str, Mapping[str, str]], how: str) -> dict:
    """Table 2 with each measured model right below its row, others at the end: {"title", "columns", "rows", "note"}.

    `measured`: figures by column, by the model's name in the paper, or another one; `how`: how they were scored.
    """
    runs = {
        name: [name, "", "", *(figures.get(column, "–") for column in COLUMNS), "here"]
        for name, figures in measured.items()
    }  # fmt: skip
    lines = []
    for row in TABLE_2:
        shown = ["–" if figure is None else f"{figure:.1f}" for figure in row.figures]
        lines.append([row.model, row.language, row.tuned_on, *shown, "paper"])
        lines += [runs.pop(row.model)] if row.model in runs else []
    note = f'Rows marked "paper" are the paper\'s Table 2. Rows marked "here" were run with this kit: {how}.'
    return {
        "title": "INST-IT Bench, beside the paper's Table 2",
        "columns": ["model", "LLM", "#IT", *COLUMNS, "from"], "rows": [*lines, *runs.values()], "note": note,
    }  # fmt: skip
