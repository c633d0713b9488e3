"""Dialogues: the four rules, their groups, their pictures, and words that the micro model can read."""

import annotated
import pytest
from hypothesis import given, settings
from instit_lite.dataset import dialogues as rules
from instit_lite.dataset.dialogues import (
    check_dialogue, dialogues_of, general_dialogue, image_dialogues, load_dialogues, qa_dialogue,
    save_dialogues, table7_line, turns_of, video_dialogues,
)  # fmt: skip
from instit_lite.dataset.records import image_record, video_record
from instit_lite.errors import RecordError
from instit_lite.model.tokenizer import micro_tokenizer

FRAME_1, FRAME_2 = "videos_vpt/77/00001.jpg", "videos_vpt/77/00002.jpg"


@pytest.fixture
def made():
    return video_dialogues(video_record(77, "videos_vpt/77", annotated.two_frames()))


def test_the_four_rules_word_for_word(made):
    def said(*values):
        return [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)]

    assert made == [
        {"id": "video-77-frame-1", "image": [FRAME_1], "group": 1, "kind": "frame", "conversations": said(
            "<image>\ndescribe each mark.", "[1]: a small red circle\n[2]: a large blue star",
            "describe the picture.", "[1] is at the left of [2].")},
        {"id": "video-77-frame-2", "image": [FRAME_2], "group": 1, "kind": "frame", "conversations": said(
            "<image>\ndescribe each mark.", "[2]: a large blue star",
            "describe the picture.", "[2] is there.")},
        {"id": "video-77-change-2", "image": [FRAME_1, FRAME_2], "group": 2, "kind": "temporal_change",
         "conversations": said("<image>\n<image>\nwhat changes between the two frames?", "[1] leaves.")},
        {"id": "video-77-caption", "image": [FRAME_1, FRAME_2], "group": 3, "kind": "video_caption",
         "conversations": said("<image>\n<image>\ntell what happens in the video.",
                               "at <1> [1] is there. at <2> it leaves.")},
        {"id": "video-77-qa", "image": [FRAME_1, FRAME_2], "group": 3, "kind": "video_qa",
         "conversations": said("<image>\n<image>\nwhere is [1]?", "left")},
    ]  # fmt: skip


def test_image_rule_and_our_own_kinds():
    record = image_record(5, "images_vpt/5.png", annotated.frame(1, {2: "a dog"}, "[2] is there."))
    (picture,) = image_dialogues(record)
    assert (picture["group"], picture["kind"], picture["image"]) == (4, "image", ["images_vpt/5.png"])
    turns = [("describe each mark.", "[2]: a dog"), ("describe the picture.", "[2] is there.")]
    assert turns_of(picture) == turns
    asked = qa_dialogue("images_vpt/5.png", [("what is [2]?", "a dog"), ("where?", "left")], "image-5-qa")
    assert (asked["group"], asked["kind"]) == (4, "image_qa") and len(turns_of(asked)) == 2
    text = general_dialogue(None, [("how many?", "2")], "general-1")
    assert (text["group"], text["image"], turns_of(text)) == (0, [], [("how many?", "2")])
    everything = [picture, asked, text]
    assert table7_line(everything, 4) == [picture, text] and table7_line(everything, 3) == [text]


def test_one_turn_per_question_and_none_where_the_record_lacks_something():
    frames = [annotated.frame(1, {}, "there is nothing."), annotated.frame(3, {}, "", None)]
    record = video_record(1, "v", annotated.clip(frames, None, [("a?", "1"), ("b?", "2"), ("c?", "3")]))
    first, asked = video_dialogues(record)
    assert turns_of(first) == [("describe the picture.", "there is nothing.")]
    assert turns_of(asked) == [("a?", "1"), ("b?", "2"), ("c?", "3")]
    assert dialogues_of([record]) == [first, asked]


@settings(deadline=None, max_examples=25)
@given(annotated.clips())
def test_every_text_of_a_record_is_in_its_dialogues_once(annotation):
    record = video_record(9, "v", annotation)
    made = video_dialogues(record)
    frames = record["frame_level_caption"]
    wanted = sorted(
        text
        for text in [
            *(frame["image_level"] for frame in frames),
            *(frame["temporal_change"] or "" for frame in frames),
            *(pair["answer"] for pair in record["question_answer_pairs"]),
            record["video_level_caption"] or "",
        ]
        if text.strip()
    )
    answers = [answer for d in made for question, answer in turns_of(d) if question != rules.ASK_INSTANCES]
    assert sorted(answers) == wanted
    told = sum(bool(text.strip()) for frame in frames for text in frame["instance_level"].values())
    lists = [answer for d in made for question, answer in turns_of(d) if question == rules.ASK_INSTANCES]
    assert (told > 0) == bool(lists)
    for dialogue in made:
        check_dialogue(dialogue)
        assert dialogue["conversations"][0]["value"].count("<image>") == len(dialogue["image"])


def test_the_micro_tokenizer_knows_every_instruction():
    tokenizer = micro_tokenizer()
    asked = [rules.ASK_INSTANCES, rules.ASK_PICTURE, rules.ASK_CHANGE, rules.ASK_VIDEO]
    for text in [*asked, "[1]: a small red circle\n[2]: a large blue star"]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids and tokenizer.unk_token_id not in ids, text


def broken(made, what):
    turns = made["conversations"]
    again = [*turns, {"from": "human", "value": "<image> again?"}, turns[1]]
    return {
        "placeholder too few": made | {"image": made["image"] * 3},
        "placeholder later": made | {"conversations": again},
        "no last answer": made | {"conversations": turns[:-1]},
        "wrong order": made | {"conversations": turns[::-1]},
        "no turns": made | {"conversations": []},
        "turn without value": made | {"conversations": [{"from": "human"}, turns[1]]},
        "unknown kind": made | {"kind": "poem"},
        "missing key": {k: v for k, v in made.items() if k != "group"},
    }[what]


@pytest.mark.parametrize("what", [
    "placeholder too few", "placeholder later", "no last answer", "wrong order", "no turns",
    "turn without value", "unknown kind", "missing key",
])  # fmt: skip
def test_a_broken_dialogue_is_refused_and_not_written(tmp_path, made, what):
    with pytest.raises(RecordError) as caught:
        save_dialogues(tmp_path / "d.json", [*made, broken(made[2], what)])
    assert "d.json" in str(caught.value) and "Cure: " in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_caption_that_holds_a_placeholder_is_refused():
    record = video_record(1, "v", annotated.clip([annotated.frame(1, {1: "an <image> of a dog"}, "x.")]))
    with pytest.raises(RecordError, match="placeholders"):
        video_dialogues(record)


def test_dialogues_survive_the_file(tmp_path, made):
    assert load_dialogues(save_dialogues(tmp_path / "d.json", made)) == made
