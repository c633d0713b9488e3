"""The benchmarks run, measure the same training in every way, and write what they found."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside_the_benchmarks(monkeypatch):
    """The benchmarks import one another as scripts do."""
    monkeypatch.syspath_prepend(str(HERE))
    yield
    for name in [n for n, m in sys.modules.items() if str(HERE) == str(Path(getattr(m, "__file__", "") or "").parent)]:
        del sys.modules[name]


def load(name):
    return importlib.import_module(name)


@pytest.fixture
def toy():
    """A toy model of a shape, with LoRA that is not zero, and two clips for it."""
    arms, shapes, qlora = load("_arms"), load("_shapes"), load("instit_lite.model.qlora")

    def make(name="vicuna"):
        torch.manual_seed(0)
        model = qlora.attach_qlora(shapes.build(shapes.shape(name, toy=True)), qlora.QLora(4, nf4=False))
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "lora_B" in parameter_name:
                    parameter.normal_(0, 0.1)
        return model, [arms.made_clip(model, 3, [9, 7, 9, 12], seed, start=5) for seed in range(2)]

    return make


def step_gradients(arms, toy, name="vicuna", **arm):
    model, clips = toy(name)
    return arms.Running(model, clips, arms.Arm("tested", **arm)).gradients()


@pytest.mark.parametrize("name", ["vicuna", "qwen2"])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_step_over_packed_clips_has_the_gradients_of_one_question_per_sample(toy, name, checkpoint):
    arms = load("_arms")
    single = step_gradients(arms, toy, name, packing="one_per_sample", at_once=4)
    packed = step_gradients(arms, toy, name, checkpoint=checkpoint)
    assert len(single) > 40
    assert arms.difference(packed, single) < 1e-5


def test_multi_turn_has_other_gradients(toy):
    arms = load("_arms")
    single = step_gradients(arms, toy, packing="one_per_sample", at_once=4)
    assert arms.difference(step_gradients(arms, toy, packing="multi_turn"), single) > 1e-2


@pytest.mark.parametrize("checkpoint", [False, True])
def test_gradients_are_those_of_trl(toy, checkpoint):
    pytest.importorskip("trl")
    arms = load("_arms")
    theirs = step_gradients(arms, toy, packing="one_per_sample", trl=True, checkpoint=checkpoint, at_once=4)
    assert arms.difference(step_gradients(arms, toy), theirs) < 1e-5


def test_a_model_built_layer_by_layer_is_whole_and_in_nf4():
    pytest.importorskip("bitsandbytes")
    shapes, nf4 = load("_shapes"), load("instit_lite.model.nf4")
    model = shapes.build(shapes.shape("qwen2", toy=True), nf4=True)
    assert not any(t.is_meta for t in [*model.parameters(), *model.buffers()])
    counts = nf4.count_linears(model)
    assert counts["language"] == {"nf4": 14, "full": 0, "lora": 0} and counts["tower"]["nf4"] == 0
    stock = type(model)(model.config)
    for name, buffer in stock.named_buffers():
        assert torch.equal(buffer, model.get_buffer(name)), name
    assert torch.equal(stock.model.language_model.norm.weight, model.model.language_model.norm.weight)


def test_the_7b_shapes_are_those_of_the_paper():
    shapes, classes = load("_shapes"), load("instit_lite.model.load").CLASSES
    for name, (linears, tokens) in {"vicuna": (6.476e9, 144), "qwen2": (6.525e9, 196)}.items():
        config = shapes.shape(name)
        with torch.device("meta"):
            model = classes[config.model_type](config)
        layers = model.model.language_model.layers
        counted = sum(m.weight.numel() for m in layers.modules() if isinstance(m, torch.nn.Linear))
        assert counted == pytest.approx(linears, rel=1e-3)
        assert load("instit_lite.model.visual").tokens_per_frame(model, pooled=True) == tokens


def test_the_gpu_script_runs_at_toy_shapes(tmp_path, capsys):
    pytest.importorskip("bitsandbytes")
    out, results = tmp_path / "gpu.jsonl", tmp_path / "RESULTS.md"
    assert load("gpu").main(["--toy", "--models", "qwen2", "--out", str(out), "--results", str(results)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 9 and all(row["tokens/s"] > 0 for row in rows)
    assert {row["tokens"] for row in rows if "epoch" not in row["line"]} == {160}
    assert "the paper's freezing" in results.read_text(encoding="utf-8")
    assert "not judged: qwen2: peak reserved <= 12 GiB" in capsys.readouterr().out


def test_bars_are_judged_by_what_was_measured():
    gpu = load("gpu")
    line = {"model": "vicuna", "cap GiB": 10.0, "tokens": 6144, "tokens/s": 12e3, "plan off %": -20.0}
    lean = line | {"line": "32 frames bilinear, frozen tower, checkpointing", "peak GiB": 9.5}
    ours = {"model": "vicuna", "line": "epoch", "way": "ours", "ratio": 6.5, "cap GiB": None}
    assert [verdict for _, verdict in gpu.bars([lean, ours], "NVIDIA H200")] == [True, True, True, False]
    burst = lean | {"line": lean["line"] + ": out of memory", "peak GiB": None}
    assert [verdict for _, verdict in gpu.bars([burst, ours], "Tesla T4")][:2] == [False, None]


def test_the_tower_is_in_the_graph_only_where_hooks_pull_it_in():
    rows = {row[0]: row for row in load("tower").tower_table(1)["rows"]}
    assert rows["in the graph"][4] > rows["out of the graph"][4]
    assert all(float(row[-1]) < 1e-5 for row in rows.values())


def test_losses_agree():
    rows = load("losses").loss_table(1, vocabulary=1000)["rows"]
    assert all(float(loss) < 1e-5 and float(gradient) < 1e-5 for *_, loss, gradient in rows)
