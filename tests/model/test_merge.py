"""A merged adapter: what was trained, in the base's own names and types, for `transformers` alone."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from merging import QUIET, cast, gap, new_adapter, stored
from transformers import AutoTokenizer
from transformers import LlavaNextVideoForConditionalGeneration as NextVideo
from transformers import LlavaOnevisionForConditionalGeneration as Onevision

from instit_lite.errors import ModelError
from instit_lite.model import shards
from instit_lite.model.adapter import load_adapter
from instit_lite.model.load import load_base
from instit_lite.model.merge import merge_adapter
from instit_lite.model.micro import new_micro
from instit_lite.model.names import parameter_name
from instit_lite.model.nf4 import through_nf4
from instit_lite.model.options import stretch
from instit_lite.model.tokenizer import micro_tokenizer
from instit_lite.model.visual import inner_model

CLASSES = {"micro": NextVideo, "ov": Onevision}
SHARD = {"micro": 2**21, "ov": 2**16}


@pytest.fixture(scope="module", params=list(CLASSES))
def done(request, checkpoint, tmp_path_factory):
    """A base in fp32, an adapter trained on it in NF4, and their merge."""
    pytest.importorskip("bitsandbytes")
    root, kind = tmp_path_factory.mktemp("merge"), request.param
    if kind == "micro":
        source, tokenizer = root / "base", micro_tokenizer()
        new_micro(tokenizer).save_pretrained(source)
        tokenizer.save_pretrained(source)
    else:
        source = cast(shutil.copytree(checkpoint(kind), root / "base"), {"": torch.float32})
    adapter, model = new_adapter(source, root / "adapter")
    lines = []
    out = merge_adapter(adapter, root / "merged", shard_bytes=SHARD[kind], tell=lines.append)
    return SimpleNamespace(kind=kind, source=source, adapter=adapter, model=model, out=out, lines=lines)


def plain(done, folder):
    assert (folder / "config.json").exists()  # else transformers would build its default, of 7 B
    model, info = CLASSES[done.kind].from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


def test_transformers_alone_computes_what_was_trained(done):
    merged = plain(done, done.out)
    found, base = gap(merged, done.model), gap(plain(done, done.source), done.model)
    print(f"{done.kind}: merged {found:.1e}, base without the adapter {base:.2f}")
    assert found <= 1e-4 and base > 0.05
    if done.kind == "micro":  # the stock path from pixels, too
        pixels = torch.randn(1, 2, 3, 64, 64, generator=torch.Generator().manual_seed(5))
        ids = torch.tensor([[1, *[merged.config.video_token_id] * 32, 20, 21]])
        with torch.no_grad():
            own, other = (m(input_ids=ids, pixel_values_videos=pixels).logits for m in (merged, done.model))
        assert (own - other).abs().max() <= 1e-4


def test_the_three_ways_to_merge(done, tmp_path):
    """Unpacked NF4 is what was trained; the weights before NF4 are near it; packing the sum again is not."""
    full = merge_adapter(done.adapter, tmp_path / "full", full_precision=True, **QUIET)
    packed = plain(done, done.out)
    with torch.no_grad():
        for name, parameter in packed.named_parameters():
            if ".language_model.layers." in name and name.endswith("_proj.weight"):
                parameter.copy_(through_nf4(parameter))
    model = done.model
    found = {"dequantised": gap(plain(done, done.out), model), "full": gap(plain(done, full), model),
             "packed again": gap(packed, model)}  # fmt: skip
    print(done.kind, {name: f"{value:.1e}" for name, value in found.items()})
    assert found["dequantised"] <= 1e-4 and min(found["full"], found["packed again"]) > 1e-3
    assert json.loads((full / "merge.json").read_text())["language"] == "full precision, but trained on NF4"


@pytest.mark.parametrize("size, least, most", [(0.003, 0, 0.05), (0.01, 0, 0.05), (0.2, 0.9, 1.05)])
def test_packing_again_loses_a_small_change(size, least, most):
    """How much of a LoRA product is left, by its size beside the weight; NF4 rounds by 9 % of the weight."""
    pytest.importorskip("bitsandbytes")
    random = torch.Generator().manual_seed(0)
    weight, b, a = (torch.randn(*shape, generator=random) for shape in ((512, 512), (512, 32), (32, 512)))
    base, change = through_nf4(weight), size * (b @ a) * weight.norm() / (b @ a).norm()
    assert 0.08 < (base - weight).norm() / weight.norm() < 0.1
    left = through_nf4(base + change) - base
    share = ((left * change).sum() / change.square().sum()).item()
    noise = (left - share * change).norm() / change.norm()
    print(f"LoRA {size:.1%} of the weight: {share:.0%} left, noise {noise:.0%}")
    assert least <= share <= most


def test_nothing_but_values_differs_from_the_base(done):
    own, new = stored(done.source), stored(done.out)
    assert {k: (t.dtype, t.shape) for k, t in own.items()} == {k: (t.dtype, t.shape) for k, t in new.items()}
    changed = {parameter_name(key) for key, tensor in own.items() if not tensor.equal(new[key])}
    language = {name for name in changed if name.startswith("model.language_model.")}
    assert len(language) == 7 * done.model.config.text_config.num_hidden_layers
    assert all(n.startswith("model.language_model.layers.") and "_proj.weight" in n for n in language)
    assert len({name for name in changed if ".multi_modal_projector." in name}) == 4
    rest = [n for n in changed - language if ".multi_modal_projector." not in n]
    assert rest and all(n.startswith("model.vision_tower.encoder.layers.") for n in rest)
    assert not any(".layers.0." in n for n in rest)


def test_the_folder_holds_all_that_is_needed_and_says_what_it_is(done):
    for file in done.source.glob("*.json"):
        if "index" not in file.name:
            assert (done.out / file.name).read_bytes() == file.read_bytes()
    text = "".join(file.read_text() for file in done.out.glob("*.json")).lower()
    assert "lora_" not in text and "quantization" not in text and str(done.source.parent) not in text
    own, new = (AutoTokenizer.from_pretrained(folder) for folder in (done.source, done.out))
    assert own.get_vocab() == new.get_vocab()
    about = json.loads((done.out / "merge.json").read_text())
    card = json.loads((done.adapter / "adapter_card.json").read_text())
    assert about["base_weights"] == card["base_weights"] and about["adapter_files"] == card["files"]
    assert about["language"] == "dequantised NF4, as trained" and about["left_out"] == []
    readme = (done.out / "README.md").read_text()
    assert all(said in readme for said in (card["base_weights"], "fit='squash'", CLASSES[done.kind].__name__))
    assert done.lines[-1].startswith("model-") and "100%" in done.lines[-1] and len(done.lines) > 3
    assert not list(done.out.parent.glob(".*")) and not list(done.out.glob(".*"))


def test_the_kit_loads_it_as_a_base_and_refuses_the_adapter_on_it(done):
    again = load_base(str(done.out), dtype=torch.float32)
    assert gap(again.model, done.model) <= 1e-4
    with pytest.raises(ModelError, match="was trained on base"):
        load_adapter(again, done.adapter)


def test_a_stopped_merge_leaves_no_folder_and_the_next_run_goes_on(done, tmp_path, monkeypatch):
    """Stopped behind the second shard, then within the third; the converter's tests kill in earnest."""

    def stop(line):
        if line.startswith("model-00002"):
            raise KeyboardInterrupt

    def save_half(tensors, path, metadata):
        path.write_bytes(b"half a shard")
        raise KeyboardInterrupt

    def merge(tell):
        return merge_adapter(done.adapter, tmp_path / "new", shard_bytes=SHARD[done.kind], tell=tell)

    with pytest.raises(KeyboardInterrupt):
        merge(stop)
    monkeypatch.setattr(shards, "save_file", save_half)
    with pytest.raises(KeyboardInterrupt):
        merge(stop)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == [".new.part"]
    lines = []
    out = merge(lines.append)
    assert any("2 of them written before" in line for line in lines)
    assert [p.name for p in tmp_path.iterdir()] == ["new"] and not list(out.glob(".*"))
    files = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in (out, done.out)]
    assert files[0] == files[1]


