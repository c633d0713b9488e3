"""From dialogues to samples: nothing lost, everything about one picture on one prefix."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from instit_lite.dataset.dialogues import general_dialogue, qa_dialogue
from instit_lite.model.load import load_base
from instit_lite.training.recipe import DialogueSamples, parts_of, samples_of, split_turns


@pytest.fixture(scope="module")
def base():
    return load_base("micro")


@pytest.fixture()
def root(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / name)
    return tmp_path


def pairs(n):
    return [(f"what colour is [{i % 5 + 1}]?", "red") for i in range(n)]


def test_the_turns_of_a_dialogue_share_a_prefix(base, root):
    dialogues = [qa_dialogue("a.png", pairs(3), "1"), qa_dialogue("b.png", pairs(1), "2")]
    samples = DialogueSamples(root, parts_of(base, dialogues))
    assert [len(s.turns) for s in (samples[i] for i in range(len(samples)))] == [3, 1]
    assert samples[0].frames.shape == (1, 64, 64, 3) and samples[0].kind == "image"


@pytest.mark.parametrize("n, room", [(1, 5), (30, 60), (31, 100), (7, 10_000)])
def test_splitting_loses_nothing_and_fills_evenly(base, n, room):
    turns = [(f"what colour is [{i % 5 + 1}]?", "red " * (1 + i % 4)) for i in range(n)]
    parts = split_turns(base, turns, room)
    assert sorted(t for part in parts for t in part) == sorted(turns)
    lengths = [sum(len(base.ids(base.template.ask(q) + base.template.answer(a))) for q, a in part) for part in parts]
    longest = max(len(base.ids(base.template.ask(q) + base.template.answer(a))) for q, a in turns)
    assert max(lengths) - min(lengths) <= longest
    assert max(lengths) <= room + longest


def test_the_mix_has_its_shares_and_uses_all_before_any_again(base, root):
    own = [qa_dialogue("a.png", pairs(40), "q"), {**qa_dialogue("b.png", pairs(2), "v"), "kind": "video_qa", "group": 3}]
    general = [general_dialogue("c.png", pairs(1), "g"), general_dialogue(None, pairs(1), "t")]
    samples = samples_of(base, own, general, root, 88, seed=0)
    count = Counter(kind for kind, _, _ in samples.parts)
    assert count == {"image_qa": 26, "video_qa": 42, "general": 20}
    repeats = Counter(str(part) for part in samples.parts if part[0] == "image_qa")
    assert max(repeats.values()) - min(repeats.values()) <= 1
    assert {samples[i].kind for i in range(88)} == {"image", "video", "text"}
    assert samples.parts == samples_of(base, own, general, root, 88, seed=0).parts
    assert samples.parts != samples_of(base, own, general, root, 88, seed=1).parts
    half = Counter(kind for kind, _, _ in samples_of(base, own, general, root, 136, seed=0, share=0.5).parts)
    assert half == {"general": 68, "image_qa": 26, "video_qa": 42}
