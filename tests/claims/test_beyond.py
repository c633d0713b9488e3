"""A second round of training: what is asked and doubted without the truth, what is kept, the whole at a tiny size."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from instit_lite.claims import annotator, beyond
from instit_lite.claims.annotator import annotate, dialogues_of, doubts, true_answers, truthful, units, without
from instit_lite.claims.beyond import change, measure, new_seeds
from instit_lite.dataset.build import BUILDS, SEED_STEP, first_scene
from instit_lite.evaluation.pictures import draw
from instit_lite.model.load import load_base
from instit_lite.model.qlora import QLora, attach_qlora
from instit_lite.model.adapter import base_facts, save_adapter
from instit_lite.profiles import get_profile
from instit_lite.scenes.seeds import BENCH_SEED

FIRST = new_seeds(0)
SCENES = [draw("video", FIRST["clips"] + 1, 4), draw("image", FIRST["pictures"] + 2, 1)]


@pytest.fixture
def told(monkeypatch):
    """Return a function: annotations of two scenes by a model that knows all, but for `slip(question, truth)`."""

    def write(slip=lambda question, answer: answer):
        def answer(base, shown, asked, batch, said):
            for a in asked:
                drawn = SCENES[a.clip]
                frame = replace(drawn, split="image", facts=drawn.facts[a.start : a.stop])
                whole = a.stop - a.start == len(drawn.clock)
                known = true_answers(drawn if whole else frame) | (true_answers(frame) if a.split == "image" else {})
                true = known.get(a.question, "yes")
                if a.question == annotator.ASK_CHANGE:
                    true = annotator.change_caption(annotator.changes(*drawn.facts[a.start : a.stop]))
                said[a] = slip(a.question, true)

        monkeypatch.setattr(annotator, "answer", answer)
        return annotate(None, SCENES)

    return write


def test_what_is_true_is_kept_and_becomes_dialogues(told):
    for number, one in enumerate(told()):
        found = units(one)
        assert found and np.mean([right for _, _, right in found]) > 0.9  # masks may name a question that does not apply
        wrong = {unit for unit, _, right in found if not right}
        assert set(doubts(one)) <= wrong
        kinds = {d["kind"] for d in dialogues_of(number, one, without(one.annotation, doubts(one)), "clip")}
        assert kinds == ({"frame", "temporal_change", "video_qa"} if number == 0 else {"image", "image_qa"})


def test_a_wrong_motion_and_a_wrong_moment_are_doubted_by_the_masks(told):
    def slip(question, answer):
        if question.startswith("which way"):
            return {"left": "right", "it stays": "up"}.get(answer, "it stays")
        return "<1>" if question.startswith("when") else answer

    clip = told(slip)[0]
    wrong = {("question", n) for n, q in enumerate(clip.asked, start=1) if q.kind in ("motion", "enters", "leaves")}
    assert wrong and {unit for unit, why in doubts(clip).items() if why == "masks"} >= wrong
    left = without(clip.annotation, doubts(clip)).question_answer_pairs
    assert not [p for p in left if p.question.startswith(("which way", "when"))]


def test_a_colour_is_doubted_that_contradicts_the_phrase_and_so_is_the_phrase(told):
    picture = told(lambda question, answer: "pink" if question.startswith("what colour") else answer)[1]
    found = doubts(picture)
    colours = {("question", n) for n, q in enumerate(picture.asked, start=1) if q.kind == "colour"}
    assert colours and {unit for unit, why in found.items() if why == "looks"} == colours | {("frame", 1)}
    assert without(picture.annotation, found).frames[0].instances == []


def test_a_wrong_place_is_found_by_the_kits_own_audit(told):
    def slip(question, answer):
        opposite = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
        return " ".join(opposite.get(w, w) for w in answer.split()) if question.startswith("where") else answer

    assert doubts(told(slip)[1])[("frame", 1)] == "place"


def test_doubts_do_not_read_the_scene(told):
    for one in told(lambda question, answer: "large" if answer == "small" else answer):
        assert doubts(replace(one, drawn=replace(one.drawn, scene=None, facts=(), questions=[]))) == doubts(one)


def test_the_truth_of_an_annotation_is_right_everywhere(told):
    for one in told(lambda question, answer: "no"):
        asked = [q for q in one.asked if q.question in true_answers(one.drawn)]
        assert all(right for _, _, right in units(replace(one, annotation=truthful(one), asked=asked)))


def test_new_scenes_belong_to_no_build_and_to_no_bench():
    for seed in range(BUILDS):
        own = sorted(new_seeds(seed).values())
        end = first_scene(seed) + 4 * SEED_STEP
        assert end - SEED_STEP <= own[0] and own[-1] + SEED_STEP // 4 <= end <= BENCH_SEED


def test_what_another_model_left_is_removed(tmp_path):
    for identity, left in (({"adapter": "a"}, False), ({"adapter": "a"}, True), ({"adapter": "b"}, False)):
        beyond.begin(tmp_path / "seed0", identity)
        assert (tmp_path / "seed0" / "said.json").exists() is left
        (tmp_path / "seed0" / "said.json").write_text("[]")


def test_a_measurement_goes_on_and_gives_differences(tmp_path):
    profile = replace(get_profile("smoke"), n_bench=8, sft_batch=2)
    base = load_base("micro")
    facts = base_facts(base)
    save_adapter(attach_qlora(base.model, QLora(4, None, None, True)), tmp_path / "adapter", **facts)
    first = measure(profile, [tmp_path / "adapter"], tmp_path / "out", say=lambda line: None)
    said = []
    again = measure(profile, [tmp_path / "adapter"], tmp_path / "out", say=said.append)
    assert again["seeds"] == first["seeds"] and any("finished" in line for line in said)
    assert json.loads(json.dumps(first)) == first
    marks = first["seeds"][0]["marks"]
    assert set(marks) == {beyond.BEFORE, *beyond.ROUNDS, beyond.POINTED}
    assert {len(m["bench"]) for m in marks.values()} == {24} and len(marks[beyond.POINTED]["dot"]) == 8
    found = change(first, "filtered", beyond.BEFORE, "video")
    assert found.low <= found.mean <= found.high and found.n == 8
    same = change(first, beyond.BEFORE, beyond.BEFORE, what="dot")
    assert same.mean == 0 and same.low < 0 < same.high
