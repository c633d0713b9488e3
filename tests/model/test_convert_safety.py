"""The converter refuses by name what it cannot place, and leaves nothing half, whatever kills it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from original_llava import TOWER
from original_source import KINDS, QUIET, new_source, same, weights_of, without, write_weights
from safetensors.torch import load_file, save_file
from transformers import LlavaOnevisionForConditionalGeneration

from instit_lite import cli
from instit_lite.errors import ModelError
from instit_lite.model import shards as room
from instit_lite.model.convert import convert_checkpoint

CLIP_WEIGHTS = weights_of(KINDS["clip"])
Q = "model.layers.1.self_attn.q_proj.weight"


def refused(source: Path, match: str, **options) -> str:
    """Converting is refused, nothing is left behind; returns the error's text."""
    target = source.parent / "refused"
    with pytest.raises(ModelError, match=match) as problem:
        convert_checkpoint(source, target, **({"tower": source.parent / "tower"} | options), **QUIET)
    assert not target.exists() and not list(source.parent.glob(".refused*"))
    assert problem.value.cure and problem.value.path
    return str(problem.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model.vision_resampler.query": torch.zeros(2)}, "no place.*vision_resampler.query"),
        ({TOWER + "encoder.layers.3.mlp.fc1.bias": torch.zeros(24)}, r"no place.*layers\.3\.mlp"),
        ({"model.vision_tower.vision_tower.post_layernorm.bias": torch.zeros(16)}, "claim one place"),
        ({Q: None}, r"no source: model\.language_model\.layers\.1\.self_attn\.q_proj\.weight"),
        ({"lm_head.weight": None}, "no source: lm_head.weight"),
        ({"model.image_newline": None}, "no source: model.image_newline"),
        ({Q: torch.zeros(32, 31)}, r"wrong shape: model\.layers\.1.*\[32, 31\], not \[32, 32\]"),
        ({"model.embed_tokens.weight": torch.zeros(65, 32)}, r"wrong shape: model\.embed_tokens"),
        ({Q: torch.zeros(32, 32, dtype=torch.int8)}, "not plain floats.*I8"),
    ],
)
def test_keys_that_do_not_fit_are_refused_by_name(tmp_path, change, said):
    weights = {k: v for k, v in (CLIP_WEIGHTS | change).items() if v is not None}
    refused(new_source(tmp_path, KINDS["clip"], weights), said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["LlavaMistralForCausalLM"]}, "LlavaMistralForCausalLM is not one of"),
        ({"text_config": {}}, "transformers layout already"),
        ({"mm_projector_type": "linear"}, "mm_projector_type is 'linear'"),
        ({"image_aspect_ratio": "pad"}, "image_aspect_ratio is 'pad'"),
        ({"mm_patch_merge_type": "flat"}, "mm_patch_merge_type is 'flat'"),
        ({"image_grid_pinpoints": "(1x1),...,(6x6)"}, "image_grid_pinpoints is"),
        ({"vocab_size": 4096}, "64 words for 4096 rows"),
    ],
)
def test_another_kind_of_checkpoint_is_refused(tmp_path, changes, said):
    refused(new_source(tmp_path, KINDS["clip"], {}, **changes), said)


def test_damaged_folders_are_refused(tmp_path, monkeypatch):
    source = new_source(tmp_path, KINDS["clip"])
    assert "--tower" in refused(source, "vision tower '/trainer/tiny' is not known", tower=None)
    (source / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    assert "sentencepiece" in refused(source, "no fitting tokenizer")
    (tmp_path / "tokenizer.json").rename(source / "tokenizer.json")
    shard = source / "model-00002-of-00003.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    refused(source, "model-00002.*cut short")
    shard.unlink()
    refused(source, "model-00002.*missing")
    shard.write_bytes(whole)
    with monkeypatch.context() as patch:
        patch.setattr(room.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**6))
        assert "free some space" in refused(source, "0.1 GB are needed, 0.0 GB are free")
    for file in source.glob("model*"):
        file.unlink()
    refused(source, "no weights here")
    (source / "pytorch_model-00001-of-00002.bin").write_bytes(b"\x80\x04")
    refused(source, "pickles, which can run code")


def test_values_that_do_not_fit_a_type_are_refused(tmp_path):
    source = new_source(tmp_path, KINDS["clip"], CLIP_WEIGHTS | {Q: torch.full((32, 32), 1e6)})
    with pytest.raises(ModelError, match="q_proj.weight is not finite as float16.*bfloat16"):
        convert_checkpoint(source, tmp_path / "half", tower=tmp_path / "tower", dtype="float16", **QUIET)
    assert not (tmp_path / "half").exists()
    arguments = ["convert", str(source), str(tmp_path / "half"), "--tower", str(tmp_path / "tower")]
    assert cli.main([*arguments, "--dtype", "bfloat16"]) == 0
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(tmp_path / "half")
    assert model.dtype == torch.bfloat16 and {t.dtype for t in model.state_dict().values()} == {torch.bfloat16}
    assert cli.main(arguments) == 2  # the target exists now


