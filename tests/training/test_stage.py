"""What a notebook starts from: the micro world as it is trained everywhere, or a real base that fits a small card."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from instit_lite.classroom.start import start
from instit_lite.model.load import load_base
from instit_lite.model.nf4 import count_linears, import_bitsandbytes
from instit_lite.model.pixels import as_picture
from instit_lite.profiles import get_profile
from instit_lite.training.collator import Sample
from instit_lite.training.stage import Stage, load_to_ask

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny_checkpoints import make  # noqa: E402


def test_parameters_change_the_profile_only_where_they_say_something(capsys):
    profile, _ = start("gpu", 0, model="folder", sft_steps=3, sft_batch=0)
    assert profile == replace(get_profile("gpu"), model="folder", sft_steps=3)
    assert "model folder · sft_steps 3\n" in capsys.readouterr().out
    assert start("micro", 0, model="", sft_steps=0)[0] == get_profile("micro")


@pytest.mark.skipif(import_bitsandbytes() is None, reason="no bitsandbytes here")
def test_a_real_base_is_asked_in_nf4_and_the_micro_base_as_it_is(tmp_path):
    real, micro = load_to_ask(str(make(tmp_path / "next", "llava_next")), context=6144), load_to_ask("micro")
    assert count_linears(real.model)["language"] == {"nf4": 14, "full": 0, "lora": 0}
    assert count_linears(micro.model)["language"]["nf4"] == 0
    assert real.model.config.text_config.max_position_embeddings == 6144


def test_lessons_with_all_gradients_keep_the_micro_base(tmp_path):
    base, said = load_base("micro"), []
    own = Stage(get_profile("smoke"), 0, base, [], tmp_path)
    assert own.small(said.append) == (base, []) and said == []


def test_the_picture_shown_is_a_single_one_where_there_is_one(tmp_path):
    def sample(kind, n):
        return Sample(np.zeros((n, 8, 8, 3), np.uint8) if n else None, kind, [("a?", "b")])

    text, clip, pair, single = sample("text", 0), sample("video", 3), sample("image", 2), sample("image", 1)
    stage = Stage(get_profile("smoke"), 0, None, [text, clip, pair, single], tmp_path)
    assert stage.picture() is single
    stage.samples = [text, clip, pair]
    assert stage.picture() is clip


def test_a_picture_is_what_it_was_before_it_was_normalised():
    base, frame = load_base("micro"), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.allclose(as_picture(base.pixels(frame[None])[0], base.form), frame / 255, atol=1e-6)
    other = replace(base.form, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    shown = as_picture(replace(base, form=other).pixels(frame[None])[0], other)
    assert np.allclose(shown, frame / 255, atol=1e-6)
