"""A run that is killed and resumed ends where an uninterrupted one ends."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from instit_lite.training.resume import checkpoints, cut_log, damage, newest_whole_checkpoint, read_log
from instit_lite.training.settings import SftSettings
from instit_lite.training.sft import run_sft

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
def whole(new_base, mixed, tmp_path_factory):
    """The same run without interruption."""
    return run_sft(new_base(), mixed, SETTINGS, tmp_path_factory.mktemp("whole"), say=lambda line: None)


@pytest.fixture
def killed_at(new_base, mixed):
    """Run until after a step, then die; checkpoints of steps 2 and 4 are left when killed after
    step 5.
    """

    def kill(folder, step=5):
        with pytest.raises(Killed):
            run_sft(new_base(), mixed, SETTINGS, folder, say=lambda line: None, callbacks=[KillAfter(step)])
        return folder

    return kill


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def weights(folder):
    return load_file(folder / "adapter_model.safetensors") | load_file(folder / "trained_modules.safetensors")


@pytest.mark.parametrize("broken", [None, "optimizer.pt", "adapter_model.safetensors", "trainer_state.json"])
def test_resumed_equals_uninterrupted(new_base, mixed, tmp_path, killed_at, whole, broken):
    folder, said = killed_at(tmp_path), []
    assert [c.name for c in checkpoints(folder)] == ["checkpoint-4", "checkpoint-2"]
    if broken:
        truncate(folder / "checkpoint-4" / broken)
    resumed = run_sft(new_base(), mixed, SETTINGS, folder, say=said.append)
    assert any(f"going on after step {2 if broken else 4}" in line for line in said)
    assert any("checkpoint-4 is ignored" in line for line in said) == bool(broken)
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6)
    expected, found = weights(whole.adapter_dir), weights(resumed.adapter_dir)
    assert expected.keys() == found.keys()
    assert all(torch.allclose(found[name], tensor, atol=1e-6) for name, tensor in expected.items())


def test_killed_before_the_first_checkpoint(new_base, mixed, tmp_path, killed_at, whole):
    folder = killed_at(tmp_path, step=1)
    assert newest_whole_checkpoint(folder) == (None, [])
    (folder / ".checkpoint-2.1.part").mkdir()
    result = run_sft(new_base(), mixed, SETTINGS, folder, say=lambda line: None)
    assert result.losses == pytest.approx(whole.losses, abs=1e-6)
    assert sorted(p.name for p in folder.iterdir()) == ["adapter", "losses.jsonl", "run.json"]


def test_only_whole_checkpoints_count(tmp_path, killed_at):
    checkpoint = killed_at(tmp_path) / "checkpoint-4"
    assert damage(checkpoint) == ""
    needed = {p.name for p in checkpoint.iterdir()} - {"adapter_config.json"}  # that one is for other peft tools
    assert len(needed) == 7
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


def test_the_log_is_cut_back_to_the_checkpoint(tmp_path):
    path = tmp_path / "losses.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    assert [row["step"] for row in read_log(path)] == [1, 2, 3]
    assert [row["step"] for row in cut_log(path, 2)] == [1, 2]
    assert [row["step"] for row in read_log(path)] == [1, 2]
