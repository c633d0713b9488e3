"""From the published folders to an adapter: counted before, mixed by Table 7, bad pictures passed over."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from instit_lite import cli
from instit_lite.dataset.quarantine import Quarantine
from instit_lite.dataset.statistics import format_table
from instit_lite.errors import PreflightError
from instit_lite.model.load import load_base
from instit_lite.profiles import get_profile
from instit_lite.training.collator import encode
from instit_lite.training.lengths import Length, length_of, length_table
from instit_lite.training.released import Source, samples_of_released, train_on_released

sys.path += [str(Path(__file__).parents[1] / room) for room in ("dataset", "model")]
import published  # noqa: E402
from tiny_checkpoints import make  # noqa: E402

SMOKE = get_profile("smoke")


@pytest.fixture(scope="module")
def base():
    return load_base("micro")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path / "build"))
    return published.inst_it(tmp_path / "data"), published.llava_next(tmp_path / "general", shards=3, each=8)


def drawn(base, folders, n=1000, general=True, profile=SMOKE, **changes):
    """The samples, what was said, and the quarantine."""
    said, left_out = [], Quarantine(folders[0].parent / "quarantine.jsonl")
    source = Source(folders[0], folders[1] if general else None, **changes)
    return samples_of_released(base, profile, source, n, 0, left_out, said.append), "\n".join(said), left_out


def kinds(samples):
    return {kind for kind, _, _ in samples.parts}


@pytest.mark.parametrize("line, wanted", enumerate([
    set(), {"frame"}, {"frame", "temporal_change"}, {"frame", "temporal_change", "video_qa", "video_caption"},
    {"frame", "temporal_change", "video_qa", "video_caption", "image"},
]))  # fmt: skip
def test_a_line_of_table_7_adds_its_kinds_to_the_lines_before(base, folders, line, wanted):
    many = replace(SMOKE, n_general=24)
    samples, _, _ = drawn(base, folders, line=line, profile=many, general=line == 0)
    assert kinds(samples) == (wanted or {"general"})


def test_the_mix_has_the_papers_share_and_the_samples_are_whole(base, folders):
    samples, said, left_out = drawn(base, folders, profile=replace(SMOKE, n_general=24))
    count = sum(kind == "general" for kind, _, _ in samples.parts)
    assert abs(count / len(samples) - 0.76) < 0.05 and left_out.count == 0
    for sample in (samples[i] for i in range(len(samples))):
        assert sample.kind == "text" or sample.frames.shape[1:] == (*published.SHAPE, 3)
    assert "Tokens per dialogue" in said and "<0> read as <1> (2)" in said and "(0)" not in said
    assert "quarantined: 0" in said


def test_raw_frames_are_a_control_that_has_to_be_asked_for(base, folders, tmp_path, capsys):
    with pytest.raises(PreflightError, match=r"video-1-frame-1 speaks of \[1\].*--unmarked"):
        drawn(base, folders, frames="raw")
    samples, said, left_out = drawn(base, folders, frames="raw", unmarked=True, general=False)
    assert "a control: 15 dialogues speak of marks" in said and left_out.count == 0
    assert {samples[i].marked for i in range(len(samples))} == {False}
    command = ["train", "--profile", "smoke", "--data", str(folders[0]), "--frames", "raw", "--steps", "1",
               "--out", str(tmp_path / "out")]  # fmt: skip
    assert cli.main(command) == 2 and "carry no marks" in capsys.readouterr().err
    assert cli.main([*command, "--unmarked"]) == 0 and "a control: " in capsys.readouterr().out


def test_general_pictures_that_speak_of_marks_are_left_out_and_named(base, folders, monkeypatch):
    row = {"id": "odd", "conversations": published.talk("what is [2]?"), "image": {"bytes": published.jpeg(0)}}
    text = row | {"conversations": published.talk("what is [2]?", head=""), "image": None}
    rows = [row, text, *published.rows(3)]
    monkeypatch.setattr("instit_lite.dataset.llava_next.shard_rows", lambda source, n, seed: rows)
    samples, _, left_out = drawn(base, folders)
    assert left_out.count == 1 and "general-odd speaks of [2]" in left_out.first[0]
    general = [samples[i] for i, part in enumerate(samples.parts) if part[0] == "general"]
    assert {sample.marked for sample in general} == {False}


def test_lengths_are_those_of_the_training_rows(base, folders):
    samples, _, _ = drawn(base, folders, general=False)
    for i, (kind, paths, turns) in enumerate(samples.parts):
        words = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn)]
        words[0]["value"] = "<image>\n" * len(paths) + words[0]["value"]
        found = length_of(base, {"id": "", "image": paths, "conversations": words, "kind": kind}, folders[0])
        row = encode(base, samples[i])
        longest = max(len(branch.ids) for branch in row.branches)
        assert found.positions == len(row.prefix) + longest
        assert found.text + found.visual == len(row.prefix) + sum(len(branch.ids) for branch in row.branches)


def test_the_table_counts_what_does_not_fit():
    table = length_table([Length("a", 10, 144, 154), Length("a", 30, 288, 700), Length("b", 9, 0, 701)], 700)
    assert table["columns"][-3:] == ["to 512", "to 700", "over 700"]
    assert table["rows"] == [["a", 2, 20, 29, 30, 216, 288, 1, 1, 0], ["b", 1, 9, 9, 9, 0, 0, 0, 0, 1],
                             ["all", 3, 10, 28, 30, 144, 288, 1, 1, 1]]  # fmt: skip
    assert "over 700" in format_table(table)
    assert length_table([], 700)["rows"] == []


def test_what_exceeds_frames_or_context_is_left_out_and_named(base, folders):
    clips = [published.clip(1, n_frames=5), published.clip(2)]
    clips[1]["video_level_caption"] = "red " * 3000
    published.inst_it(folders[0], clips)
    samples, said, left_out = drawn(base, folders, general=False)
    reasons = [json.loads(line)["reason"] for line in left_out.path.read_text().splitlines()]
    assert sum("5 frames, more than 4" in reason for reason in reasons) == 2, "its questions and its summary"
    assert sum("positions, the model has" in reason for reason in reasons) == 1 and left_out.count == 3
    assert kinds(samples) == {"frame", "temporal_change", "video_qa", "image"}
    assert len(samples) == 5 + 4 + 3 + 2 + 1 + 1


def test_a_damaged_picture_is_passed_over_and_named(base, folders):
    (folders[0] / "images_vpt/sa_1.jpg").write_bytes(published.jpeg(0)[:300])
    samples, _, left_out = drawn(base, folders, general=False)
    bad = next(i for i, part in enumerate(samples.parts) if part[0] == "image")
    assert samples[bad].turns == samples[(bad + 1) % len(samples)].turns
    assert samples[bad].frames is not None and left_out.count == 1, "named once"
    assert json.loads(left_out.path.read_text())["path"].endswith("sa_1.jpg")


def test_training_runs_and_resumes_from_the_command_line(folders, tmp_path, capsys):
    command = ["train", "--profile", "smoke", "--data", str(folders[0]), "--general", str(folders[1]),
               "--steps", "2", "--out", str(tmp_path / "out")]  # fmt: skip
    assert cli.main([*command, "--report"]) == 0
    assert "Tokens per dialogue" in capsys.readouterr().out and not (tmp_path / "out/adapter").exists()
    assert cli.main(command) == 0
    assert (tmp_path / "out/adapter").is_dir() and (tmp_path / "out/quarantine.jsonl").read_text() == ""
    assert cli.main(command) == 0
    assert "this run is finished" in capsys.readouterr().out


def test_a_real_base_is_reported_on_without_its_weights_and_trained(folders, tmp_path):
    profile, said = replace(SMOKE, model=str(make(tmp_path / "base", "llava_next")), n_frames=32), []
    source = Source(folders[0], folders[1])
    assert train_on_released(profile, source, tmp_path / "out", steps=1, report_only=True, say=said.append) is None
    report = said[:]
    done = train_on_released(profile, source, tmp_path / "out", steps=1, say=said.append)
    assert report[0].split("\n")[2:] == said[len(report)].split("\n")[2:] and len(done.losses) == 1


def test_clips_that_do_not_fit_are_named_with_every_way_out_and_fit_when_pooled_so(tmp_path):
    """32 SigLIP frames in a context of 6,144: 196 tokens each are left out, 169 are not."""
    data = published.inst_it(tmp_path / "data", [published.clip(1, n_frames=32)])
    base, said = make(tmp_path / "base", "llava_onevision", "siglip", "qwen2"), []
    profile = replace(SMOKE, model=str(base), n_frames=32)
    for pool, left_out in (("bilinear", 2), ("average", 0)):
        train_on_released(profile, Source(data), tmp_path / pool, report_only=True, say=said.append, pool=pool)
        lines = (tmp_path / pool / "quarantine.jsonl").read_text().splitlines()
        assert len(lines) == left_out and f"quarantined: {left_out}" in said[-2]
        for cure in (json.loads(line)["cure"] for line in lines):
            assert all(way in cure for way in ("of 32 fit", 'pool="average"', "13 x 13", "context=7168"))


def test_the_command_line_chooses_pooling_and_fit(folders, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("instit_lite.training.released.train_on_released", lambda *_, **options: given.update(options))
    command = ["train", "--data", str(folders[0]), "--pool", "average", "--fit", "crop", "--context", "512"]
    assert cli.main(command) == 0
    assert (given["pool"], given["fit"], given["context"]) == ("average", "crop", 512)
