"""The three equations over real HTTP, with the prompts as files."""

import json
from importlib import resources

import numpy as np
import pytest
from annotation_world import know, make_clip

from instit_lite.annotation import server as server_module
from instit_lite.annotation.client import Client
from instit_lite.annotation.equations import annotate_clip, annotate_frame, annotate_image, ask_questions
from instit_lite.annotation.ledger import Ledger
from instit_lite.annotation.pictures import decode_picture, encode_picture, pixel_hash
from instit_lite.annotation.prompts import fill, frame_notes, load_prompt
from instit_lite.annotation.requests import Manner
from instit_lite.annotation.schema import (
    SIMULATED_MODEL,
    ClipAnnotation,
    FrameAnnotation,
    FrameReply,
    InstanceCaption,
    response_format,
)
from instit_lite.annotation.server import simulated_server
from instit_lite.errors import EndpointError, InstitError, UnreadableInput
from instit_lite.scenes.facts import changes
from instit_lite.scenes.language import change_caption, frame_caption, phrase, summary


@pytest.fixture(scope="module")
def world():
    return make_clip(5, count=4, side=64)


@pytest.fixture()
def server(world):
    with simulated_server() as running:
        know(running, world[0], world[1])
        yield running


@pytest.fixture()
def posted(server):
    """The requests that reached the server."""
    requests, answer = [], server.answer

    def noted(request):
        requests.append(request)
        return answer(request)

    server.answer = noted
    return requests


def connect(server, ledger=None):
    return Client.connect(server.base_url, ledger=ledger, backoff=0.001)


def test_a_clip_without_errors_is_told_exactly(server, world):
    frames, facts, _ = world
    told = annotate_clip(connect(server), frames)
    found = [changes(a, b) for a, b in zip(facts, facts[1:])]
    assert [f.timestamp for f in told.frames] == [1, 2, 3, 4]
    assert [f.frame_name for f in told.frames] == ["00001.jpg", "00002.jpg", "00003.jpg", "00004.jpg"]
    assert [f.image_level for f in told.frames] == [frame_caption(f) for f in facts]
    assert [f.temporal_change for f in told.frames] == [None, *map(change_caption, found)]
    for frame, fact in zip(told.frames, facts):
        assert {i.id: i.caption for i in frame.instances} == {f.mark_id: phrase(f) for f in fact.instances}
    assert told.video_level_caption == summary(facts, found)
    assert 10 <= len(told.question_answer_pairs) <= 20
    assert told.model == SIMULATED_MODEL and "simulated" in told.annotator
    assert ClipAnnotation.model_validate_json(told.model_dump_json()) == told


def test_the_first_frame_is_posted_alone_and_others_after_their_predecessor(server, world, posted):
    frames = world[0]
    client = connect(server)
    first = annotate_frame(client, frames[0], None, 1, "a.jpg")
    second = annotate_frame(client, frames[1], frames[0], 2, "b.jpg")
    assert first.temporal_change is None and second.temporal_change is not None
    parts = [r["messages"][1]["content"] for r in posted]
    uris = [[p["image_url"]["url"] for p in content if p["type"] != "text"] for content in parts]
    pictures = [[pixel_hash(decode_picture(uri)) for uri in pair] for pair in uris]
    assert pictures == [[pixel_hash(frames[0])], [pixel_hash(frames[0]), pixel_hash(frames[1])]]
    assert all(r["response_format"]["json_schema"]["strict"] for r in posted)


def test_equations_2_and_3_post_text_only_and_3_leaves_instance_captions_out(server, world, posted):
    annotate_clip(connect(server), world[0])
    video, qa = sorted(posted[-2:], key=lambda r: r["response_format"]["json_schema"]["name"] != "video_summary")
    texts = ["".join(p["text"] for p in r["messages"][1]["content"]) for r in (video, qa)]
    assert "image_url" not in json.dumps([video, qa])
    assert "\n[" in texts[0] and "\n[" not in texts[1]
    assert "Change: none" in texts[0] and "<4>" in texts[1]


def test_an_interrupted_clip_goes_on_where_it_stopped(server, world, tmp_path):
    path = tmp_path / "ledger.jsonl"
    server.fail(["ok", "ok", "ok", "ok", "401"])
    with pytest.raises(EndpointError):
        annotate_clip(connect(server, path), world[0])
    seen = []
    client = connect(server, path)
    told = annotate_clip(client, world[0], progress=seen.append)
    assert client.reused >= 4 and client.reused + client.asked == sum(seen) == 6
    last = connect(server, path)
    assert annotate_clip(last, world[0]) == told
    assert (last.asked, last.reused) == (0, 6)


def test_a_still_picture_is_a_first_frame(server, world):
    told = annotate_image(connect(server), world[0][2], "still.png")
    assert (told.timestamp, told.frame_name, told.temporal_change) == (1, "still.png", None)


def test_what_the_model_says_of_a_first_frame_is_kept_for_the_audit(monkeypatch, world):
    content = {"instance_level": [], "image_level": "x", "temporal_change": "[1] moves right."}
    server = server_module.LoopbackServer(lambda _: content)
    with server_module.running(server):
        assert annotate_image(connect(server), world[0][0], "a.jpg").temporal_change == "[1] moves right."


def test_a_clip_without_frames_is_refused(server, world):
    with pytest.raises(UnreadableInput, match="no frames"):
        annotate_clip(connect(server), world[0][:0])
    assert server.calls == 0


