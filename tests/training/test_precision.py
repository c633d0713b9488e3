import pytest
import torch
from safetensors.torch import load_file

from instit_lite.errors import PreflightError
from instit_lite.model.adapter import MODULES_FILE
from instit_lite.training.precision import autocast_type, fp32_masters
from instit_lite.training.settings import SftSettings
from instit_lite.training.sft import run_sft

SMALL_STEPS = SftSettings(steps=4, batch=2, rank=4, nf4=False, lr=1e-5, tower_lr=1e-5, save_every=2)


def in_bf16(base):
    base.model.to(torch.bfloat16)
    return base


def test_a_bf16_base_trains_under_autocast_with_fp32_masters(new_base, mixed, tmp_path):
    base = in_bf16(new_base())
    before = {name: p.clone() for name, p in base.model.named_parameters()}
    done = run_sft(base, mixed, SMALL_STEPS, tmp_path, say=lambda line: None)
    saved = load_file(tmp_path / "adapter" / MODULES_FILE)
    assert {t.dtype for t in saved.values()} == {torch.float32}
    lost = moved = 0
    for name, tensor in saved.items():
        old = next(p for own, p in before.items() if own.endswith(name) or name.endswith(own)).float()
        moved += (tensor != old).sum().item()
        lost += ((tensor != old) & (tensor.bfloat16().float() == old)).sum().item()
    assert moved > 1000 and lost > 0.5 * moved, "steps this small vanish in bf16: that is what the masters are for"
    kept = {p.dtype for name, p in done.base.model.named_parameters() if "lora_" not in name}
    assert kept == {torch.bfloat16}, "after the run one type again, so that the model answers without autocast"


def test_an_fp32_base_is_left_as_it_is(new_base):
    model = new_base().model
    assert autocast_type(model) is None
    with fp32_masters(model):
        assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_frozen_weights_stay_in_their_type(new_base):
    model = in_bf16(new_base()).model
    assert autocast_type(model) == torch.bfloat16
    model.requires_grad_(False)
    head = model.get_output_embeddings().weight.requires_grad_(True)
    with pytest.raises(RuntimeError), fp32_masters(model):
        assert {n for n, p in model.named_parameters() if p.dtype == torch.float32} == {"lm_head.weight"}
        raise RuntimeError
    assert head.dtype == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains fp16")
def test_fp16_on_a_cpu_is_refused(new_base):
    with pytest.raises(PreflightError, match="fp16.*dtype=torch.float32"):
        autocast_type(new_base().model.half())
