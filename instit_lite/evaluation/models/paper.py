"""The paper's Table 2 beside what is run. In: figures of runs. Out: a table whose rows say where they are from.

Open-ended (OE) figures are a GPT-4o judge's, 0 to 100; multiple choice (MC) is accuracy in %, without the answers that
upstream's scorer could not read. The paper states neither frames, prompts nor decoding of the other models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..report import ALL, ScoreRow

COLUMNS = ("image OE", "image MC", "video OE", "video MC")  # of the "figures" in each row of Table 2
TABLE_2 = json.loads(Path(__file__).with_name("table_2.json").read_text(encoding="utf-8"))


def figures_of(rows: Sequence[ScoreRow], run: str) -> dict[str, str]:
    """A run's shares as percentages with intervals, by column of `COLUMNS`."""
    forms = {"open": "OE", "choice": "MC"}
    shares = {f"{row.split} {forms.get(row.format)}": row.runs[run] for row in rows if row.kind == ALL}
    return {c: "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in shares[c])) for c in COLUMNS if c in shares}


def beside_paper(measured: Mapping[str, Mapping[str, str]], how: str) -> dict:
    """Table 2 with each measured model right below its row, others at the end: {"title", "columns", "rows", "note"}.

    `measured`: figures by column, by the model's name in the paper, or another one; `how`: how they were scored.
    """
    runs = {name: [name, "", "", *(found.get(c, "–") for c in COLUMNS), "here"] for name, found in measured.items()}
    lines = []
    for row in TABLE_2:
        shown = ["–" if figure is None else f"{figure:.1f}" for figure in row["figures"]]
        lines.append([row["model"], row["language"], row["tuned_on"], *shown, "paper"])
        lines += [runs.pop(row["model"])] if row["model"] in runs else []
    note = f'Rows marked "paper" are the paper\'s Table 2. Rows marked "here" were run with this kit: {how}.'
    columns, title = ["model", "LLM", "#IT", *COLUMNS, "from"], "INST-IT Bench, beside the paper's Table 2"
    return {"title": title, "columns": columns, "rows": [*lines, *runs.values()], "note": note}
