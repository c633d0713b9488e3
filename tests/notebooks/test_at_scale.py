"""Notebooks 04 and 05 in profile gpu, from folders laid out as a checkpoint and the published data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat
import pytest

from instit_lite.classroom.runner import find_notebooks, main, run_notebook
from instit_lite.errors import InstitError

sys.path += [str(Path(__file__).parents[1] / room) for room in ("dataset", "model")]
import published  # noqa: E402
from tiny_checkpoints import make  # noqa: E402

LIMIT = 300  # seconds: it takes some twenty on an idle core


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint, INST-IT Dataset and LLaVA-NeXT-Data."""
    root = tmp_path_factory.mktemp("local")
    model = make(root / "llava-v1.6-vicuna-7b-hf", "llava_next")
    return model, published.inst_it(root / "data"), published.llava_next(root / "general", shards=3, each=4)


def executed(name: str, tmp_path: Path, monkeypatch, **parameters) -> tuple[str, object]:
    """Run a notebook strictly in profile gpu; return all text that its cells printed, and its status."""
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path / "build"))
    (path,) = find_notebooks([name])
    status = run_notebook(path, profile="gpu", parameters=parameters, output_dir=tmp_path, cell_limit=LIMIT)
    cells = nbformat.read(tmp_path / path.name, as_version=4).cells
    said = "".join(out.get("text", "") for cell in cells if cell.cell_type == "code" for out in cell.outputs)
    return said, status


def test_notebook_04_looks_at_a_real_checkpoint(folders, tmp_path, monkeypatch):
    said, status = executed("04", tmp_path, monkeypatch, model=str(folders[0]))
    assert status.ok, status.findings
    assert "pixels [1, 3, 336, 336] -> states [1, 576, 16] -> visual tokens [1, 576, 32]" in said
    assert "576 tokens -> 144 pooled tokens" in said and "(576 tokens)" in said
    assert said.count("The words of this lesson are the micro base's") == 1
    assert "encoder layer 0: frozen" in said and "encoder layer 1: trains, gradient arrived: True" in said


def test_notebook_05_trains_a_real_checkpoint_on_the_published_layout(folders, tmp_path, monkeypatch):
    model, data, general = map(str, folders)
    sizes = {"steps": 2, "batch": 4, "n_moved": 2}
    said, status = executed("05", tmp_path, monkeypatch, model=model, data=data, general=general, **sizes)
    assert status.ok, status.findings
    assert "Tokens per dialogue" in said and "samples: 8 of" in said and "2 steps" in said
    assert said.count("This lesson needs the gradients of all weights") == 1
    assert "of 2 pictures" in said and "peak memory: predicted" in said
    card = json.loads((tmp_path / "build/adapter/gpu-notebook/adapter/adapter_card.json").read_text())
    assert card["base"] == model and card["frozen_layers"] == 1


def test_parameters_can_be_set_from_the_command_line(monkeypatch, tmp_path):
    given = {}

    def note(path, **options):
        given.update(options, name=path.stem)
        raise InstitError("seen")

    monkeypatch.setattr("instit_lite.classroom.runner.run_notebook", note)
    with pytest.raises(InstitError, match="seen"):
        main(["04", "--profile", "gpu", "--set", f"model={tmp_path}", "--set", "steps=2"])
    assert given["name"] == "04_visual_tokens" and given["parameters"] == {"model": str(tmp_path), "steps": 2}
    with pytest.raises(InstitError, match="no value"):
        main(["04", "--set", "model"])
