"""The page for large runs: its tables are what the arithmetic gives today, and the arithmetic is `plan`'s."""

import re
from pathlib import Path

import pytest

from instit_lite.errors import InstitError
from instit_lite.model.cards import CARDS
from instit_lite.model.nf4 import import_bitsandbytes
from instit_lite.model.shapes import VICUNA
from instit_lite.training import scale
from instit_lite.training.plan import Request, plan_text

pytestmark = pytest.mark.skipif(import_bitsandbytes() is None, reason="no bitsandbytes here")
PAGE = Path(__file__).parents[2] / "docs" / "at-scale.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_today(page):
    cure = "run `python -m instit_lite.training.scale --write`"
    assert page == scale.with_tables(page, scale.tables()), cure
    assert page.count(scale.BEGIN) == page.count(scale.END) == 1


def test_the_peak_is_the_one_that_plan_prints():
    said = plan_text(Request(VICUNA, at_once=1), CARDS["t4"])
    (peak,) = re.findall(r"([\d.]+) GiB at the peak", said)
    row = next(row for row in scale.memory_table() if row[0].startswith("T4") and row[1].startswith("Vicuna"))
    assert float(row[4]) == pytest.approx(float(peak), abs=0.05) and row[3] == "all"


def test_hours_follow_cards_samples_and_shares():
    one = scale.hours(VICUNA, "a100", 0, 1000)
    assert scale.hours(VICUNA, "a100", 0, 2000) == pytest.approx(2 * one)
    assert scale.hours(VICUNA, "h100", 0, 1000) == pytest.approx(one * 312 / 989)
    assert scale.hours(VICUNA, "a100", 0, 1000, mfu=0.2) == pytest.approx(2 * one)
    assert 1.2 < scale.hours(VICUNA, "a100", 1, 1000) / one < 1.6  # the forward pass twice
    dear, cheap = (scale.cost_table(scale.PRICES | {"t4": price})[0][2] for price in (4.0, 0.4))
    first = [float(text.strip("$").split(" to ")[0].replace(",", "")) for text in (dear, cheap)]
    assert first[0] == pytest.approx(10 * first[1], rel=0.01)


def test_the_mix_has_the_papers_share_and_repeats_nothing():
    counts = {"frame": 1000, "image": 500, "general": 2000}
    mix = scale.mix_of({name: scale.Kind(count, 1, 1, 1) for name, count in counts.items()})
    assert mix["general"] == pytest.approx(2000, rel=0.001)
    assert mix["frame"] == pytest.approx(2 * mix["image"])
    assert mix["general"] / sum(mix.values()) == pytest.approx(765 / 1008)


def test_prices_can_be_changed_and_wrong_ones_are_refused(capsys):
    assert scale.main(["--price", "t4=4", "--mfu", "0.3"]) == 0
    assert "4.00" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        scale.main(["--price", "voodoo=1"])
    with pytest.raises(InstitError, match="comments around what is written"):
        scale.with_tables("no tables", "")
