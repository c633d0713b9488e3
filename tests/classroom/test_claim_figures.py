"""Figures of the ledger: all of it, parts of it, nothing of it; what a reader without colours or pictures gets."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import pytest
from made_up_ledger import made_up_ledger
from matplotlib.figure import Figure

from instit_lite.claims.declared import EVERYTHING
from instit_lite.claims.live import read_ledger
from instit_lite.claims.verdict import NOT_MEASURED, VERDICTS
from instit_lite.classroom import claim_curves, claim_figures
from instit_lite.classroom.figures import figure_html
from instit_lite.classroom.report import table_html as report_table
from instit_lite.classroom.safe_html import clean_output

DRAWN = (
    claim_figures.forest, claim_curves.data_lines, claim_curves.difficulty_curves, claim_curves.cost_bars,
    claim_curves.before_after,
)  # fmt: skip
LEDGERS = {"all": (), "some": ("C2", "C7", "K2", "C11"), "none": tuple(EVERYTHING)}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(params=LEDGERS)
def ledger(request):
    return made_up_ledger(missing=LEDGERS[request.param])


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_every_figure_is_drawn_of_every_ledger(draw, ledger):
    fig, alt = draw(ledger)
    assert isinstance(fig, Figure) and "<img " in figure_html(fig, alt=alt)


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_a_ledger_of_one_claim_is_enough(draw):
    whole = made_up_ledger()
    fig, alt = draw({**whole, "claims": whole["claims"][:1], "accuracies": []})
    assert isinstance(fig, Figure) and alt


def test_a_large_cost_is_written_as_people_write_it():
    """A peak of 1,433 MB was drawn as 1.43e+03."""
    made = made_up_ledger()
    part = next(p for c in made["claims"] if c["id"] == "C8" for p in c["parts"] if p.get("what") == "memory")
    part["cost"] = [824.1, 1433.2]
    assert "824 MB instead of 1,433 MB" in claim_curves.cost_bars(made)[1]


@pytest.mark.parametrize("by_kind", [False, True])
def test_every_claim_has_a_forest(ledger, by_kind):
    for claim in ledger["claims"]:
        fig, alt = claim_figures.parts(ledger, claim["id"], by_kind)
        kinds = sum(len(p.get("kinds", [])) for p in claim["parts"]) if by_kind else 0
        assert len(fig.axes[0].get_yticks()) == len(claim["parts"]) + kinds
        assert claim["verdict"] in fig.axes[0].get_title(loc="left") and claim["id"] in alt
        plt.close(fig)


def test_an_interval_is_drawn_where_it_was_measured():
    ledger = made_up_ledger()
    part = ledger["claims"][1]["parts"][0]
    fig, _ = claim_figures.parts(ledger, "C2")
    assert list(fig.axes[0].lines[0].get_xdata()) == [100 * v for v in part["difference"][1:]]


def test_a_claim_stands_where_its_weakest_part_is():
    claim = next(c for c in made_up_ledger()["claims"] if len({p["verdict"] for p in c["parts"]}) > 1)
    part = claim_figures.weakest_part(claim)
    assert all(VERDICTS.index(part["verdict"]) >= VERDICTS.index(other["verdict"]) for other in claim["parts"])


def test_verdicts_differ_by_shape_and_by_sign():
    assert set(VERDICTS) <= set(claim_figures.LOOK)
    for looks in ([marker for marker, *_ in claim_figures.LOOK.values()], list(claim_figures.SIGN.values())):
        assert len(set(looks)) == len(looks)


def test_the_table_has_all_of_each_claim(ledger):
    found = claim_figures.table_html(ledger)
    plain = re.sub(r' style="[^"]*"', "", found)
    assert clean_output(found) == plain, "the report, which has styles of its own, would change more than styles"
    assert found.count("<tr>") == len(ledger["claims"]) + 1
    for claim in ledger["claims"]:
        assert claim["verdict"] in found
    assert "<table" in report_table(claim_figures.result_table(ledger, "made up"))


def test_the_paper_s_table_7_is_read_from_the_ledger():
    fig, _ = claim_curves.data_lines(made_up_ledger())
    lines = [line.get_ydata().tolist() for line in fig.axes[1].lines]
    assert lines == [[45.3, 58.9, 59.6, 60.1, 59.6], [31.3, 33.8, 36.9, 44.0, 43.7]]


def test_a_ledger_is_found_or_declared_unmeasured(monkeypatch, tmp_path):
    monkeypatch.setattr("instit_lite.claims.live.repository_ledger", lambda name: tmp_path / f"ledger_{name}.json")
    ledger, said = read_ledger("smoke")
    assert "make claims" in said and {c["verdict"] for c in ledger["claims"]} == {NOT_MEASURED}
    assert [c["id"] for c in ledger["claims"]] == list(EVERYTHING)
