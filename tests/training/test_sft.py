import json
import time
from dataclasses import replace

import pytest
import torch
from several import exact

from instit_lite.errors import InstitError, PreflightError
from instit_lite.model.adapter import load_adapter
from instit_lite.model.memory import Work
from instit_lite.profiles import get_profile
from instit_lite.training.collator import Sample, collate
from instit_lite.training.forecast import plan_run
from instit_lite.training.settings import SftSettings, settings_of
from instit_lite.training.sft import FINISHED, OTHER, run_sft
from instit_lite.training.trainer import packed_loss, parameter_groups

SHORT = SftSettings(steps=4, batch=2, rank=4, nf4=False, lr=1e-2, save_every=2)


@pytest.fixture
def said():
    return []


def test_a_run_learns_logs_and_saves(new_base, mixed, tmp_path, said):
    base = new_base()
    before = {n: p.clone() for n, p in base.model.named_parameters()}
    result = run_sft(base, mixed, SHORT, tmp_path, say=said.append, steps=12, batch=4)
    assert result.losses[-1] < 0.9 * result.losses[0]
    rows = [json.loads(line) for line in result.log.read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert set(rows[0]) == {"step", "loss", "lr", "seconds", "tokens_per_second", "memory_mb"}
    assert all(50 < row["memory_mb"] < 50_000 for row in rows), "MiB of a process with torch in it"
    assert any(f"tokens/s  {rows[-1]['memory_mb']:,} MB  " in line for line in said)
    assert max(row["lr"] for row in rows) == pytest.approx(1e-2) and rows[-1]["lr"] < 1e-3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "losses.jsonl", "run.json"]
    assert any("step   12/12" in line for line in said)
    after = dict(base.model.named_parameters())
    assert after.keys() == before.keys() and all(after[n].equal(p) for n, p in before.items())


def test_the_saved_adapter_is_the_trained_model(new_base, mixed, tmp_path, said):
    result = run_sft(new_base(), mixed, SHORT, tmp_path, say=said.append)
    again = load_adapter(new_base(), result.adapter_dir)
    batch = collate(again, mixed)
    with torch.no_grad():
        assert packed_loss(again.model, batch).equal(packed_loss(result.base.model, batch))


def test_a_run_foretells_its_memory_quickly_and_measures_it(new_base, mixed, adapted, tmp_path, said):
    run_sft(new_base(), mixed, SHORT, tmp_path, say=said.append)
    (foretold,) = (line for line in said if line.startswith("plan: 2 samples"))
    (measured,) = (line for line in said if line.startswith("peak memory"))
    assert "GiB at the peak" in foretold and "predicted" in measured
    assert said.index(foretold) < said.index(measured) == len(said) - 1
    model, took = adapted().model, []
    for _ in range(5):
        began = time.process_time()
        plan_run(model, [Work(rows=1, length=50, answers=9, views=3)] * 16, 2)
        took.append(time.process_time() - began)
    assert min(took) < 0.05


def test_a_finished_run_is_loaded_not_trained(new_base, mixed, tmp_path, said):
    first = run_sft(new_base(), mixed, SHORT, tmp_path, say=said.append)
    stamp = (first.adapter_dir / "adapter_card.json").stat().st_mtime_ns
    second = run_sft(new_base(), mixed, SHORT, tmp_path, say=said.append)
    assert "finished" in said[-1]
    assert second.losses == first.losses and second.seconds == first.seconds
    assert (first.adapter_dir / "adapter_card.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("change", ["settings", "samples", "base", "resume"])
def test_another_run_starts_afresh(new_base, mixed, tmp_path, said, change):
    run_sft(new_base(), mixed, SHORT, tmp_path, say=said.append, steps=2)
    changed = {"rank": 8} if change == "settings" else {}
    samples = mixed[::-1] if change == "samples" else mixed
    base = new_base(seed=1 if change == "base" else 0)
    result = run_sft(base, samples, SHORT, tmp_path, say=said.append, steps=2, resume=change != "resume", **changed)
    assert any("takes the place" in line for line in said)
    assert len(result.losses) == 2
    assert json.loads((result.adapter_dir / "adapter_card.json").read_text())["rank"] == (8 if changed else 4)


def test_accumulation_does_not_change_the_run(new_base, mixed, tmp_path, said, monkeypatch):
    exact(monkeypatch)
    whole = run_sft(new_base(), mixed, SHORT, tmp_path / "whole", say=said.append, batch=4)
    parts = run_sft(new_base(), mixed, SHORT, tmp_path / "parts", say=said.append, batch=4, accumulate=4)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)