def test_a_missing_tower_of_a_known_name_names_the_cure(tmp_path):
    source = new_source(tmp_path, KINDS["clip"], without(CLIP_WEIGHTS, TOWER),
                        mm_vision_tower="openai/clip-vit-large-patch14-336")  # fmt: skip
    assert "with --tower" in refused(source, "391 keys of the model have no source", tower=None)


def test_a_tower_folder_that_does_not_fit_is_refused(tmp_path):
    source, file = new_source(tmp_path, KINDS["clip"], without(CLIP_WEIGHTS, TOWER)), tmp_path / "tower" / "model.bin"
    file.write_bytes(b"")
    refused(source, "pickles")
    folder = {f"vision_model.{k.removeprefix(TOWER)}": v for k, v in CLIP_WEIGHTS.items() if k.startswith(TOWER)}
    save_file(folder | {"vision_model.extra": torch.zeros(1)}, file.with_suffix(".safetensors"))
    refused(source, "no place.*vision_model.extra")


def test_two_different_tables_cannot_be_tied(tmp_path):
    refused(new_source(tmp_path, KINDS["clip"], tie_word_embeddings=True), "differs from embed_tokens")


def alone(how: str, source: Path, target: Path) -> subprocess.CompletedProcess:
    """Convert in a process of its own, by a function of convert_alone.py and the same code as here."""
    script = Path(__file__).with_name("convert_alone.py")
    command = [sys.executable, *map(str, (script, how, source, target, source.parent / "tower"))]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)


def test_a_kill_leaves_nothing_half_and_the_next_run_goes_on(tmp_path):
    source, target, part = new_source(tmp_path, KINDS["clip"]), tmp_path / "new", tmp_path / ".new.part"
    options = dict(tower=tmp_path / "tower", shard_bytes=20_000)
    whole = convert_checkpoint(source, tmp_path / "whole", **options, **QUIET)
    run = alone("between", source, target)
    kept = {f: f.stat().st_mtime_ns for f in part.glob("*.safetensors")}
    assert run.returncode == -signal.SIGKILL and not target.exists() and len(kept) == 2, run.stderr
    run = alone("torn", source, target)
    assert run.returncode == -signal.SIGKILL and not target.exists() and list(part.glob(".*.tmp")), run.stderr
    assert {f: f.stat().st_mtime_ns for f in part.glob("*.safetensors")} == kept
    lines = []
    convert_checkpoint(source, target, **options, tell=lines.append)
    assert "2 of them written before" in lines[0] and same(target, whole) and not list(tmp_path.glob(".*"))
    assert [(target / f.name).stat().st_mtime_ns for f in kept] == list(kept.values())
    assert not list(target.glob(".*"))


def test_another_plan_never_goes_on_with_old_shards(tmp_path):
    source = new_source(tmp_path, KINDS["clip"])

    def stop(line):
        if line.startswith("model-00002"):
            raise KeyboardInterrupt

    options = dict(tower=tmp_path / "tower", shard_bytes=20_000)
    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(source, tmp_path / "new", **options, tell=stop)
    lines = []
    write_weights(source, {k: v + 1 for k, v in CLIP_WEIGHTS.items()})
    found = convert_checkpoint(source, tmp_path / "new", **options, tell=lines.append)
    assert "0 of them written before" in lines[0]
    first = load_file(sorted(found.glob("*.safetensors"))[0])
    assert any(torch.equal(v, w + 1) for v in first.values() for w in CLIP_WEIGHTS.values() if v.shape == w.shape)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_memory_stays_near_one_shard(tmp_path):
    """177 MB of weights in three files, shards of 8 MB: the process grows by a few shards, not by the checkpoint."""
    c = KINDS["clip"] | {"layers": 24, "d": 256}
    random = torch.Generator().manual_seed(0)
    weights = weights_of(c)
    for name in [k for k in weights if ".mlp." in k and k.startswith("model.layers")]:
        out, into = (2048, 256) if "down" not in name else (256, 2048)
        weights[name] = torch.randn(out, into, generator=random)
    total = sum(t.nbytes for t in weights.values())
    source = new_source(tmp_path, c, weights, intermediate_size=2048)
    del weights
    run = alone("memory", source, tmp_path)
    assert run.returncode == 0, run.stderr
    shards, whole = map(int, run.stdout.split())
    print(f"checkpoint {total / 1e6:.0f} MB; grown {shards / 1e6:.0f} MB, with one shard {whole / 1e6:.0f} MB")
    assert total > 140e6 and shards < 50e6 and whole > 100e6