def test_without_nf4_the_full_weights_are_what_was_trained(checkpoint, tmp_path):
    source = cast(shutil.copytree(checkpoint("ov"), tmp_path / "base"), {"": torch.float32})
    adapter, model = new_adapter(source, tmp_path / "run" / "adapter", nf4=False)
    out = merge_adapter(tmp_path / "run", tmp_path / "merged", **QUIET)
    assert gap(Onevision.from_pretrained(out, dtype=torch.float32), model) <= 1e-4
    assert json.loads((out / "merge.json").read_text())["language"] == "full precision, as trained"


def test_every_tensor_keeps_its_type(checkpoint, tmp_path):
    """Three types in one base; the adapter is in fp32, and its sums are rounded once."""
    types = {"language_model": torch.bfloat16, "vision_tower": torch.float16, "": torch.float32}
    extra = {"vision_tower.vision_model.embeddings.position_ids": torch.zeros(4)}
    source = cast(shutil.copytree(checkpoint("ov"), tmp_path / "mixed"), types, **extra)
    adapter, model = new_adapter(source, tmp_path / "adapter", nf4=False)
    out = merge_adapter(adapter, tmp_path / "merged", **QUIET)
    own, new = stored(source), stored(out)
    left = json.loads((out / "merge.json").read_text())["left_out"]
    assert left == list(extra) and own.keys() - new.keys() == set(left)
    assert {t.dtype for t in new.values()} == {torch.float32, torch.bfloat16, torch.float16}
    assert all(tensor.dtype == own[key].dtype for key, tensor in new.items())
    key = "language_model.model.layers.0.mlp.up_proj.weight"
    layer = inner_model(model).language_model.layers[0].mlp.up_proj
    b, a = layer.lora_B["default"].weight, layer.lora_A["default"].weight
    assert new[key].equal((own[key].float() + 2 * (b @ a)).to(torch.bfloat16))


