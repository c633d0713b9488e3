"""Two real processes train what one trains: the same losses, the same adapter, one log."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from safetensors.torch import load_file

from instit_lite.errors import PreflightError
from instit_lite.profiles import read_lines
from instit_lite.training.order import BLANK, Order
from instit_lite.training.processes import Processes, processes, share
from instit_lite.training.resume import checkpoints, read_seal
from instit_lite.training.sft import run_sft

sys.path.append(str(Path(__file__).parent))
from several import PLAIN, RUNS, base, exact, samples  # noqa: E402

ALONE = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
PAGE = Path(__file__).parents[2] / "docs" / "several-gpus.md"


@pytest.fixture(scope="module", autouse=True)
def exactly():
    with pytest.MonkeyPatch.context() as patch:
        exact(patch)
        yield


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes made the runs, and what both said.

    The launcher is that of several GPUs; without a GPU its two processes compute on CPUs.
    """
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu",
               "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--main_process_port", "0",
               str(Path(__file__).parent / "several.py"), str(folder)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=ALONE)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The same runs, each by one process and without a kill."""
    folder = tmp_path_factory.mktemp("one")
    return {name: run_sft(base(), samples(), settings, folder / name, say=lambda line: None)
            for name, settings in RUNS.items() if name != "resumed"}  # fmt: skip


def weights(folder):
    return load_file(folder / "adapter_model.safetensors") | load_file(folder / "trained_modules.safetensors")


def assert_equal(folder, expected):
    rows = read_lines(folder / "losses.jsonl")
    assert [row["step"] for row in rows] == list(range(1, len(expected.losses) + 1)), "one line a step"
    assert [row["loss"] for row in rows] == pytest.approx(expected.losses, abs=5e-6)
    ours, theirs = weights(folder / "adapter"), weights(expected.adapter_dir)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, atol=1e-4), name


@pytest.mark.parametrize("name, like", [("plain", "plain"), ("parts", "parts"), ("resumed", "plain")])
def test_two_processes_train_what_one_does(two, one, name, like):
    assert_equal(two[0] / name, one[like])
    assert sorted(p.name for p in (two[0] / name).iterdir()) == ["adapter", "losses.jsonl", "run.json"]


def test_one_process_speaks_and_counts_the_tokens_of_both(two, one):
    said = two[1].splitlines()
    assert sum("plain: a new run" in line for line in said) == 1
    assert sum("  step    5/5  loss" in line for line in said) == 2, "of plain and resumed"
    assert sum("plan: 2 samples at a time" in line for line in said) == 2
    assert sum("going on after step 3: checkpoint-3 is whole" in line for line in said) == 1
    assert sum("plan: 1 samples at a time" in line for line in said) == 1, "parts: two at a time between them"


def test_a_run_of_two_goes_on_with_one(two, one):
    """What counts is the batch, not how many share it."""
    folder, said = two[0] / "killed", []
    assert read_seal(checkpoints(folder)[0])["processes"] == 2
    run_sft(base(), samples(), PLAIN, folder, say=said.append)
    (line,) = (line for line in said if "going on after step 3" in line)
    assert "(by 2 processes, now 1)" in line
    assert_equal(folder, one["plain"])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_was_killed_outright_ends_where_it_would_have(one, tmp_path):
    command = [sys.executable, str(Path(__file__).parent / "several.py"), str(tmp_path), "outright"]
    done = subprocess.run(command, capture_output=True, timeout=900, env=ALONE)
    assert done.returncode == -signal.SIGKILL and not (tmp_path / "adapter").exists()
    resumed = run_sft(base(), samples(), PLAIN, tmp_path, say=lambda line: None)
    assert resumed.losses == pytest.approx(one["plain"].losses, abs=1e-6)
    ours, theirs = weights(resumed.adapter_dir), weights(one["plain"].adapter_dir)
    assert all(torch.allclose(ours[name], tensor, atol=1e-6) for name, tensor in theirs.items())


def test_no_launcher_no_team(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert processes() == Processes(1, 0, 0) and processes().main and processes().place == {}


@pytest.mark.parametrize("name, what", [("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")])
def test_sharded_weights_are_refused_before_anything_starts(monkeypatch, tmp_path, name, what):
    monkeypatch.setenv(name, "true")
    with pytest.raises(PreflightError, match=f"{what} shards the weights.*several-gpus.md"):
        run_sft(base(), samples(), PLAIN, tmp_path / "out", say=lambda line: None)
    assert not (tmp_path / "out").exists()


def block(language):
    """The code of a language in the page on several GPUs."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


def test_the_documented_recipe_is_read_and_trains_in_one_process(tmp_path, monkeypatch):
    pytest.importorskip("bitsandbytes")
    (tmp_path / "fsdp.yaml").write_text(block("yaml"))
    config = load_config_from_file(str(tmp_path / "fsdp.yaml"))
    options = vars(launch_command_parser().parse_args(["large.py"]))
    assert config.num_processes == 8 and set(config.fsdp_config) <= options.keys()
    monkeypatch.chdir(tmp_path)
    recipe = block("python").replace("max_steps=steps", 'max_steps=1, use_cpu=True, save_strategy="no"')
    made = {"name": "micro", "samples": samples()[:2]}
    exec(recipe, made)
    learned = [p for name, p in made["model"].named_parameters() if "lora_B" in name]
    assert learned and all(p.dtype == torch.bfloat16 and p.any() for p in learned), "they begin at zero"


@pytest.mark.parametrize("batch, accumulate, count, dealt", [
    (16, 1, 1, (16, 1)), (16, 16, 1, (1, 16)), (16, 1, 2, (8, 1)), (16, 16, 8, (1, 2)), (16, 4, 8, (2, 1)),
    (12, 3, 2, (3, 2)),
])  # fmt: skip
def test_a_batch_is_dealt_evenly_and_never_larger_at_a_time(batch, accumulate, count, dealt):
    at_once, times = share(batch, accumulate, count)
    assert (at_once, times) == dealt
    assert at_once * times * count == batch and at_once <= batch // accumulate


def test_a_batch_that_cannot_be_dealt():
    with pytest.raises(PreflightError, match="batch of 16 .* 3 processes.*divides `batch`"):
        share(16, 1, 3)


@pytest.mark.parametrize("n, batch, at_once, count", [(7, 4, 4, 1), (7, 4, 2, 2), (7, 4, 1, 2), (3, 8, 2, 4)])
def test_the_order_takes_every_sample_once_a_pass_and_knows_the_next(n, batch, at_once, count):
    order = Order(n, 3, batch, at_once, count)
    for number in (0, 1):
        order.set_epoch(number)
        taken = list(order)
        assert sorted(i for i in taken if i != BLANK) == list(range(n))
        assert len(taken) == len(order) and len(order) % (at_once * count if count > 1 else 1) == 0
        steps = -(-n // batch)
        for step in range(steps):
            for process in range(count):
                place = step * batch + process * at_once
                expected = taken[place] if place < len(taken) else BLANK
                assert order.next(number * steps + step, process) == expected
    assert Order(30, 3, 4, 4).shuffled(0) != Order(30, 3, 4, 4).shuffled(1) != Order(30, 4, 4, 4).shuffled(1)
