"""Claims asked again of models at hand: the same rows as in the ledger, kept answers, a clear no to the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from instit_lite.claims.declared import EVERYTHING
from instit_lite.claims.live import about, ask_again
from instit_lite.claims.room import claims_named, needs_of
from instit_lite.claims.verdict import NOT_MEASURED
from instit_lite.errors import InstitError
from instit_lite.evaluation import answer
from instit_lite.model.load import MICRO_FOLDER, load_base, weights_hash
from instit_lite.profiles import get_profile

TINY = replace(get_profile("smoke"), n_bench=8)
AT_HAND = ("C1", "C2", "C3", "C4", "C11", "K1", "K2", "K3", "K4", "K5")  # as notebook 07 says


@pytest.fixture(scope="module")
def models():
    base = load_base("micro")
    return {"base": base, "main": base}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def rows(models, folder):
    return ask_again(claims_named(["C2", "K2", "K3"]), models, TINY, folder, say=lambda line: None)


def test_rows_are_as_in_the_ledger(rows):
    assert [row["id"] for row in rows] == ["C2", "K2", "K3"]
    for row in rows:
        assert len(row["parts"]) == len(EVERYTHING[row["id"]].parts) and row["verdict"] != NOT_MEASURED
        for part in row["parts"]:
            mean, low, high = part["difference"]
            assert low <= mean <= high and part["seeds"] == 1 and 0 < part["n"] <= 8


def test_the_same_model_on_both_sides_differs_nowhere(rows):
    assert all(part["difference"][0] == 0 for part in rows[0]["parts"])


def test_answers_are_kept(rows, models, folder, monkeypatch):
    def only_known(base, items, batch, blind, progress, known, keep):
        return [known[item.key] for item in items]

    monkeypatch.setattr(answer, "answer_items", only_known)
    assert ask_again(claims_named(["C2", "K2", "K3"]), models, TINY, folder, say=lambda line: None) == rows


def test_a_claim_that_needs_another_arm_is_refused(models, folder):
    with pytest.raises(InstitError, match="encoder_all.*base, main"):
        ask_again(claims_named(["C6"]), models, TINY, folder)


def test_what_the_notebook_names_can_be_asked():
    possible = [name for name in EVERYTHING if set(needs_of(claims_named([name]))) <= {"base", "main"}]
    assert tuple(possible) == AT_HAND


def test_a_ledger_of_another_base_says_so():
    ledger = {"machine": {"cores": 2, "gpu": None}, "date": "2000-01-01", "profile": "micro", "seeds": 3,
              "questions_per_split": 8, "arms": {"main": {"base_weights": weights_hash(MICRO_FOLDER)}}}  # fmt: skip
    assert "another base" not in about(ledger)
    ledger["arms"]["main"]["base_weights"] = "other"
    assert "another base" in about(ledger)
