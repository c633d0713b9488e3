"""The table says what the answers say, and is written whole."""

import json
from dataclasses import replace

import numpy as np
import pytest

from instit_lite.errors import InstitError, RecordError
from instit_lite.evaluation.item import BenchItem
from instit_lite.evaluation.report import format_table, save_result, score_rows, score_table


def item(k, kind="colour", form="open", split="image"):
    options = dict(zip("ABCD", ["red", "blue", "green", "cyan"])) if form == "choice" else None
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    answer = "A" if options else "red"
    return BenchItem(f"c{k // 2}-{k % 2}", kind, form, split, "what?", answer, options, f"c{k // 2}", frames, (1,), 4)


ITEMS = [item(k, kind) for k, kind in enumerate(["colour", "shape"] * 6)] + [item(k, form="choice") for k in range(4)]
RUNS = {
    "base": ["red", "blue"] * 6 + ["A", "who knows", "B", "B"],
    "after SFT": ["red", "red"] * 5 + ["red", ""] + ["a", "(A)", "A: red", "B"],
}


def test_rows_count_what_was_said():
    rows = {(row.format, row.kind): row for row in score_rows(ITEMS, RUNS)}
    assert list(rows) == [("open", "all"), ("open", "colour"), ("open", "shape"), ("choice", "all"), ("choice", "colour")]
    assert rows["open", "all"].n == 12 and rows["open", "all"].clips == 6
    assert rows["open", "all"].runs["base"].mean == 0.5
    assert rows["open", "shape"].runs["after SFT"].mean == pytest.approx(5 / 6)
    assert rows["open", "shape"].difference.mean == pytest.approx(5 / 6)
    assert rows["open", "all"].unparsed == {"base": 0, "after SFT": 1}
    assert rows["choice", "all"].unparsed == {"base": 1, "after SFT": 0}
    assert rows["choice", "all"].runs["base"].mean == 0.25  # unparsed stays in the denominator
    assert rows["open", "all"].chance == 0.25


def test_the_table_fits_the_report_page(tmp_path):
    table = score_table(ITEMS, RUNS)
    assert table["columns"][:7] == ["split", "format", "kind", "n", "clips", "chance", "prior"]
    assert table["columns"][-2:] == ["after SFT minus base", "unparsed (after SFT)"]
    path = save_result(table, tmp_path / "results" / "scores.json")
    assert json.loads(path.read_text(encoding="utf-8")) == table
    assert "after SFT" in format_table(table) and table["rows"][0][-2].startswith("+0.42")


def test_the_prior_is_a_mean_over_items_or_nothing():
    guessed = [replace(item, prior=0.5 + 0.5 * (item.kind == "shape")) for item in ITEMS]
    rows = {(row.format, row.kind): row.prior for row in score_rows(guessed, RUNS)}
    assert rows["open", "all"] == 0.75 and rows["open", "shape"] == 1.0
    assert score_rows(ITEMS, RUNS)[0].prior is None and score_table(ITEMS, RUNS)["rows"][0][6] == "–"


def test_without_a_pair_there_is_no_difference():
    table = score_table(ITEMS, {"base": RUNS["base"]}, by_kind=False)
    assert "after SFT minus base" not in table["columns"] and len(table["rows"]) == 2


def test_mismatches_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InstitError, match="'base' has 1 answers for 16 items"):
        score_rows(ITEMS, {"base": ["red"]})
    for bad in ({"title": "t"}, {"title": "t", "columns": ["a"], "rows": [[1, 2]], "note": ""}):
        with pytest.raises(RecordError):
            save_result(bad, tmp_path / "bad.json")
    assert not list(tmp_path.iterdir())
