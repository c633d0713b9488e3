"""TensorBoard: the same numbers as the log where it is installed, one line with the cure where it is not."""

import sys
from types import ModuleType

import pytest

from instit_lite import cli
from instit_lite.errors import PreflightError
from instit_lite.profiles import read_lines
from instit_lite.training.board import FOLDER
from instit_lite.training.settings import SftSettings
from instit_lite.training.sft import run_sft

SHORT = SftSettings(steps=4, batch=2, rank=4, nf4=False, save_every=2)
MODULE = "torch.utils.tensorboard"


class Writer:
    """Stands in for TensorBoard's writer, so that this is tested where it is not installed."""

    made: list = []

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step, self.scalars, self.closed = folder, purge_step, [], False
        self.made.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        pass

    def close(self):
        self.closed = True


def test_every_number_of_the_log_is_a_curve(new_base, mixed, tmp_path, monkeypatch):
    fake = ModuleType(MODULE)
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, MODULE, fake)
    done = run_sft(new_base(), mixed, SHORT, tmp_path, tensorboard=True, say=lambda line: None)
    (writer,) = Writer.made
    assert writer.folder == str(tmp_path / FOLDER) and writer.purge_step == 1 and writer.closed
    expected = [(f"train/{name}", row[name], row["step"])
                for row in read_lines(done.log) for name in row if name != "step"]  # fmt: skip
    assert writer.scalars == expected and ("train/loss", done.losses[3], 4) in expected


def test_without_tensorboard_it_is_said_before_anything_starts(new_base, mixed, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(PreflightError, match="not installed.*pip install tensorboard"):
        run_sft(new_base(), mixed, SHORT, tmp_path / "out", tensorboard=True, say=lambda line: None)
    assert not (tmp_path / "out").exists()
    assert cli.parser().parse_args(["train", "--tensorboard"]).tensorboard


def test_the_real_one_reads_what_was_written(new_base, mixed, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run_sft(new_base(), mixed, SHORT, tmp_path, tensorboard=True, say=lambda line: None)
    found = EventAccumulator(str(tmp_path / FOLDER)).Reload().Scalars("train/loss")
    assert [event.step for event in found] == [1, 2, 3, 4]
    assert [event.value for event in found] == pytest.approx(done.losses)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "losses.jsonl", "run.json", FOLDER]
