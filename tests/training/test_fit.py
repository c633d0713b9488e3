"""A run is fitted to its card: no deeper than needed, as deep as needed, refused where nothing helps."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import PreTrainedModel

from instit_lite.errors import PreflightError
from instit_lite.model.cards import CARDS, USABLE, Card
from instit_lite.model.load import load_base
from instit_lite.model.memory import Work
from instit_lite.model.nf4 import import_bitsandbytes
from instit_lite.model.visual import inner_model
from instit_lite.profiles import get_profile
from instit_lite.training import fit, recipe
from instit_lite.training.fit import fit_to_card, longest_request
from instit_lite.training.forecast import plan_run
from instit_lite.training.plan import DEPTHS, GIB, choose, count_request

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny_checkpoints import make  # noqa: E402

pytestmark = pytest.mark.skipif(import_bitsandbytes() is None, reason="no bitsandbytes here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("base") / "next", "llava_next")


@pytest.fixture
def base(folder):
    return load_base(str(folder), context=6144)


def light(base):
    return [layer.gradient_checkpointing for layer in inner_model(base.model).language_model.layers]


def nearly(request, every, offload=False):
    """A card on which a request fits with this depth, and with no faster one."""
    counted = count_request(request, CARDS["a100"])
    peaks = {d: choose_at(counted, request, d) for d in DEPTHS}
    return Card("nearly", 1.0001 * peaks[every, offload] / USABLE / GIB, (8, 0))


def choose_at(counted, request, depth, monkey=pytest.MonkeyPatch):
    with monkey.context() as patch:
        patch.setattr("instit_lite.training.plan.DEPTHS", (depth,))
        return choose(counted, request, CARDS["a100"]).peak


def test_the_longest_clip_fills_the_context_and_no_more(base, folder):
    request = longest_request(base, 32, 1024, 16)
    assert (request.frames, request.context, request.qas * request.qa_tokens) == (32, 6144, 990)
    short = longest_request(load_base(str(folder)), 32, 1024, 16)
    assert (short.frames, short.context) == (27, 4096)
    count_request(short, CARDS["t4"])
    with pytest.raises(PreflightError):
        count_request(replace(short, frames=28), CARDS["t4"])


def test_layers_are_checkpointed_only_as_deep_as_needed(base):
    request, said = longest_request(base, 32, 1024, 16), []
    assert fit_to_card(base, request, CARDS["a100"], said.append).every == 0
    assert light(base) == [False, False] and "no checkpointing" in said[0]
    assert fit_to_card(base, request, nearly(request, 1), said.append).every == 1
    assert light(base) == [True, True] and "1 layer in 1 checkpointed" in said[1]
    assert not any(hasattr(module, "_require_grads_hook") for module in base.model.modules())


@pytest.mark.parametrize("older", [False, True])
def test_a_run_plans_what_was_fitted(base, monkeypatch, older):
    """Also with a transformers that has the older name only."""
    newer = getattr(PreTrainedModel, "activation_checkpointing_enable", None)
    if older and newer:
        monkeypatch.setattr(PreTrainedModel, "gradient_checkpointing_enable", newer)
        monkeypatch.setattr(PreTrainedModel, "_is_overridden", lambda self, name: False)
        monkeypatch.delattr(PreTrainedModel, "activation_checkpointing_enable")
    request, works = longest_request(base, 32, 1024, 16), [Work(rows=1, length=9, answers=3, views=1)]
    assert plan_run(base.model, works, 1).depth == "no checkpointing"
    for offload in (False, True):
        fitted = fit_to_card(base, request, nearly(request, 1, offload), str)
        plan = plan_run(base.model, works, 1)
        assert (plan.every, plan.offload) == (fitted.every, fitted.offload) == (1, offload)


def test_what_fits_no_way_is_refused_with_what_would_fit(base):
    request = longest_request(base, 32, 1024, 16)
    tiny = Card("tiny", 0.9 * nearly(request, 1, True).gib, (8, 0))
    with pytest.raises(PreflightError, match="tiny has") as refused:
        fit_to_card(base, request, tiny)
    assert "GiB" in refused.value.cure and light(base) == [False, False]


def test_a_machine_with_a_gpu_fits_its_runs(base, monkeypatch):
    seen = []
    monkeypatch.setattr(fit, "fit_to_card", lambda *given: seen.append(given))
    assert fit.real_options(load_base("micro"), get_profile("smoke")) == {}
    options = fit.real_options(base, get_profile("gpu"))
    assert seen == [] and options["in_place"] and options["accumulate"] == 16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(fit, "card_of", lambda name: CARDS["t4"] if name == "own" else None)
    fit.real_options(base, get_profile("gpu"))
    assert seen[0][0] is base and seen[0][1].frames == 32 and seen[0][2] == CARDS["t4"]


def test_a_real_base_trains_with_its_own_rates_on_a_built_dataset_too(folder, monkeypatch):
    seen, dataset = {}, SimpleNamespace(dialogues=[], general=[], folder=folder)
    monkeypatch.setattr(recipe, "load_dataset", lambda data: dataset)
    monkeypatch.setattr(recipe, "samples_of", lambda *given: [])
    monkeypatch.setattr(recipe, "run_sft", lambda *given, **options: seen.update(options))
    recipe.train_on_dataset(replace(get_profile("gpu"), model=str(folder)), "data", "out")
    assert (seen["lr"], seen["tower_lr"], seen["accumulate"], seen["in_place"]) == (2e-4, 2e-6, 16, True)
    seen.clear()
    recipe.train_on_dataset(get_profile("smoke"), "data", "out")
    assert "lr" not in seen and seen["steps"] == get_profile("smoke").sft_steps
