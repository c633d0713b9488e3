"""Files of predictions: every item counted once, upstream's arithmetic on the file as it is."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_bench import TRUTHS, make_bench, predictions, write

from instit_lite.dataset.quarantine import Quarantine
from instit_lite.errors import InstitError, RecordError
from instit_lite.evaluation.predictions import match, read_predictions
from instit_lite.evaluation.released import load_bench
from instit_lite.evaluation.scoring import compare_runs, score_tables


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return load_bench(make_bench(tmp_path_factory.mktemp("bench"), pictures=False))


def run(rows, bench=None, name="model"):
    return match([{"format": "choice"} | row for row in rows], bench, name)


def both(one):
    """strict, upstream, what upstream counts: of the only part of a run."""
    (row,) = score_tables(one)[1]["rows"]
    return row[3].split(" ")[0], row[4], row[5]


def test_upstream_and_strict_side_by_side(bench):
    said = ["B", "The answer is (C)", "I cannot tell.", "Because the option is D", "no idea", "b", "C", "A"]
    one = run(predictions(said), bench)
    # upstream: B, C, nothing, B (of Because), nothing, nothing, C, A: four right of five that it reads
    assert both(one) == ("75.0", "80.00", "4 of 5")
    assert [row[6:] for row in score_tables(one)[1]["rows"]] == [["1 2 2 1 2", "2 3 2 1"]]


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from([*"ABCDabcd", "", "(B)", "no", "Answer: C"])), min_size=1))
def test_upstreams_arithmetic_on_any_file(pairs):
    read = {"(B)": "B", "Answer: C": "C"}
    letters = [read.get(said, said if said in tuple("ABCD") else "") for _, said in pairs]
    valid = [letter == truth for (truth, _), letter in zip(pairs, letters) if letter]
    rows = [{"question_id": f"{k:03d}-01", "question": "?", "model_prediction": said, "ground_truth": truth, "split": "image"}
            for k, (truth, said) in enumerate(pairs)]  # fmt: skip
    number = f"{100 * np.mean(valid):.2f}" if valid else "nan"
    assert both(run(rows))[1:] == (number, f"{sum(valid)} of {len(valid)}")


def test_strict_differs_only_where_it_should(bench):
    said = [truth if k % 3 else "ABCD"[(k + 1) % 4] for k, truth in enumerate(TRUTHS)]
    strict, upstream, _ = both(run(predictions(said), bench))
    assert float(strict) == pytest.approx(float(upstream), abs=0.05)  # clean letters: the same number
    refused = both(run(predictions([*said[:3], "Unsure.", *said[4:]]), bench))  # what was wrong before
    assert refused[0] == strict and float(refused[1]) > float(upstream)  # refusing helps there, never here


def test_a_refusal_takes_upstream_to_100(bench):
    assert both(run(predictions(["B", *["none"] * 7]), bench)) == ("12.5", "100.00", "1 of 1")


def test_a_null_stops_upstream_and_is_wrong_here(bench):
    assert both(run(predictions(["B", None, *TRUTHS[2:]]), bench)) == ("87.5", "stops", "")


def test_what_a_file_leaves_out_is_wrong_and_told(bench):
    rows = predictions(TRUTHS[:6])
    one = run([*rows, rows[0] | {"model_prediction": "D"}, rows[0] | {"question_id": "9-9"}], bench)
    assert len(one.answered) == 8 and one.notes == {"unanswered": 2, "doubled": 1, "unknown": 1}
    assert both(one)[0] == "75.0"
    assert "2 unanswered" in score_tables(one)[0]["title"]
    wrong_key = run(predictions(TRUTHS, truths=["A"] * 8), bench)
    assert wrong_key.notes == {"with another truth": 6}
    assert both(wrong_key) == ("100.0", "25.00", "2 of 8")  # upstream believes the file, we the bench


def test_without_a_bench_the_file_speaks_for_itself():
    one = run(predictions(TRUTHS))
    assert both(one) == ("100.0", "100.00", "8 of 8")
    assert {a.item.clip_id for a in one.answered} == {f"video {k:03d}" for k in (1, 2, 3, 4)}


def test_the_table_counts_majority_and_blind(bench):
    table = score_tables(run(predictions(TRUTHS), bench), blind=run(predictions(["B"] * 7), bench))[0]
    first = dict(zip(table["columns"], table["rows"][0]))
    assert first["majority"].startswith("0.38") and first["blind"].startswith("0.38") and first["model"].startswith("1.00")
    assert first["n"] == 8 and first["clips"] == 4 and first["chance"] == "0.25"


def test_rotations_must_all_be_right(bench):
    rows = predictions(TRUTHS)
    moved = [row | {"question_id": row["question_id"] + f"@{t}", "ground_truth": "ABCD"[("ABCD".index(row["ground_truth"]) + t) % 4]}
             for t in (1, 2, 3) for row in rows]  # fmt: skip
    follows = [row | {"model_prediction": row["ground_truth"]} for row in moved]
    table = score_tables(run([*rows, *follows], bench))[-1]
    assert table["title"].startswith("CircularEval") and [row[3].split(" ")[0] for row in table["rows"]] == ["100.0"] * 6
    always_b = [row | {"model_prediction": "B"} for row in [*rows, *moved]]
    found = {row[1]: row[3].split(" ")[0] for row in score_tables(run(always_b, bench))[-1]["rows"]}
    assert found["all"] == "0.0" and found["mean"] == "25.0" and found["turned by 0"] == "37.5"
    assert len(run(always_b, bench).upright) == 8
    gone = {row[1]: row[3].split(" ")[0] for row in score_tables(run([*rows, *follows[:-1]], bench))[-1]["rows"]}
    assert gone["all"] == "87.5" and gone["turned by 3"] == "87.5"


def test_files_are_read_or_quarantined(tmp_path):
    rows = predictions(TRUTHS)
    left_out = Quarantine(tmp_path / "left.jsonl")
    file = write(tmp_path / "runs" / "mc.json", [*rows, {"question_id": 3}, "x", rows[0] | {"model_prediction": ["B"]}])
    assert {row["format"] for row in read_predictions(file, left_out)} == {"choice"} and left_out.count == 3
    kept = "\n".join(map(json.dumps, [{"run": {"model": "micro"}}, *(row | {"format": "open"} for row in rows)]))
    (tmp_path / "runs" / "kept.jsonl").write_text(kept + '\n{"question_id": "cut sh')
    assert [row["format"] for row in read_predictions(tmp_path / "runs", left_out)] == ["open"] * 8 + ["choice"] * 8
    opened = write(tmp_path / "oe.json", predictions(["a rope"] * 8, form="open"))
    assert {row["format"] for row in read_predictions(opened, left_out)} == {"open"}
    for text in ("", "[]", "{}", "[{]", "\x00"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(RecordError, match="bad.json"):
            read_predictions(tmp_path / "bad.json", left_out)
    with pytest.raises(RecordError, match="none.json"):
        read_predictions(tmp_path / "none.json", left_out)


def test_compare_is_paired_and_says_what_only_one_was_asked(bench):
    a = run(predictions(["A"] * 8), bench, "A")
    b = run(predictions(TRUTHS), bench, "B")
    first = dict(zip((table := compare_runs(a, b))["columns"], table["rows"][0]))
    assert (first["n"], first["clips"], first["A"], first["B"], first["A / B better"]) == (8, 4, "25.0", "100.0", "0 / 6")
    assert first["difference"].startswith("+75.0 [") and 0 < float(first["p"]) < 0.2
    assert [row[2] for row in table["rows"]] == ["all", "no mark", "one mark, moment"]
    half = compare_runs(run(predictions(["A"] * 3)), run(predictions(TRUTHS)))
    assert half["rows"][0][3] == 3 and "5 that only one was asked" in half["title"]
    for other in (run(predictions(TRUTHS, split="image")), run(predictions(TRUTHS, truths=["D"] * 8))):
        with pytest.raises(InstitError, match="share no question|different answers"):
            compare_runs(run(predictions(TRUTHS)), other)
