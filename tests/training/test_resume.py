"""A run that is killed and resumed ends where an uninterrupted one ends."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from instit_lite.errors import ModelError
from instit_lite.profiles import read_lines
from instit_lite.training import sft
from instit_lite.training.resume import PART, checkpoints, cut_log, damage, newest_whole_checkpoint, read_seal
from instit_lite.training.settings import SftSettings
from instit_lite.training.sft import run_sft
from instit_lite.training.trainer import SftTrainer

SETTINGS = SftSettings(steps=8, batch=2, rank=4, lr=1e-2, save_every=2, nf4=False)


class Killed(Exception):
    pass


class KillAfter(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Killed


@pytest.fixture(scope="module")
def five(mixed, sample):
    """Samples for three steps a pass, so that steps 2 and 4 lie within one."""
    return [*mixed, sample("image", 1, 4, 7)]


@pytest.fixture(scope="module")
def whole(new_base, five, tmp_path_factory):
    """The same run without interruption."""
    return run_sft(new_base(), five, SETTINGS, tmp_path_factory.mktemp("whole"), say=lambda line: None)


@pytest.fixture
def killed_at(new_base, five):
    """Run until after a step, then die; checkpoints of steps 2 and 4 are left when killed after
    step 5.
    """

    def kill(folder, step=5):
        with pytest.raises(Killed):
            run_sft(new_base(), five, SETTINGS, folder, say=lambda line: None, callbacks=[KillAfter(step)])
        return folder

    return kill


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def weights(folder):
    return load_file(folder / "adapter_model.safetensors") | load_file(folder / "trained_modules.safetensors")


@pytest.mark.parametrize("broken", [None, "optimizer.pt", "adapter_model.safetensors", "seal.json"])
def test_resumed_equals_uninterrupted(new_base, five, tmp_path, killed_at, whole, broken):
    folder, said = killed_at(tmp_path), []
    assert [c.name for c in checkpoints(folder)] == ["checkpoint-4", "checkpoint-2"]
    if broken:
        truncate(folder / "checkpoint-4" / broken)
    resumed = run_sft(new_base(), five, SETTINGS, folder, say=said.append)
    assert any(f"going on after step {2 if broken else 4}" in line for line in said)
    assert any("checkpoint-4 is ignored" in line for line in said) == bool(broken)
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6)
    expected, found = weights(whole.adapter_dir), weights(resumed.adapter_dir)
    assert expected.keys() == found.keys()
    assert all(torch.allclose(found[name], tensor, atol=1e-6) for name, tensor in expected.items())


def test_one_line_says_what_was_found_again(new_base, five, tmp_path, killed_at):
    folder, said = killed_at(tmp_path), []
    found = read_seal(folder / "checkpoint-4")["standing"]
    run_sft(new_base(), five, SETTINGS, folder, say=said.append)
    (line,) = (line for line in said if "going on after" in line)
    assert line.startswith("  going on after step 4: checkpoint-4 is whole")
    assert f"adapter {found['adapter']}, optimiser after 4 steps" in line
    order = torch.randperm(5, generator=torch.Generator().manual_seed(SETTINGS.seed + 1)).tolist()
    assert f"next: sample {order[2]} of pass 2" in line, "a step of pass 2 is done: two samples"
    rate = read_lines(folder / "losses.jsonl")[4]["lr"]
    assert float(re.search("learning rate (.*)", line)[1]) == pytest.approx(rate, 0.01)


def skipping_nothing(*args, usual=sft.training_arguments):
    args = usual(*args)
    args.ignore_data_skip = True
    return args


@pytest.mark.parametrize("place, name, broken, what", [
    (SftTrainer, "_load_from_checkpoint", lambda *args: None, "adapter"),
    (SftTrainer, "_load_optimizer_and_scheduler", lambda *args: None, "optimiser"),
    (sft, "training_arguments", skipping_nothing, "next sample"),
])  # fmt: skip
def test_a_run_that_did_not_find_its_state_again_is_refused(
    new_base, five, tmp_path, killed_at, monkeypatch, place, name, broken, what
):
    folder = killed_at(tmp_path)
    rows = read_lines(folder / "losses.jsonl")
    monkeypatch.setattr(place, name, broken)
    with pytest.raises(ModelError, match=f"checkpoint-4: .* its {what} is .*resume=False"):
        run_sft(new_base(), five, SETTINGS, folder, say=lambda line: None)
    assert read_lines(folder / "losses.jsonl")[:4] == rows[:4]


def test_files_of_two_checkpoints_are_not_mixed(new_base, five, tmp_path, killed_at):
    folder, said = killed_at(tmp_path), []
    for name in ("optimizer.pt", "scheduler.pt"):
        shutil.copy(folder / "checkpoint-2" / name, folder / "checkpoint-4" / name)
    run_sft(new_base(), five, SETTINGS, folder, say=said.append)
    assert "  checkpoint-4 is ignored: optimizer.pt, scheduler.pt missing or damaged" in said
    assert any("going on after step 2" in line for line in said)


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    new_base, five, tmp_path, killed_at, whole
):
    def die(self, folder):
        if folder.endswith("-4"):
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SftTrainer, "_save_rng_state", die)
        killed_at(tmp_path, step=99)
    assert (tmp_path / PART / "checkpoint-4" / "optimizer.pt").exists(), "half of one"
    assert [c.name for c in checkpoints(tmp_path)] == ["checkpoint-2"]
    resumed = run_sft(new_base(), five, SETTINGS, tmp_path, say=lambda line: None)
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "losses.jsonl", "run.json"]


def test_killed_before_the_first_checkpoint(new_base, five, tmp_path, killed_at, whole):
    folder = killed_at(tmp_path, step=1)
    assert newest_whole_checkpoint(folder) == (None, [])
    (folder / ".checkpoint-2.1.part").mkdir()
    result = run_sft(new_base(), five, SETTINGS, folder, say=lambda line: None)
    assert result.losses == pytest.approx(whole.losses, abs=1e-6)
    assert sorted(p.name for p in folder.iterdir()) == ["adapter", "losses.jsonl", "run.json"]


def test_only_whole_checkpoints_count(tmp_path, killed_at):
    checkpoint = killed_at(tmp_path) / "checkpoint-4"
    assert damage(checkpoint) == ""
    needed = {p.name for p in checkpoint.iterdir()}
    assert len(needed) == 9 and {"optimizer.pt", "scheduler.pt", "trainer_state.json"} < needed
    for name in needed:
        copy = tmp_path / name / "checkpoint-4"
        shutil.copytree(checkpoint, copy)
        truncate(copy / name)
        assert damage(copy), name
        (copy / name).unlink()
        assert damage(copy), name
    moved = tmp_path / "moved" / "checkpoint-6"
    shutil.copytree(checkpoint, moved)
    assert "step 4" in damage(moved)
    (checkpoint / "seal.json").write_text(json.dumps({"files": {}}))
    assert "seal.json cannot be read" in damage(checkpoint)


def test_the_log_is_cut_back_to_the_checkpoint(tmp_path):
    path = tmp_path / "losses.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    assert [row["step"] for row in read_lines(path)] == [1, 2, 3]
    assert [row["step"] for row in cut_log(path, 2)] == [1, 2]
    assert [row["step"] for row in read_lines(path)] == [1, 2]
