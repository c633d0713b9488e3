"""The command line: help for every command, one line and exit code 2 for bad input, a doctor that tells."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from instit_lite import cli
from instit_lite.classroom import doctor
from instit_lite.errors import UnreadableInput

COMMANDS = ("doctor", "annotate", "batch", "build", "plan", "train", "evaluate", "outside", "claims", "convert", "merge", "verify")


def stopped(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return caught.value.code


def test_help_lists_every_command(capsys):
    assert stopped(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert stopped([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"instit-lite {command}" in said and len(said.splitlines()) > 4


def test_the_readme_lists_every_command():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"`instit-lite {' | '.join(COMMANDS)}`" in text and f"cli.py                  {', '.join(COMMANDS)}" in text


def test_annotate_help_says_when_something_leaves_the_machine(capsys):
    stopped(["annotate", "--help"])
    assert "--online" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["build", "train", "evaluate"])
def test_wrong_profile_is_named_with_the_choices(command, capsys):
    assert stopped([command, "--profile", "huge"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "huge" in last and "smoke" in last and "Traceback" not in last


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["annotate"], ["annotate", "clip.mp4"], ["build", "--seed", "x"]]
)
def test_what_cannot_be_parsed_ends_with_code_2(arguments, capsys):
    assert stopped(arguments) == 2
    assert "error:" in capsys.readouterr().err


def only_line(capsys) -> str:
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    return line


def test_typed_error_is_one_line_and_code_2(monkeypatch, capsys, tmp_path):
    def refuse(profile, seed, out):
        raise UnreadableInput("there is no such file", path=tmp_path / "a.mp4", cure="name one that exists")

    room = ModuleType("instit_lite.dataset.build")
    room.build_micro = refuse
    monkeypatch.setitem(sys.modules, "instit_lite.dataset", ModuleType("instit_lite.dataset"))
    monkeypatch.setitem(sys.modules, "instit_lite.dataset.build", room)
    assert cli.main(["build", "--profile", "smoke", "--out", str(tmp_path / "out")]) == 2
    line = only_line(capsys)
    assert line == f"UnreadableInput: {tmp_path / 'a.mp4'}: there is no such file. Cure: name one that exists"


def test_missing_clip_is_one_line_and_nothing_is_written(capsys, tmp_path):
    pytest.importorskip("instit_lite.dataset.annotate")
    missing = tmp_path / "none.mp4"
    assert cli.main(["annotate", str(missing), "--out", str(tmp_path / "out")]) == 2
    assert str(missing) in only_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command, option, room",
    [("train", "--data", "training.recipe"), ("evaluate", "--adapter", "evaluation.run")],
)
def test_missing_folder_is_one_line_and_nothing_is_written(command, option, room, capsys, tmp_path):
    pytest.importorskip(f"instit_lite.{room}")
    missing, out = tmp_path / "none", tmp_path / "out"
    assert cli.main([command, "--profile", "smoke", option, str(missing), "--out", str(out)]) == 2
    assert str(missing) in only_line(capsys)
    assert not out.exists() or not any(out.iterdir())


def test_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupt(tell):
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", interrupt)
    assert cli.main(["doctor"]) == 130
    assert "stopped" in only_line(capsys)


def test_doctor_tells_every_check_and_never_the_key(monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-to-be-seen")
    code = cli.main(["doctor"])
    said = capsys.readouterr().out
    lines = said.strip().splitlines()
    assert len(lines) == len(doctor.CHECKS) and all(line.startswith(("ok   ", "FAIL ")) for line in lines)
    assert code == int(any(line.startswith("FAIL") for line in lines))
    assert "sk-never-to-be-seen" not in said and "OPENAI_API_KEY: set" in said


def test_doctor_fails_with_a_cure(monkeypatch, capsys):
    bad = doctor.Check("memory", False, "0.1 of 1.0 GB available", "close other programs")
    monkeypatch.setattr(doctor, "CHECKS", {"memory": lambda: bad})
    assert cli.main(["doctor"]) == 1
    said = "FAIL memory: 0.1 of 1.0 GB available. Cure: close other programs (docs/troubleshooting.md#memory)\n"
    assert capsys.readouterr().out == said


def test_results_are_told(monkeypatch, capsys, tmp_path):
    room = ModuleType("instit_lite.training.recipe")
    done = SimpleNamespace(losses=[2.0, 0.5], seconds=3.2)
    room.train_on_dataset = lambda profile, data, out, seed, steps, tensorboard: done
    monkeypatch.setitem(sys.modules, "instit_lite.training.recipe", room)
    assert cli.main(["train", "--profile", "smoke", "--data", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert "loss 2.000 -> 0.500 in 3 s" in capsys.readouterr().out


def test_another_model_can_be_evaluated(monkeypatch, capsys, tmp_path):
    room = ModuleType("instit_lite.evaluation.run")
    room.evaluate_adapter = lambda profile, adapter, out, seed: f"{profile.name} {profile.model}"
    monkeypatch.setitem(sys.modules, "instit_lite.evaluation.run", room)
    for given, used in ((["--model", "folder"], "folder"), ([], "micro")):
        assert cli.main(["evaluate", "--profile", "smoke", "--out", str(tmp_path), *given]) == 0
        assert capsys.readouterr().out == f"smoke {used}\n"


def test_verify_tells_decisions_and_agreement_and_exports(annotated, capsys, tmp_path):
    from instit_lite.dataset.decisions import DecisionFile
    from instit_lite.dataset.doubts import Annotations

    folder = annotated()
    assert cli.main(["verify", str(folder)]) == 0
    assert "10 items, annotated by a test" in (said := capsys.readouterr().out) and "0 reviewers" in said
    for name in ("ann", "ben"):
        found = Annotations(folder)
        for item in found.items[:4]:
            DecisionFile(found.beside, name).decide(item, "reject" if item.mark_id == 2 else "accept")
    assert cli.main(["verify", str(folder), "--label-studio", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Agreement of ann and ben" in said and "ann: 4 of 10 items decided (3 accept, 0 edit, 1 reject), 6 open" in said
    assert f"wrote {tmp_path / 'out' / 'tasks.json'}" in said and (tmp_path / "out" / "config.xml").exists()
    assert cli.main(["verify", str(tmp_path / "none")]) == 2
    assert "no such folder" in only_line(capsys)
