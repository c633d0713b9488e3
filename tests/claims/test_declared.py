"""Every declared claim names what exists, and says what its words say."""

from dataclasses import replace

import pytest

from instit_lite.claims.arms import ARMS, arm_named
from instit_lite.claims.declared import CLAIMS, CONTROLS, EVERYTHING, more, no_less, no_more, same
from instit_lite.claims.room import claims_named, cost_arms, needs_of, no_model, sides
from instit_lite.claims.views import CLAIMS_BENCH, VIEWS, items_of
from instit_lite.errors import InstitError
from instit_lite.evaluation.item import SPLITS
from instit_lite.profiles import get_profile
from instit_lite.scenes.seeds import BENCH_SEED

FEW = replace(get_profile("smoke"), n_bench=8)


def test_all_claims_and_controls_are_there():
    assert [c.id for c in CLAIMS] == [f"C{i}" for i in range(1, 13)]
    assert [c.id for c in CONTROLS] == [f"K{i}" for i in range(1, 8)]


@pytest.mark.parametrize("claim", EVERYTHING.values(), ids=lambda c: c.id)
def test_a_claim_names_what_exists(claim):
    assert claim.parts and all((claim.statement, claim.paper, claim.where, claim.change))
    for part, arm, view in sides([claim]):
        assert arm in ARMS and view in VIEWS and part.split in SPLITS and part.format in ("open", "choice")
        if ARMS[arm].frames:
            assert view == "longer", "an arm of other frames cannot answer about timestamps of the profile's"
    for part in claim.parts:
        assert not no_model(part.left) and part.low < part.high
    assert all(name in ARMS and ARMS[name].trains for name in cost_arms([claim]))


def test_every_arm_serves_a_claim():
    assert set(needs_of(EVERYTHING.values())) == set(ARMS)


def test_parts_say_what_they_expect():
    assert more("main", "base", "image").says == "main > base"
    assert no_less("main", "base", "general", 0.03).says == "main > base − 0.03"
    assert no_more("base", "prior", "image", 0.1).says == "base < prior + 0.1"
    assert same("a", "b", "image", 0.05).says == "a = b ± 0.05"


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_can_be_drawn(name):
    split = "video" if name in ("longer", "first_frame") else "image"
    items = items_of(name, split, FEW, frames=2 if name == "longer" else None)
    assert items and all(item.split == split for item in items)
    if name == "longer":
        wide = items_of(name, split, FEW, frames=8)
        assert [i.key for i in wide] == [i.key for i in items]
        assert {len(i.frames) for i in items} == {2} and {len(i.frames) for i in wide} == {8}
        assert not any("<" in i.prompt + i.answer for i in items)
    if name == "as_drawn":
        shown = {i.key: i for i in items_of("permuted", split, FEW)}
        assert all((shown[i.key].frames == i.frames).all() for i in items)
        assert any(shown[i.key].answer != i.answer for i in items)


def test_the_bench_of_the_claims_is_not_the_notebooks():
    assert CLAIMS_BENCH > BENCH_SEED


def test_unknown_names_are_refused():
    for refused in (lambda: claims_named(["C99"]), lambda: arm_named("none"), lambda: items_of("none", "image", FEW)):
        with pytest.raises(InstitError):
            refused()
    assert [c.id for c in claims_named(["c6", "K2"])] == ["C6", "K2"]