def test_each_kind_of_part_has_its_rate(adapted):
    settings = SftSettings(lr=1e-3, tower_lr=1e-5)
    groups = {g["name"]: g for g in parameter_groups(adapted().model, settings.rates)}
    assert {name: g["lr"] for name, g in groups.items()} == {"lora": 1e-3, "projector": 1e-3, "tower": 1e-5}
    assert len(groups["lora"]["params"]) == 2 * 7 * 2
    assert len(groups["projector"]["params"]) == 4
    assert len(groups["tower"]["params"]) == 2 * 16


def test_settings_come_from_a_profile():
    profile = get_profile("smoke")
    settings = settings_of(profile, {"steps": 7})
    assert (settings.steps, settings.batch, settings.rank) == (7, profile.sft_batch, profile.lora_rank)


def test_wrong_settings_and_samples_are_refused(base, sample, tmp_path, said):
    with pytest.raises(PreflightError, match="equal parts"):
        SftSettings(batch=4, accumulate=3)
    with pytest.raises(PreflightError, match="no packing"):
        SftSettings(packing="tight")
    with pytest.raises(PreflightError, match="no samples"):
        run_sft(base, [], SHORT, tmp_path / "none", say=said.append)
    with pytest.raises(PreflightError, match="sample 1 has no question"):
        empty = Sample(sample().frames, "image", [])
        run_sft(base, [sample(), empty], SHORT, tmp_path / "empty", say=said.append)
    assert not (tmp_path / "empty").exists()


def test_a_refused_run_leaves_the_earlier_one_alone(new_base, sample, mixed, tmp_path, said):
    first = run_sft(new_base(), mixed, SHORT, tmp_path, say=said.append, steps=2)
    with pytest.raises(PreflightError, match="positions"):
        run_sft(new_base(), [sample("image", 16)], SHORT, tmp_path, say=said.append, steps=2)
    assert run_sft(new_base(), mixed, SHORT, tmp_path, say=said.append, steps=2).losses == first.losses
    assert "finished" in said[-1]


def test_a_loss_that_is_no_number_stops_the_run(new_base, mixed, tmp_path, said):
    base = new_base()
    with torch.no_grad():
        base.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(InstitError, match="loss is nan at step 1"):
        run_sft(base, mixed, SHORT, tmp_path, say=said.append)


def test_the_options_of_the_base_belong_to_the_run(new_base, mixed, tmp_path, said):
    """They are kept in the card; a base that was loaded with others begins another run. Older runs named none."""
    own = replace(new_base(), options={"fit": "squash", "pool": "bilinear", "tiles": 4, "context": None})
    result = run_sft(own, mixed, SHORT, tmp_path, say=said.append)
    assert json.loads((result.adapter_dir / "adapter_card.json").read_text())["options"] == own.options
    run_sft(own, mixed, SHORT, tmp_path, say=said.append)
    assert said[-1].endswith(FINISHED)
    other = replace(own, options=own.options | {"fit": "crop"})
    said.clear()
    run_sft(other, mixed, SHORT, tmp_path, say=said.append)
    assert said[0].endswith(OTHER)
    noted = json.loads((tmp_path / "run.json").read_text())
    del noted["options"]
    (tmp_path / "run.json").write_text(json.dumps(noted))
    run_sft(other, mixed, SHORT, tmp_path, say=said.append)
    assert said[-1].endswith(FINISHED)