@pytest.mark.parametrize(
    "frame", (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), float), np.zeros((4, 4, 4), np.uint8))
)
def test_only_rgb_bytes_are_pictures(frame):
    with pytest.raises(UnreadableInput, match="not uint8"):
        encode_picture(frame)


def test_pixels_survive_the_way():
    frame = np.random.default_rng(0).integers(0, 255, (17, 23, 3), np.uint8)
    assert np.array_equal(decode_picture(encode_picture(frame).uri), frame)
    assert pixel_hash(frame) != pixel_hash(frame.reshape(23, 17, 3))


@pytest.mark.parametrize(
    "uri", ("http://example.org/a.png", "data:image/png;base64,!!", "data:image/png;base64,AAAA", "")
)
def test_what_is_no_picture_is_refused(uri):
    with pytest.raises(UnreadableInput):
        decode_picture(uri)


def test_prompts_state_the_papers_conventions():
    assert set(load_prompt("frame")) == {"system", "first", "previous", "current"}
    for name in ("frame", "video", "qa"):
        assert "[1] [2] [3]" in load_prompt(name)["system"]
    for name in ("video", "qa"):
        assert "<5>-<7>" in load_prompt(name)["system"]
    files = {f.name for f in (resources.files("instit_lite.annotation") / "prompts").iterdir()}
    assert files == {"frame.md", "video.md", "qa.md"}


def test_a_prompt_with_a_gap_is_refused():
    with pytest.raises(InstitError, match="'count'"):
        fill("video", "user", frames="x")
    with pytest.raises(InstitError, match="no section"):
        fill("video", "epilogue")
    with pytest.raises(InstitError, match="no such prompt"):
        load_prompt("poem")


def test_braces_in_a_caption_are_left_alone():
    assert fill("video", "user", count=1, frames="a {{odd}} {{count}}").endswith("a {{odd}} {{count}}")


def test_notes_keep_one_line_per_text():
    frame = FrameAnnotation(
        timestamp=1, frame_name="a", instances=[InstanceCaption(id=2, caption="two\nlines")],
        image_level="x\ny", temporal_change=None,
    )  # fmt: skip
    assert frame_notes([frame], True) == "<1>\n[2]: two lines\nFrame: x y\nChange: none"


def test_the_wire_schema_is_bare_and_strict():
    schema = response_format("frame_annotation", FrameReply)["json_schema"]["schema"]
    text = json.dumps(schema)
    for bound in ("minimum", "minLength", "minItems", "default", "pattern"):
        assert bound not in text
    for part in (schema, *schema["$defs"].values()):
        assert part["additionalProperties"] is False and set(part["required"]) == set(part["properties"])


GOOD = {"instance_level": [{"id": 1, "caption": "a"}], "image_level": "b", "temporal_change": None}


@pytest.mark.parametrize(
    "change",
    (
        {"instance_level": [{"id": "1", "caption": "a"}]},
        {"instance_level": [{"id": True, "caption": "a"}]},
        {"instance_level": [{"id": 0, "caption": "a"}]},
        {"instance_level": [{"id": 1, "caption": "a"}, {"id": 1, "caption": "b"}]},
        {"instance_level": [{"id": 1, "caption": " "}]},
        {"image_level": ""},
        {"image_level": "a\0b"},
        {"image_level": "a\ud800b"},
        {"temporal_change": ""},
        {"extra": 1},
    ),
)
def test_a_reply_that_is_almost_right_is_refused(change):
    FrameReply.model_validate_json(json.dumps(GOOD))
    with pytest.raises(ValueError):
        FrameReply.model_validate_json(json.dumps({**GOOD, **change}))


def test_questions_can_be_asked_of_frames_read_from_a_record(server, world):
    frames = annotate_clip(connect(server), world[0]).frames
    assert ask_questions(connect(server), frames) == ask_questions(connect(server), list(frames))


@pytest.mark.parametrize("wanted", ("json_object", "text"))
def test_all_three_work_with_endpoints_that_know_no_json_schema(server, world, wanted):
    told = annotate_clip(connect(server), world[0])
    client = connect(server)
    client.manner = Manner(format=wanted)
    assert annotate_clip(client, world[0]) == told


def test_an_endpoint_that_ignores_the_schema_unsaid_gets_it_in_the_text(server, world):
    server.fail(["not-json"])
    client = connect(server)
    assert annotate_image(client, world[0][0], "a.jpg").instances
    assert client.manner.format == "text" and client.asked == 2


def test_jpeg_is_smaller_and_the_ledger_tells_it_apart():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    png, jpeg = encode_picture(frame), encode_picture(frame, 50)
    assert jpeg.uri.startswith("data:image/jpeg;") and len(jpeg.uri) < len(png.uri)
    assert decode_picture(jpeg.uri).shape == frame.shape
    seen = []
    server = server_module.LoopbackServer(lambda request: seen.append(request) or GOOD)
    with server_module.running(server):
        ledger = Ledger()
        for quality in (None, 50, 50):
            annotate_image(Client.connect(server.base_url, ledger=ledger, jpeg=quality), frame, "a.jpg")
    kinds = [r["messages"][1]["content"][-1]["image_url"]["url"][:15] for r in seen]
    assert kinds == ["data:image/png;", "data:image/jpeg"]
