from dataclasses import replace

import pytest
import torch

from instit_lite.errors import PreflightError
from instit_lite.training.collator import Sample, collate, encode, prompt_ids
from instit_lite.training.packing import IGNORE


def placeholders(base, batch, kind):
    token = base.model.config.video_token_id if kind == "video" else base.model.config.image_token_id
    return (batch["input_ids"] == token).sum(dim=1).tolist()


def test_only_videos_are_pooled(base, mixed):
    batch = collate(base, mixed)
    assert placeholders(base, batch, "image") == [16, 0, 32, 0]
    assert placeholders(base, batch, "video") == [0, 12, 0, 0]
    assert batch["image_pixels"].shape == (3, 3, 32, 32)
    assert batch["video_pixels"].shape == (3, 3, 32, 32)


def test_labels_are_answers_with_their_end(base, mixed):
    batch = collate(base, mixed)
    for labels, sample in zip(batch["labels"], mixed):
        text = base.tokenizer.decode(labels[labels != IGNORE])
        assert text == " ".join(f"{answer} </s>" for _, answer in sample.turns)


def test_one_per_sample_repeats_the_visual_input(base, sample):
    batch = collate(base, [sample("video", 2, turns=3)], "one_per_sample")
    assert batch["input_ids"].shape[0] == 3
    assert batch["video_pixels"].shape[0] == 6
    assert batch["video_pixels"][:2].equal(batch["video_pixels"][4:])


def test_frames_have_their_names_before_them_where_the_template_names_them(base, sample):
    text = base.tokenizer.decode(encode(base, sample("video", 2)).prefix)
    pooled = " ".join(["<video>"] * 4)
    assert f"< 1 > {pooled} < 2 > {pooled}" in text
    named = replace(sample("video", 2), names=(4, 2))
    assert f"< 4 > {pooled} < 2 > {pooled}" in base.tokenizer.decode(encode(base, named).prefix)
    silent = replace(base, template=replace(base.template, frame=""))
    assert f"USER {pooled} {pooled}" in silent.tokenizer.decode(encode(silent, sample("video", 2)).prefix).replace(" :", "")


def test_one_picture_has_a_name_only_where_it_is_given_some(base, sample):
    assert "< 1 >" not in base.tokenizer.decode(encode(base, sample("image")).prefix)
    strips = replace(sample("image"), names=(3, 1))
    text = base.tokenizer.decode(encode(base, strips).prefix)
    half = " ".join(["<image>"] * 8)
    assert f"< 3 > {half} < 1 > {half}" in text


def test_generation_starts_from_what_training_saw(base, sample):
    shown = sample("video", 2)
    encoded = encode(base, shown)
    for branch, (question, _) in zip(encoded.branches, shown.turns):
        trained = encoded.prefix + list(branch.ids[: branch.answer_start])
        assert prompt_ids(base, "video", 2, question) == trained


def test_context_stands_before_the_questions(base, sample):
    text = base.tokenizer.decode(encode(base, sample("text")).prefix)
    assert "small red circle" in text


def test_rows_do_not_depend_on_their_neighbours(base, mixed):
    alone, together = collate(base, mixed[1:2]), collate(base, mixed)
    length = alone["input_ids"].shape[1]
    assert together["input_ids"][1, :length].equal(alone["input_ids"][0])
    assert together["attention_mask"][1, :, :length, :length].equal(alone["attention_mask"][0])


def test_pixels_follow_the_order_of_the_placeholders(base, sample):
    first, second = sample("image", 1, seed=1), sample("image", 2, seed=2)
    batch = collate(base, [first, second])
    assert batch["image_pixels"].equal(torch.cat([base.pixels(first.frames), base.pixels(second.frames)]))


def test_unknown_kinds_and_packings_are_refused(base, sample):
    with pytest.raises(PreflightError, match="kind 'audio'"):
        collate(base, [Sample(sample().frames, "audio", sample().turns)])
    with pytest.raises(PreflightError, match="no packing"):
        collate(base, [sample()], "dense")