def test_nf4_is_made_from_the_type_that_was_trained_in(checkpoint, tmp_path):
    """A base trained in bf16 was quantised from bf16, whatever its files hold."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    source = cast(shutil.copytree(checkpoint("ov"), tmp_path / "base"), {"": torch.float32})
    adapter, model = new_adapter(source, tmp_path / "adapter", dtype=torch.bfloat16)
    new = stored(merge_adapter(adapter, tmp_path / "merged", **QUIET))
    for number, layer in enumerate(inner_model(model).language_model.layers):
        proj = layer.mlp.up_proj
        packed, a, b = (m.weight for m in (proj.base_layer, proj.lora_A["default"], proj.lora_B["default"]))
        weight = bitsandbytes.functional.dequantize_4bit(packed, packed.quant_state)
        trained = weight.float() + 2 * (b.float() @ a.float())
        merged = new[f"language_model.model.layers.{number}.mlp.up_proj.weight"]
        assert (merged - trained).abs().max() < 1e-6


def test_a_scaled_context_goes_into_the_config(checkpoint, tmp_path):
    """Vicuna's 4,096 positions were scaled for 6,144: a model that forgets it answers otherwise."""
    source = cast(shutil.copytree(checkpoint("next"), tmp_path / "base"), {"": torch.float32})
    adapter, model = new_adapter(source, tmp_path / "adapter", nf4=False, context=6144)
    out = merge_adapter(adapter, tmp_path / "merged", **QUIET)
    for context in (None, 6144):
        again = load_base(str(out), dtype=torch.float32, context=context)
        assert stretch(again.model) == stretch(model) == 1.5 and gap(again.model, model) <= 1e-4
    assert again.model.config.text_config.max_position_embeddings == 6144
