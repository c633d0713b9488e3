"""Answers come from the model's own generate, whatever the batch, and survive a kill."""

import json
from dataclasses import replace

import pytest
import torch

from instit_lite.evaluation import answer, report
from instit_lite.evaluation.answer import answer_batch, answer_items, pad_left, read_answer, tokens_of, visual_outputs
from instit_lite.evaluation.bench import build_bench
from instit_lite.evaluation.report import answer_and_keep
from instit_lite.evaluation.score import UNFINISHED
from instit_lite.model.load import load_base
from instit_lite.profiles import get_profile
from instit_lite.training.collator import Sample, collate
from instit_lite.training.trainer import answer_states


@pytest.fixture(scope="module")
def base():
    return load_base("micro")


@pytest.fixture(scope="module")
def items():
    return build_bench(replace(get_profile("smoke"), n_bench=9), view="bare")


@pytest.fixture(scope="module")
def answers(base, items):
    return answer_items(base, items, batch=64, progress=False)


def test_batch_size_changes_no_answer(base, items, answers):
    assert len(set(answers)) > 3 and all(isinstance(text, str) for text in answers)
    assert answer_items(base, items, batch=1, progress=False) == answers
    assert answer_items(base, items[::-1], batch=5, progress=False) == answers[::-1]


def test_generate_says_what_the_training_forward_says(base, items, answers):
    """Teacher-forced on generate's own answer, training's batch and forward predict that answer."""
    for item, text in list(zip(items, answers))[::3]:
        assert not text.endswith(UNFINISHED)
        sample = Sample(item.frames, "video" if item.split == "video" else "image", [(item.prompt, text)])
        with torch.no_grad():
            states, targets = answer_states(base.model, collate(base, [sample]))
        assert base.model.get_output_embeddings()(states).argmax(-1).tolist() == targets.tolist()


def test_the_first_token_is_the_argmax_of_a_plain_forward(base, items):
    for split in ("image", "video"):
        item = next(i for i in items if i.split == split)
        prompt = tokens_of(base, item, blind=False)
        with torch.no_grad():
            logits = base.model(
                input_ids=torch.tensor([prompt]), mm_encoder_outputs=visual_outputs(base, [item])
            ).logits
        said = answer_batch(base, [item], [prompt], blind=False, max_new_tokens=1)[0]
        assert said == read_answer(base, [int(logits[0, -1].argmax())], answer.end_tokens(base))


def test_the_picture_reaches_the_model(base, items, answers):
    dark = [replace(item, frames=item.frames * 0) for item in items]
    assert answer_items(base, dark, progress=False) != answers
    blind = answer_items(base, items, blind=True, progress=False)
    assert blind != answers and blind == answer_items(base, dark, blind=True, progress=False)
    assert base.model.config.image_token_id not in tokens_of(base, items[0], blind=True)


def test_an_answer_without_an_end_is_marked(base, items, answers):
    cut = answer_items(base, items, progress=False, max_new_tokens=1)
    assert all(text.endswith(UNFINISHED) == bool(whole) for text, whole in zip(cut, answers))


def test_a_full_description_has_room(base):
    longest = ", ".join(["small purple triangle"] * 4)
    assert len(base.ids(longest)) < answer.MAX_NEW_TOKENS


def test_padding_stands_left():
    ids, mask = pad_left([[5, 6, 7], [8]], 0, torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]] and mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_killed_run_goes_on(base, items, answers, tmp_path, monkeypatch):
    path = tmp_path / "base.jsonl"
    calls = []

    def killed(*rest):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return answer_batch(*rest)

    monkeypatch.setattr(answer, "answer_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        answer_and_keep(base, items, path, batch=4, progress=False)
    with open(path, "a") as file:
        file.write('{"key": "cut sho')  # what a kill in the middle of a line leaves
    calls.append(1)
    asked = []
    monkeypatch.setattr(answer, "answer_batch", lambda *rest: asked.extend(rest[1]) or answer_batch(*rest))
    assert answer_and_keep(base, items, path, batch=64, progress=False) == answers
    assert len(asked) == len(items) - 8
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == len(items) + 1
    assert {"question_id", "question", "model_prediction", "ground_truth", "split"} <= set(lines[1])


def test_answers_of_another_model_or_picture_do_not_count(base, items, tmp_path):
    path = tmp_path / "base.jsonl"
    file = report.PredictionFile(path, {"weights": "one"})
    file.keep(items[:2], ["red", "blue"])
    assert report.PredictionFile(path, {"weights": "one"}).known(items) == {
        items[0].key: "red", items[1].key: "blue",
    }  # fmt: skip
    changed = [replace(items[0], frames=255 - items[0].frames), items[1]]
    assert list(report.PredictionFile(path, {"weights": "one"}).known(changed)) == [items[1].key]
    assert report.PredictionFile(path, {"weights": "two"}).known(items) == {}


def test_the_fingerprint_sees_a_change_of_weights(base):
    before = report.model_fingerprint(base)
    weight = base.model.lm_head.weight
    with torch.no_grad():
        weight[0, 0] += 1
        after = report.model_fingerprint(base)
        weight[0, 0] -= 1
    assert before != after
