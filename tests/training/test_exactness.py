"""Packed or one question per sample: the same loss and the same gradients, to the precision of
fp32.
"""

import pytest
import torch

from instit_lite.training.collator import collate
from instit_lite.training.trainer import packed_loss


def loss_and_gradients(base, samples, packing, change=lambda batch: batch):
    base.model.zero_grad(set_to_none=True)
    loss = packed_loss(base.model, change(collate(base, samples, packing)))
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in base.model.named_parameters() if p.requires_grad}
    return loss.item(), gradients


def without_noise(gradients):
    """Leave out the key biases: softmax ignores them, so their gradient is nothing but rounding.
    """
    return {n: g for n, g in gradients.items() if "k_proj.bias" not in n}


def worst_difference(found, expected):
    """Largest difference in a tensor relative to the largest gradient in it."""
    return max((found[n] - g).abs().max().item() / g.abs().max().item() for n, g in expected.items())


@pytest.mark.parametrize("kinds", [("image",), ("video",), ("image", "video", "text")])
@pytest.mark.parametrize("attention, nf4", [("sdpa", False), ("eager", False), ("sdpa", True)])
def test_packed_equals_one_question_per_sample(adapted, sample, kinds, attention, nf4):
    if nf4:
        pytest.importorskip("bitsandbytes")
    base = adapted(nf4=nf4, attention=attention)
    samples = [sample(kind, 3 if kind == "video" else 1, 2 + i, seed=i) for i, kind in enumerate(kinds)]
    loss, gradients = loss_and_gradients(base, samples, "shared_prefix")
    single_loss, single = loss_and_gradients(base, samples, "one_per_sample")
    assert gradients.keys() == single.keys() and len(single) > 40
    assert abs(loss - single_loss) / single_loss < 1e-5
    checked = without_noise(single)
    assert all(g.abs().max() > 0 for g in checked.values())
    assert worst_difference(gradients, checked) < 1e-5
    difference = torch.cat([(gradients[n] - g).flatten() for n, g in single.items()]).norm()
    assert difference / torch.cat([g.flatten() for g in single.values()]).norm() < 1e-5


def test_multi_turn_is_another_objective(adapted, sample):
    base = adapted()
    loss, _ = loss_and_gradients(base, [sample(turns=4)], "multi_turn")
    single, _ = loss_and_gradients(base, [sample(turns=4)], "one_per_sample")
    assert abs(loss - single) / single > 1e-4


def as_bool(batch):
    return batch | {"attention_mask": batch["attention_mask"] == 0}


@pytest.mark.parametrize("attention, exact", [("sdpa", True), ("eager", False)])
def test_a_bool_mask_under_eager_attention_is_silently_wrong(adapted, sample, attention, exact):
    base = adapted(attention=attention)
    right, _ = loss_and_gradients(base, [sample(turns=4)], "shared_prefix")
    found, _ = loss_and_gradients(base, [sample(turns=4)], "shared_prefix", as_bool)
    assert (abs(found - right) / right < 1e-6) == exact


def test_accumulated_parts_give_the_gradient_of_the_whole_batch(adapted, mixed):
    base = adapted()
    _, whole = loss_and_gradients(base, mixed, "shared_prefix")
    n_items = (collate(base, mixed)["labels"] != -100).sum()
    base.model.zero_grad(set_to_none=True)
    for part in (mixed[:1], mixed[1:]):
        packed_loss(base.model, collate(base, part), n_items).backward()
    parts = {n: p.grad for n, p in base.model.named_parameters() if p.requires_grad}
    assert worst_difference(parts, without_noise(whole)) < 1e-5
