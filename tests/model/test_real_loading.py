"""Real LLaVA layouts: which class, template, pixels, type and context a folder gives, and what is refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from instit_lite.errors import ModelError, PreflightError
from instit_lite.model.context import check_frames
from instit_lite.model.load import default_dtype, load_base
from instit_lite.model.visual import inner_model
from instit_lite.training.collator import Encoded
from instit_lite.training.packing import Branch
from instit_lite.training.preflight import check_context


@pytest.mark.parametrize(
    "kind, family, template, side, mean",
    [
        ("llava", "LlavaForConditionalGeneration", "vicuna_v1", 336, 0.48145466),
        ("next", "LlavaNextForConditionalGeneration", "vicuna_v1", 336, 0.48145466),
        ("next-video", "LlavaNextVideoForConditionalGeneration", "vicuna_v1", 336, 0.48145466),
        ("ov", "LlavaOnevisionForConditionalGeneration", "qwen_1_5", 384, 0.5),
        ("ov-clip", "LlavaOnevisionForConditionalGeneration", "vicuna_v1", 336, 0.48145466),
    ],
)
def test_the_files_decide(real, checkpoint, kind, family, template, side, mean):
    base = real(kind)
    assert (type(base.model).__name__, base.template.name) == (family, template)
    assert (base.side, base.form.mean[0]) == (side, mean)
    assert base.form.pillow and base.form.fit == "squash" and base.model.dtype == torch.float32
    stored = {}
    for shard in sorted(checkpoint(kind).glob("*.safetensors")):
        stored |= load_file(shard)
    inner = inner_model(base.model)
    fc1 = inner.vision_tower.encoder.layers[0].mlp.fc1.weight
    same = {
        "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight": fc1,
        "multi_modal_projector.linear_2.bias": inner.multi_modal_projector.linear_2.bias,
        "language_model.model.layers.1.mlp.up_proj.weight": inner.language_model.layers[1].mlp.up_proj.weight,
        "language_model.lm_head.weight": base.model.lm_head.weight,
    }
    if kind != "llava":
        same["image_newline"] = inner.image_newline
    assert all(torch.equal(stored[name], parameter) for name, parameter in same.items())
    assert base.model.config.video_token_id not in base.ids(base.template.start)
    assert base.tokenizer.pad_token_id is not None


@pytest.mark.parametrize(
    "capability, dtype", [(None, "float32"), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")]
)
def test_the_gpu_decides_the_type_unless_the_caller_does(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert str(default_dtype()) == f"torch.{dtype}"


def test_the_caller_chooses_type_fit_and_tiles(real):
    base = real("ov", dtype=torch.bfloat16, fit="crop", tiles=0)
    assert base.model.dtype == torch.bfloat16 and base.form.fit == "crop"
    assert not hasattr(base.model.config, "anyres")
    assert base.options == {"fit": "crop", "pool": "bilinear", "tiles": 0, "context": None}
    assert max(h * w for h, w in real("ov").model.config.image_grid_pinpoints) == 4 * 384**2  # of 36
    assert len(real("next").model.config.image_grid_pinpoints) == 5


@pytest.mark.parametrize("kind, per_frame, average", [("next", 144, 144), ("ov", 196, 169)])
def test_thirty_two_frames_fit_or_are_refused_with_every_way_out(real, kind, per_frame, average):
    long = {"context": 6144}
    model = real(kind, **long).model
    if per_frame == 144:
        return check_frames(model, 32, text=1536)
    check_frames(model, 31)
    with pytest.raises(PreflightError, match="32 frames needs 6,372 positions, the model has 6,144") as refused:
        check_frames(model, 32, text=100)
    cure = refused.value.cure
    assert "fewer frames (30 of 32 fit)" in cure and "13 x 13" in cure and "5,508 positions" in cure
    assert "context=7168" in cure
    check_frames(real(kind, pool="average", **long).model, 32, text=100)
    check_frames(real(kind, context=7168).model, 32, text=100)


def test_a_sample_that_overflows_is_refused_before_training(real):
    sample = Encoded([7] * (20 + 32 * 196), [Branch((1, 2, 3), 1)], torch.zeros(32, 1), "video")
    with pytest.raises(PreflightError, match="sample 5 needs 6295 positions") as refused:
        check_context(real("ov").model, sample, name="sample 5")
    assert "31 of 32 fit" in refused.value.cure


def test_vicuna_has_4096_positions_and_stretches_them_only_when_asked(real):
    usual, long = real("next").model, real("next", context=6144).model
    assert usual.config.text_config.max_position_embeddings == 4096
    with pytest.raises(PreflightError, match="the model has 4,096"):
        check_frames(usual, 32)
    usual, long = (model.model.language_model.rotary_emb.inv_freq for model in (usual, long))
    assert torch.allclose(usual, long * 1.5)


@pytest.fixture
def copy(checkpoint, tmp_path):
    """A checkpoint to damage: its folder and a function that edits one of its JSON files."""
    folder = shutil.copytree(checkpoint("next"), tmp_path / "copy")

    def edit(file, **changes):
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return folder, edit


def refused(folder, match):
    with pytest.raises(ModelError, match=match) as problem:
        load_base(str(folder))
    assert str(folder) in str(problem.value) and problem.value.cure


def test_files_that_are_missing_or_do_not_fit_are_refused(copy):
    folder, edit = copy
    edit("preprocessor_config.json", crop_size={"height": 224, "width": 224})
    refused(folder, "made for \\[224\\] pixels a side, the vision tower for 336")
    processor = json.loads((folder / "preprocessor_config.json").read_text()) | {"crop_size": 336}
    (folder / "preprocessor_config.json").unlink()
    refused(folder, "unknown: no usable preprocessor_config.json")
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": processor}))
    assert load_base(str(folder)).form.mean[0] == pytest.approx(0.4814, abs=1e-4)
    shard = next(folder.glob("*00002.safetensors"))
    kept = load_file(shard)
    del kept["vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(kept, shard, metadata={"format": "pt"})
    refused(folder, "1 parameters are missing .*vision_tower.*fc1.weight")
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, "cannot be loaded|missing")


def test_other_families_and_other_chat_formats_are_refused(copy):
    folder, edit = copy
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit("config.json", text_config=text | {"model_type": "mistral"})
    refused(folder, "a llava_next checkpoint with mistral")
    edit("config.json", text_config=text | {"model_type": "qwen2"})
    refused(folder, "does not know '<|im_start|>'")
    edit("config.json", text_config=text, vision_feature_layer=[-2, -1])
    with pytest.raises(ModelError, match="several layers"):
        load_base(str(folder))


def test_what_the_hub_does_not_have_and_what_cannot_be_asked(checkpoint):
    with pytest.raises(ModelError, match="nobody/nothing: neither a folder here nor to be had from the hub"):
        load_base("nobody/nothing")
    for wrong in ({"fit": "pad"}, {"pool": "max"}, {"tiles": 36}):
        with pytest.raises(ModelError, match="cannot be had"):
            load_base(str(checkpoint("next")), **wrong)


@pytest.mark.parametrize("asked, found", [({}, "eager"), ({"attn_implementation": "sdpa"}, "sdpa")])
def test_short_contexts_get_plain_attention_unless_another_is_asked_for(asked, found):
    assert load_base("micro", **asked).model.config.text_config._attn_implementation == found
