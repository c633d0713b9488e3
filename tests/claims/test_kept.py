"""Scores kept in the repository count only where they are the same; that all come back is in `test_room`."""

import json
from dataclasses import replace

import pytest

from instit_lite.claims import run
from instit_lite.claims import work as working
from instit_lite.claims.arms import ARMS, base_folders
from instit_lite.claims.kept import bring_back, hash_of, keep
from instit_lite.claims.room import Room, claims_named, is_done, is_trained, needs_of, read_cost
from instit_lite.claims.run import measure_here
from instit_lite.claims.verdict import NOT_MEASURED
from instit_lite.claims.views import facts_of, items_of

NAMES = ["C2", "C8", "C9", "K1", "K2", "K7"]  # enough of all kinds: a trained arm, a base, costs, a view, a control
CLAIMS = claims_named(NAMES)


def quiet(line):
    pass


@pytest.fixture(scope="module")
def ledger(room):
    return measure_here(room, NAMES, quiet)


@pytest.fixture(scope="module")
def file(ledger, room, tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "scores.json"
    keep(room, path)
    return path


@pytest.fixture
def elsewhere(room, tmp_path):
    return replace(room, root=tmp_path / "elsewhere")


def only(file, tmp_path, *names):
    """The file with these runs only: drawing every bench anew takes long."""
    kept = json.loads(file.read_text())
    kept["runs"] = {name: kept["runs"][name] for name in names}
    path = tmp_path / "some.json"
    path.write_text(json.dumps(kept))
    return path


def test_what_is_kept_of_other_arms_stays(room, elsewhere, file, tmp_path):
    path = only(file, tmp_path, "main 0", "base 0")
    before = json.loads(path.read_text())["runs"]
    keep(elsewhere, path)
    assert json.loads(path.read_text())["runs"] == before


def test_a_training_of_another_length_stays_out(room, elsewhere, file, tmp_path):
    longer = replace(elsewhere, profile=replace(room.profile, sft_steps=3))
    assert bring_back(longer, only(file, tmp_path, "main 0"), quiet) == 0
    assert not is_trained(longer, ARMS["main"], 0)


def test_a_base_that_is_not_here_is_not_compared(room, elsewhere, file, tmp_path, monkeypatch):
    """The large base takes hours: its scores must count on a machine that has not made it."""
    monkeypatch.setattr("instit_lite.claims.room.missing_base", lambda arm: "missing" if arm.base == "large" else "")
    monkeypatch.setattr("instit_lite.claims.room.weights_hash", lambda folder: "other")
    assert bring_back(elsewhere, only(file, tmp_path, "large 0", "main 0"), quiet) == 1
    assert is_trained(elsewhere, ARMS["large"], 0) and not is_trained(elsewhere, ARMS["main"], 0)
    assert base_folders()["large"]


def test_scores_of_other_items_stay_out(room, elsewhere, file, tmp_path):
    kept = json.loads(only(file, tmp_path, "base 0").read_text())
    kept["runs"]["base 0"]["scores"]["marked image"]["items"] = "others"
    path, said = tmp_path / "changed.json", []
    path.write_text(json.dumps(kept))
    bring_back(elsewhere, path, said.append)
    assert any("marked image" in line and "changed" in line for line in said)
    needs = {"marked video": {"open"}, "marked image": {"open"}}
    done = [is_done(elsewhere, ARMS["base"], 0, {tuple(n.split()): f}) for n, f in needs.items()]
    assert done == [True, False]


def test_a_kill_on_the_way_back_loses_nothing(elsewhere, file, tmp_path):
    """A run of which only the first scores had come back was taken for whole, and its claims for not measured."""
    path, said = only(file, tmp_path, "base 0"), []

    def killed(line):
        said.append(line)
        if len(said) == 3:  # the first scores are there, the second are being drawn
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring_back(elsewhere, path, killed)
    needs = needs_of(CLAIMS)["base"]
    assert not is_done(elsewhere, ARMS["base"], 0, needs)
    assert bring_back(elsewhere, path, quiet) == 1 and is_done(elsewhere, ARMS["base"], 0, needs)


def test_a_pixel_that_another_processor_rounds_otherwise_keeps_the_scores(room):
    """Sines differ in their last digit between processors: whole ledgers were left out for a pixel."""
    items = items_of("marked", "image", room.profile)
    before = facts_of("marked", "image", items, room.profile)
    pixels = items[0].frames.copy()
    pixels.flat[0] ^= 1
    flipped = facts_of("marked", "image", [replace(items[0], frames=pixels), *items[1:]], room.profile)
    other = facts_of("marked", "image", [replace(items[0], answer="nothing"), *items[1:]], room.profile)
    assert hash_of(before) == hash_of(flipped) != hash_of(other)
    assert before[0]["item"] != flipped[0]["item"]


def test_an_arm_without_its_adapter_is_trained_anew_where_more_is_asked(room, elsewhere, file, tmp_path):
    bring_back(elsewhere, only(file, tmp_path, "multi_turn 0"), quiet)
    arm, needs = ARMS["multi_turn"], {("bare", "image"): {"open"}}
    working.build_data(elsewhere, arm, 0, quiet)
    working.train_and_answer(elsewhere, arm, 0, needs, quiet)
    assert is_done(elsewhere, arm, 0, needs) and (elsewhere.arm_folder(arm, 0) / "sft" / "adapter").exists()
    assert not is_done(elsewhere, arm, 0, needs_of(CLAIMS)["multi_turn"])


def test_a_cost_of_another_recipe_stays_out(room, elsewhere, file, tmp_path):
    """Costs came back without their recipe being asked for."""
    path = only(file, tmp_path, "base 0")
    bring_back(elsewhere, path, quiet)
    assert read_cost(elsewhere, ARMS["main"], 0)["tokens"] < read_cost(elsewhere, ARMS["unpooled"], 0)["tokens"]
    kept = json.loads(path.read_text())
    kept["costs"]["main-0"]["identity"]["data"] = "older"
    path.write_text(json.dumps(kept))
    fresh = replace(elsewhere, root=tmp_path / "fresh")
    bring_back(fresh, path, quiet)
    assert not read_cost(fresh, ARMS["main"], 0) and read_cost(fresh, ARMS["unpooled"], 0)


def test_measuring_one_claim_leaves_the_others_in_the_ledger(room, tmp_path, monkeypatch):
    """Somebody measures C2 on a fresh checkout: the repository's ledger keeps what the repository knew."""
    named = Room(replace(room.profile, name="tiny"), tmp_path / "room", seeds=1)
    file = tmp_path / "scores.json"
    measure_here(named, ["C1", "K1"], quiet)
    keep(named, file)
    monkeypatch.setattr(run, "scores_file", lambda profile: file)
    monkeypatch.setattr(run, "repository_ledger", lambda profile: tmp_path / "ledger.json")
    monkeypatch.setattr(run, "write_table", lambda path: None)
    monkeypatch.setattr(run, "SEEDS", {"micro": 1})
    fresh = replace(named, root=tmp_path / "fresh")
    assert [c["id"] for c in run.record(fresh, claims_named(["C2"]), quiet)["claims"]] == ["C2"]
    kept = {c["id"]: c["verdict"] for c in json.loads((tmp_path / "ledger.json").read_text())["claims"]}
    assert NOT_MEASURED not in (kept["C1"], kept["K1"]) and kept["C5"] == NOT_MEASURED
