"""Plans: against the tables of the design, against tensors really alive, against the collator's own tokens."""

import weakref
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from instit_lite import cli
from instit_lite.errors import ModelError, PreflightError
from instit_lite.model.cards import CARDS, USABLE, Card, card_of
from instit_lite.model.flops import step_flops
from instit_lite.model.load import load_base
from instit_lite.model.memory import LAYER, LOGITS, WEIGHTS, Work, count, memory_lines, nf4_bytes, peak_of
from instit_lite.model.nf4 import import_bitsandbytes, is_nf4, linears
from instit_lite.model.qlora import QLora, attach_qlora
from instit_lite.model.shapes import QWEN, VICUNA, meta_model
from instit_lite.training import plan as planning
from instit_lite.training.collator import PACKINGS, Sample, batch_of, encode
from instit_lite.training.forecast import Forecast, plan_run
from instit_lite.training.plan import Request, choose, clip_work, count_request, joined, nearest, plan_text, work_of
from instit_lite.training.trainer import packed_loss

GIB = 2**30
WORST = Work(rows=1, length=6144, answers=300, views=32)  # the tables' step: 32 frames in a context of 6,144
needs_nf4 = pytest.mark.skipif(import_bitsandbytes() is None, reason="no bitsandbytes here")
counted = cache(count_request)
MICRO = Request("micro", frames=4, context=1024, rank=4, qas=3, qa_tokens=12, answer_tokens=4)


def true_shape(name, frozen):
    return counted(Request(name, frames=1, pool="average", frozen_layers=frozen), CARDS["a100"])


# Tables 6.2 and 6.3 of the design's training facts, GiB and TFLOP: frozen encoder, every layer checkpointed.
TABLES = {
    VICUNA: {"nf4": 3.11, "words": 0.49, "encoder": 0.56, "boundaries": 1.50, "layer": 1.6, "peak": 8.8,
             "forward": 89.5, "step": 283, "encoder forward": 12.2, "best": 206, "later": 218},
    QWEN: {"nf4": 3.14, "words": 2.03, "encoder": 0.77, "boundaries": 1.15, "layer": 1.9, "peak": 10.8,
           "forward": 87.8, "step": 275, "encoder forward": 21.3, "best": 209, "later": 232},
}  # fmt: skip


@needs_nf4
@pytest.mark.parametrize("name", TABLES)
def test_true_shapes_agree_with_the_tables(name):
    table, shape = TABLES[name], true_shape(name, 99)
    lines = memory_lines(shape, WORST, width=2, every=1)
    assert (lines["language model"] + lines["quantisation constants"]) / GIB == pytest.approx(table["nf4"], rel=0.01)
    assert lines["embeddings, head, norms"] / GIB == pytest.approx(table["words"], rel=0.01)
    assert lines["encoder"] / GIB == pytest.approx(table["encoder"], rel=0.05)  # 26 SigLIP layers, there 27
    assert lines["language model: activations"] / GIB == pytest.approx(table["boundaries"], rel=0.01)
    assert lines[LAYER] / GIB == pytest.approx(table["layer"], rel=0.3)  # the table's own tolerance
    assert peak_of(lines) / GIB == pytest.approx(table["peak"], rel=0.15)
    work = {part: flops / 1e12 for part, flops in step_flops(shape, WORST, every=1).items()}
    language = [flops for part, flops in work.items() if part.startswith("language model")]
    assert language[0] == pytest.approx(table["forward"], rel=0.01)
    assert sum(language) == pytest.approx(table["step"], rel=0.01)
    assert work["encoder, forward"] == pytest.approx(table["encoder forward"], rel=0.05)
    assert sum(step_flops(shape, WORST).values()) / 1e12 == pytest.approx(table["best"], rel=0.02)
    assert true_shape(name, None).later == {VICUNA: 11, QWEN: 14}[name], "CLIP's last layer is not used"
    later = true_shape(name, 12)
    assert sum(step_flops(later, WORST).values()) / 1e12 == pytest.approx(table["later"], rel=0.02)
    dearer = memory_lines(later, WORST, width=2, every=1)
    assert dearer["later encoder layers: gradients, states"] == 3 * later.encoder.trained > 0
    assert lines["later encoder layers: gradients, states"] == lines["later encoder layers: activations"] == 0


