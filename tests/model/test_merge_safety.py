"""What cannot be merged is refused by name, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from merging import QUIET, cast, new_adapter
from safetensors.torch import load_file, save_file
from tiny_checkpoints import dump

from instit_lite import cli
from instit_lite.errors import ModelError
from instit_lite.model import nf4
from instit_lite.model.merge import merge_adapter
from instit_lite.model.names import parameter_name


@pytest.fixture
def small(checkpoint, tmp_path):
    """A base that may be damaged, and an adapter without NF4 on it."""
    source = shutil.copytree(checkpoint("ov"), tmp_path / "base")
    return source, new_adapter(source, tmp_path / "adapter", nf4=False)[0]


def refused(adapter, match, **options):
    out = adapter.with_name("refused")
    with pytest.raises(ModelError, match=match) as problem:
        merge_adapter(adapter, out, **options, **QUIET)
    assert problem.value.cure and not out.exists()
    return str(problem.value)


def test_another_base_is_refused(small, checkpoint):
    source, adapter = small
    assert "was trained on base" in refused(adapter, "not on", base=str(checkpoint("ov-clip")))
    card = json.loads((adapter / "adapter_card.json").read_text())
    dump(adapter / "adapter_card.json", card | {"base_weights": ""})
    refused(adapter, "do not fit the model", base=str(checkpoint("ov-clip")))
    dump(adapter / "adapter_card.json", card | {"base": ""})
    assert "--base" in refused(adapter, "names no base")
    dump(adapter / "adapter_card.json", card | {"base": str(source / "none")})
    refused(adapter, "no checkpoint here")
    (adapter / "trained_modules.safetensors").write_bytes(b"")
    refused(adapter, "missing or damaged")


def test_a_base_that_is_packed_or_not_whole_is_refused(small):
    source, adapter = small
    card = json.loads((adapter / "adapter_card.json").read_text())
    dump(adapter / "adapter_card.json", card | {"base_weights": ""})
    file = source / "model-00002-of-00002.safetensors"
    tensors = load_file(file)
    key = next(key for key in tensors if "up_proj" in key)
    index = source / "model.safetensors.index.json"
    named = json.loads(index.read_text())["weight_map"]
    dump(index, {"weight_map": {k: f for k, f in named.items() if k != key}})
    for changed, said in (
        ({key: tensors[key].to(torch.uint8)}, f"not plain floats: {key}"),
        ({key: torch.zeros(3)}, f"the wrong shape: {key}"),
        ({parameter_name(key): tensors[key].clone()}, f"claim one place: .*{key}"),
        ({key: None}, f"no source: {parameter_name(key)}"),
    ):  # fmt: skip
        save_file({k: t for k, t in (tensors | changed).items() if t is not None}, file)
        refused(adapter, said)


def test_what_does_not_fit_the_type_is_refused(small):
    source, adapter = small
    cast(source, {"": torch.float16})
    modules = load_file(adapter / "trained_modules.safetensors")
    save_file({key: tensor + 1e6 for key, tensor in modules.items()}, adapter / "trained_modules.safetensors")
    card = json.loads((adapter / "adapter_card.json").read_text())
    dump(adapter / "adapter_card.json", card | {"base_weights": "", "files": {}})
    assert "lower rate" in refused(adapter, "not finite as float16")


def test_without_bitsandbytes_only_full_precision_merges(checkpoint, tmp_path, monkeypatch):
    pytest.importorskip("bitsandbytes")
    adapter, _ = new_adapter(checkpoint("ov"), tmp_path / "adapter")
    monkeypatch.setattr(nf4, "import_bitsandbytes", lambda: None)
    with pytest.raises(ModelError, match="cannot be imported") as problem:
        merge_adapter(adapter, tmp_path / "new", **QUIET)
    assert "--full-precision" in problem.value.cure and not list(tmp_path.glob("*new*"))
    assert merge_adapter(adapter, tmp_path / "new", full_precision=True, **QUIET).exists()


def test_the_command_line_merges(small, tmp_path, capsys):
    source, adapter = small
    arguments = ["merge", "--adapter", str(adapter), "--out", str(tmp_path / "new"), "--base", str(source)]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "100%" in said and f"wrote {tmp_path / 'new'}" in said and "LlavaOnevision" in said
    assert cli.main([*arguments, "--full-precision"]) == 2
    assert "the target exists already" in capsys.readouterr().err


def test_every_generation_of_names_is_known():
    """As stored by transformers 4.40, 4.52 and 5.23, and the parameter's own name."""
    parts = ("vision_tower.post_layernorm.bias", "multi_modal_projector.linear_1.bias", "image_newline")
    for end in parts:
        old = end.replace("vision_tower.", "vision_tower.vision_model.")
        assert {parameter_name(key) for key in (end, old, f"model.{end}", f"model.{old}")} == {f"model.{end}"}
    layer = "layers.1.mlp.up_proj.weight"
    stored = (f"language_model.model.{layer}", f"model.language_model.{layer}", f"language_model.{layer}")
    assert {parameter_name(key) for key in stored} == {f"model.language_model.{layer}"}
    heads = ("language_model.lm_head.weight", "lm_head.weight")
    assert {parameter_name(key) for key in heads} == {"lm_head.weight"}
    assert parameter_name("optimizer.state") == "optimizer.state"
