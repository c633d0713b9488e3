"""The whole room at a tiny size: every claim's code runs, and a kill loses nothing."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from instit_lite.claims import work as working
from instit_lite.claims.arms import ARMS, base_folders
from instit_lite.claims.declared import EVERYTHING
from instit_lite.claims.kept import bring_back, keep
from instit_lite.claims.ledger import format_ledger, ledger_of
from instit_lite.claims.readme_table import table
from instit_lite.claims.room import claims_named, is_done, is_trained, needs_of, room_of
from instit_lite.claims.run import alone, measure, measure_here, plan, show
from instit_lite.claims.verdict import NOT_MEASURED, VERDICTS
from instit_lite.errors import InstitError
from instit_lite.training.recipe import SHARES

def test_two_runs_in_one_folder_are_refused(room):
    with alone(room), pytest.raises(InstitError, match="already"):
        with alone(room):
            pass


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_claim_is_measured(ledger, name):
    claim = next(c for c in ledger["claims"] if c["id"] == name)
    assert claim["verdict"] in VERDICTS and claim["verdict"] != NOT_MEASURED
    for part in claim["parts"]:
        mean, low, high = part.get("difference") or part["ratio"]
        assert low <= mean <= high
        assert sum(kind["n"] for kind in part.get("kinds", [])) == part.get("n", 0)


def test_the_ledger_says_how_it_was_measured(ledger, room):
    assert ledger["versions"]["torch"] and ledger["machine"]["cores"] and ledger["arms"]["main"]["base_weights"]
    rows = {(r["arm"], r["view"], r["split"], r["format"]): r for r in ledger["accuracies"]}
    row = rows["main", "marked", "image", "open"]
    assert row["n"]["all"] == 8 and len(row["kinds"]["all"]) == 1 and ("prior", *list(row.values())[1:4]) in rows
    assert json.loads((room.root / "ledger.json").read_text()) == json.loads(json.dumps(ledger))
    assert format_ledger(ledger).count("\nK") == 7 and table(ledger).count("\n| C") == 12


def test_pooling_saves_tokens(ledger):
    part = next(p for c in ledger["claims"] if c["id"] == "C8" for p in c["parts"] if p.get("what") == "tokens")
    assert part["ratio"][0] == pytest.approx(0.25) and part["verdict"] == "shown"


def test_nothing_is_done_twice(ledger, room, monkeypatch):
    assert plan(room, claims_named(None)) == ([[], [], []], {})
    monkeypatch.setattr(working, "work", lambda *rest: pytest.fail("a job was done again"))
    again = measure_here(room, None, say=lambda line: None)
    assert again["claims"] == ledger["claims"]


def test_the_ledger_comes_back_without_training(ledger, room, tmp_path, monkeypatch):
    """From the scores that the repository keeps, where nothing was measured."""
    file, elsewhere, quiet = tmp_path / "scores.json", replace(room, root=tmp_path / "elsewhere"), lambda line: None
    keep(room, file)
    monkeypatch.setattr(working, "run_sft", lambda *rest, **more: pytest.fail("something was trained"))
    assert bring_back(elsewhere, file, quiet) == len(ARMS)
    assert plan(elsewhere, claims_named(None)) == ([[], [], []], {})
    again = ledger_of(elsewhere, claims_named(None))
    assert {name: again[name] for name in ("claims", "accuracies", "arms", "date")} == {
        name: ledger[name] for name in ("claims", "accuracies", "arms", "date")
    }
    assert bring_back(elsewhere, file, quiet) == 0  # what is there stays


def test_another_base_means_another_training(ledger, room, monkeypatch):
    monkeypatch.setattr("instit_lite.claims.room.weights_hash", lambda folder: "other")
    assert not any(is_trained(room, arm, 0) for arm in ARMS.values())
    assert len(plan(room, claims_named(["C2"]))[0][1]) == 2  # the base answers anew, too


def test_a_missing_base_is_said_with_its_cure_and_the_rest_goes_on(room, tmp_path):
    """What was measured with it counts even where it is missing; here nothing was measured yet."""
    new = replace(room, root=tmp_path)
    folder = base_folders()["earlier"][0]
    aside = folder.with_name("aside")
    os.rename(folder, aside)
    try:
        said, shown = [], []
        assert measure(new, ["C5"], jobs=1, say=said.append) == 1
        show(new, ["C5"], say=shown.append)
    finally:
        os.rename(aside, folder)
    for lines in (said, shown):
        assert any("make pretrain" in line and "earlier" in line for line in lines)
    text = (new.root / "ledger.json").read_text()
    found = json.loads(text)["claims"]
    assert [c["verdict"] for c in found] == [NOT_MEASURED] and found[0]["parts"][0]["missing"]
    assert str(folder.parent) not in text, "the repository's ledger held a path of the machine that wrote it"


def test_the_list_says_what_is_there(ledger, room):
    said = []
    show(room, ["C2"], say=said.append)
    assert any("main" in line and "1/1 there" in line for line in said)


def test_a_failed_arm_is_named(own_build):
    """A file stands where an arm's folder should be: that arm fails, the other one goes on, the exit code says so."""
    small, said = room_of("smoke", seeds=1), []
    (small.root / "base").write_text("in the way")
    try:
        assert measure(small, ["C2"], jobs=2, say=said.append) == 1
    finally:
        (small.root / "base").unlink()
    assert any(line.startswith("FAILED arm base") for line in said)
    assert is_trained(small, ARMS["main"], 0) and any("done arm main" in line for line in said)


def test_a_killed_worker_goes_on(own_build, monkeypatch):
    """Kill the process between training and the end of its answers; started again, it does only the rest."""
    small, arm = room_of("smoke", seeds=1), ARMS["main"]
    needs = needs_of(claims_named(["K2"]))["main"]
    working.build_data(small, arm, 0, say=lambda line: None)
    command = [sys.executable, "-m", "instit_lite.claims.work", "smoke", "arm", "main", "0", "K2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("answering"):
            process.kill()
            break
    process.wait()
    assert is_trained(small, arm, 0) and not is_done(small, arm, 0, needs)
    adapter = small.arm_folder(arm, 0) / "sft" / "adapter" / "adapter_card.json"
    before = adapter.stat().st_mtime_ns
    said = []
    working.train_and_answer(small, arm, 0, needs, say=said.append)
    assert adapter.stat().st_mtime_ns == before and is_done(small, arm, 0, needs)
    assert not any("step" in line for line in said)


def test_the_shares_of_direct_and_continuous_are_the_same():
    """Otherwise C5 would compare amounts of data, not their order."""
    direct, continuous, share = ARMS["direct"], ARMS["continuous"], SHARES["general"]
    assert direct.steps == continuous.general_first + continuous.steps
    total = direct.general * direct.steps
    assert total == pytest.approx(continuous.general_first + share * continuous.steps, abs=0.01)