@needs_nf4
def test_weights_are_those_of_a_really_quantised_model():
    shape = attach_qlora(meta_model("micro", dtype=torch.float32, pool="bilinear", context=1024), QLora(rank=4))
    real = attach_qlora(load_base("micro").model, QLora(rank=4))
    assert replace(count(real), config=None) == replace(count(shape), config=None)
    stored = constants = 0
    for weight in (layer.weight for *_, layer in linears(real) if is_nf4(layer)):
        state = weight.quant_state
        own = (state.absmax, state.state2.absmax, state.code, state.offset)  # state2.code is one table for all
        assert nf4_bytes(state.shape.numel()) == (weight.nbytes, sum(tensor.nbytes for tensor in own))
        stored, constants = stored + weight.nbytes, constants + sum(tensor.nbytes for tensor in own)
    norms = sum(p.nbytes for n, p in real.named_parameters() if "language_model.layers" in n and "layernorm" in n)
    assert (count(real).language.weights, count(real).language.constants) == (stored + norms, constants)


def samples(n, frames=4, turns=3):
    rng = np.random.default_rng(0)
    asked = [("what colour is [1]?", "red"), ("where is [2]?", "at the bottom left"), ("what is [3]?", "a star")]
    return [Sample(rng.integers(0, 256, (frames, 64, 64, 3), np.uint8), "video", asked[:turns]) for _ in range(n)]


@pytest.mark.parametrize("packing", PACKINGS)
def test_tokens_are_the_collators(packing, monkeypatch):
    base = load_base("micro")
    mixed = [encode(base, s, packing) for s in (*samples(2), *samples(1, 2, 1), Sample(None, "text", [("a?", "b")]))]
    batch = batch_of(mixed, 0, packing)
    work = joined([work_of(sample, packing) for sample in mixed])
    assert (work.rows, work.length) == tuple(batch["input_ids"].shape)
    assert (work.answers, work.views) == (int((batch["labels"] != -100).sum()), len(batch["video_pixels"]))
    alike = encode(base, replace(samples(1)[0], turns=[("what is [1]?", "red")] * 3), packing)
    monkeypatch.setitem(planning.START, "llama", len(alike.prefix) - 4 * 16)
    tokens, answer = len(alike.branches[0].ids), len(alike.branches[0].labels()) - alike.branches[0].answer_start
    request = replace(MICRO, packing=packing, qa_tokens=tokens, answer_tokens=answer)
    assert clip_work(counted(MICRO, CARDS["t4"]), request) == work_of(alike, packing)


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive; `peak` is the most there ever were."""

    def __init__(self, known):
        super().__init__()
        self.now = self.peak = 0
        self.seen = weakref.WeakKeyDictionary({tensor.untyped_storage(): 0 for tensor in known})

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self.seen:
                self.seen[storage] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self.gone, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def gone(self, size):
        self.now -= size


@pytest.mark.parametrize("every", [0, 1, 2])
@pytest.mark.parametrize("width, attention", [(4, "eager"), (4, "sdpa"), (2, "sdpa")])
def test_activations_are_those_really_alive(width, attention, every):
    base = load_base("micro", dtype=torch.bfloat16 if width == 2 else None, attn_implementation=attention)
    # In 16 bits with a frozen encoder: a CPU's autocast computes its norms in other types than CUDA's.
    model = attach_qlora(base.model, QLora(rank=4, nf4=False, frozen_layers=99 if width == 2 else None)).train()
    if every:
        base.model.activation_checkpointing_enable(every_n_layers=every)
        base.model.disable_input_require_grads()
    encoded = [encode(base, sample) for sample in samples(16)]
    batch = batch_of(encoded, 0)
    plan = plan_run(model, [work_of(sample, "shared_prefix") for sample in encoded], 16)
    assert plan.every == every
    lines = memory_lines(count(model), plan.work, width=width, every=every, gpu=False)
    given = sum(tensor.nbytes for tensor in batch.values())
    with Alive([*model.parameters(), *model.buffers(), *batch.values()]) as alive:
        with torch.autocast("cpu", torch.bfloat16, enabled=width == 2):
            loss = packed_loss(model, batch)
        loss.backward()
    states = lines["optimiser states"] + lines["later encoder layers: gradients, states"] * 2 // 3
    predicted = peak_of(lines) - sum(lines[name] for name in WEIGHTS) - states
    assert alive.peak + given == pytest.approx(predicted, rel=0.1)


def test_32_frames_of_siglip_are_refused_with_the_ways_out():
    with pytest.raises(PreflightError, match="6,377 positions, the model has 6,144") as refused:
        count_request(Request(QWEN), CARDS["h100"])
    for way in ("30 of 32 fit", "13 x 13", 'pool="average"', "context=7168"):
        assert way in refused.value.cure
    assert counted(Request(QWEN, pool="average"), CARDS["h100"]).pooled == 169
    with pytest.raises(PreflightError, match="no training"):
        Request(VICUNA, answer_tokens=90)
    with pytest.raises(ModelError, match="no config.json"):
        count_request(Request("owner/nowhere"), CARDS["t4"])


def test_cards_decide_the_number_format():
    assert CARDS["t4"].dtype == torch.float16 and card_of("24GB").dtype == card_of("L4").dtype == torch.bfloat16
    for wrong in ("7", "142", "nan", "voodoo", *([] if torch.cuda.is_available() else ["own"])):
        with pytest.raises(ModelError) as refused:
            card_of(wrong)
        assert "t4" in refused.value.cure


@needs_nf4
def test_the_fastest_that_fits_is_chosen():
    request = Request(VICUNA, frames=1, qas=4, batch=4)
    shape = counted(request, CARDS["a100"])
    request = replace(request, frames=16, batch=8)
    plans = {gib: choose(shape, request, card_of(str(gib))) for gib in (8, 12, 16, 24, 48, 80, 141)}
    for gib, plan in plans.items():
        assert plan.peak <= card_of(str(gib)).usable or (plan.every, plan.offload, plan.clips) == (1, True, 1)
    light = [planning.DEPTHS.index((plan.every, plan.offload)) for plan in plans.values()]
    assert light == sorted(light, reverse=True) and light[-1] == 0
    assert plans[141].clips > 1 and 8 % plans[141].clips == 0
    assert plans[24].peak > plans[12].peak


def test_a_no_names_what_would_fit():
    request = replace(MICRO, frames=48, rank=64, qas=64)
    leanest = choose(counted(MICRO, CARDS["a100"]), request, Card("none", 0, (8, 0)))
    card = Card("nearly", 0.99 * leanest.peak / USABLE / GIB, (8, 0))
    assert choose(counted(request, card), request, card).peak > card.usable
    ways = nearest(request, card)
    assert ways[0].startswith("frames=") and any(way.startswith("qas=16:") for way in ways)
    for way in ways:
        names = dict(pair.split("=") for pair in way.rsplit(":", 1)[0].split(", "))
        changed = replace(request, **{n: v if n in ("pool", "packing") else int(v) for n, v in names.items()})
        assert choose(count_request(changed, card), changed, card).peak <= card.usable
    said = plan_text(request, card)
    assert ": NO, " in said and "every_n_layers=1, offload=True" in said and ways[0] in said


def test_the_command_line_plans_and_refuses(capsys):
    small = ["--frames", "4", "--context", "1024", "--qa-tokens", "12", "--answer-tokens", "4"]
    assert cli.main(["plan", "micro", "--card", "t4", *small]) == 0
    said = capsys.readouterr().out
    assert ": yes, " in said and "float16" in said and "(assumed)" in said and "40%" in said
    assert all(name in said for name in (*WEIGHTS, LAYER, LOGITS))
    assert cli.main(["plan", "micro", "--card", "t4", *small, "--frames", "99"]) == 2
    assert "99 frames" in capsys.readouterr().err


@needs_nf4
def test_one_clip_at_a_time_is_what_training_takes():
    request = replace(MICRO, batch=4)
    assert choose(counted(MICRO, CARDS["a100"]), request, CARDS["a100"]).clips == 4
    one = choose(counted(MICRO, CARDS["a100"]), replace(request, at_once=1), CARDS["a100"])
    assert one.clips == 1 and one.work == clip_work(counted(MICRO, CARDS["a100"]), request)
    for wrong in (0, 3):
        with pytest.raises(PreflightError, match="a batch of 4 cannot be taken"):
            replace(request, at_once=wrong)


def test_a_card_without_a_name_is_led_to_one_like_it():
    said = plan_text(MICRO, card_of("24"))
    assert "choose one that is like it, l4, rtx4090" in said
    assert "of 4 frames" in plan_text(MICRO, CARDS["l4"])
    assert planning.like(Card("odd", 50, (8, 0))) == ["rtx4090"]


def test_predicted_against_measured():
    seen = Forecast(2 * GIB, "reserved by torch", True, 3 * GIB)
    assert "predicted 2.00 GiB, measured 3.00 GiB, 1.50 times that (reserved by torch)" in str(seen)
    assert "measured 3.00 GiB (peak RSS)" in str(replace(seen, what="peak RSS", alike=False)), "another thing"
    assert "not to be seen" in str(replace(seen, measured=None))
