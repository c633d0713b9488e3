"""The simulated annotator: exact where no error is set, wrong as often as set, the same on every run."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from annotation_world import know, make_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.annotation.client import Client
from instit_lite.annotation.endpoint import TOKENS
from instit_lite.annotation.equations import annotate_clip
from instit_lite.annotation.pictures import encode_picture
from instit_lite.annotation.prompts import frame_notes
from instit_lite.annotation.schema import SIMULATED_MODEL, FrameAnnotation
from instit_lite.annotation.server import MAX_BODY, simulated_server
from instit_lite.annotation.simulated import (
    ErrorModel,
    Simulator,
    Unanswerable,
    choose_questions,
    mistake,
    read_notes,
)
from instit_lite.errors import InstitError
from instit_lite.scenes.facts import changes, scene_facts
from instit_lite.scenes.language import change_caption, frame_caption
from instit_lite.scenes.questions import clip_questions
from instit_lite.scenes.sample import sample_scene

TIMES = [(i + 0.5) / 4 for i in range(4)]


def notes_of(facts):
    found = [changes(a, b) for a, b in zip(facts, facts[1:])]
    told = [None, *map(change_caption, found)]
    frames = [
        FrameAnnotation(
            timestamp=t, frame_name="x", instances=[], image_level=frame_caption(f), temporal_change=c
        )
        for t, (f, c) in enumerate(zip(facts, told), start=1)
    ]
    return frame_notes(frames, with_instances=False), found


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_questions_from_texts_are_answered_as_from_the_facts(seed):
    facts = scene_facts(sample_scene(seed), TIMES)
    text, found = notes_of(facts)
    frames, read = read_notes(text)
    assert read == found
    rng = np.random.default_rng(seed)
    exact = {q.question: q.answer for q in clip_questions(facts, found, rng) if q.kind != "present"}
    pairs = choose_questions(frames, read, rng)
    assert 5 <= len(pairs) <= 20 and len({q.question for q in pairs}) == len(pairs)
    told = {q.question: q.answer for q in pairs if q.question in exact and q.kind != "motion"}
    assert told == {q: exact[q] for q in told} and told


def test_enough_facts_give_at_least_ten_questions():
    for seed in range(30):
        facts = scene_facts(sample_scene(seed), TIMES)
        frames, found = read_notes(notes_of(facts)[0])
        assert len(choose_questions(frames, found, np.random.default_rng(0))) >= 10


@pytest.mark.parametrize("name", ("swap_attribute", "wrong_id", "drop_instance"))
def test_each_error_happens_as_often_as_set_and_no_other_does(name):
    facts = [f for seed in range(60) for f in scene_facts(sample_scene(seed), TIMES)]
    rng = np.random.default_rng(1)
    before = after = same_looks = same_ids = 0
    for exact in facts:
        told = mistake(exact, ErrorModel(**{name: 0.3}), rng)
        before, after = before + len(exact.instances), after + len(told.instances)
        same_ids += sum(exact.get(f.mark_id) is not None for f in told.instances)
        same_looks += len(set(told.instances) & set(exact.instances))
    share = {"drop_instance": after, "wrong_id": same_ids, "swap_attribute": same_looks}[name] / before
    assert 0.64 < share < 0.76
    if name != "drop_instance":
        assert after == before
    if name == "swap_attribute":
        assert same_ids == before


def test_without_errors_nothing_is_changed():
    for exact in scene_facts(sample_scene(1), TIMES):
        assert mistake(exact, ErrorModel(), np.random.default_rng(0)) == exact


def test_missed_changes_are_left_out():
    facts = scene_facts(sample_scene(5), TIMES)
    pair = [("a", facts[0]), ("b", facts[1])]
    assert Simulator(0).answer_frame(pair)["temporal_change"] != "nothing changes."
    assert Simulator(0, ErrorModel(miss_change=1)).answer_frame(pair)["temporal_change"] == "nothing changes."


def run(seed, errors, frames, facts):
    with simulated_server(seed, errors) as server:
        know(server, frames, facts)
        return annotate_clip(Client.connect(server.base_url), frames)


def test_errors_depend_on_seed_and_picture_and_not_on_the_run():
    frames, facts, _ = make_clip(8, side=48)
    errors = ErrorModel(0.5, 0.3, 0.3, 0.2)
    assert run(1, errors, frames, facts) == run(1, errors, frames, facts) != run(2, errors, frames, facts)


def test_errors_reach_the_summary_and_the_questions():
    frames, facts, _ = make_clip(8, side=48)
    told = run(0, ErrorModel(drop_instance=1), frames, facts)
    assert told.frames[0].image_level == "there is nothing."
    assert told.video_level_caption.startswith("<1> there is nothing.")


def test_another_seed_or_error_model_is_another_endpoint_to_the_ledger(tmp_path):
    frames, facts, _ = make_clip(8, side=48)
    clients = []
    for errors in (ErrorModel(), ErrorModel(drop_instance=1)):
        with simulated_server(0, errors) as server:
            know(server, frames, facts)
            clients.append(Client.connect(server.base_url, ledger=tmp_path / "ledger.jsonl"))
            annotate_clip(clients[-1], frames)
    assert [c.reused for c in clients] == [0, 0]


def test_one_changed_pixel_makes_a_picture_foreign():
    frames, facts, _ = make_clip(8, side=48)
    simulator = Simulator()
    know(simulator, frames, facts)
    assert simulator.recognise(encode_picture(frames[1]).uri)[1] == facts[1]
    frames[1, 0, 0, 0] ^= 1
    with pytest.raises(Unanswerable, match="does not know"):
        simulator.recognise(encode_picture(frames[1]).uri)


@pytest.mark.parametrize("request_", ({}, {"messages": []}, {"messages": [{"content": "hi"}]}, []))
def test_a_foreign_request_is_refused(request_):
    with pytest.raises(Unanswerable):
        Simulator().answer(request_)


def test_texts_of_another_annotator_are_refused():
    with pytest.raises(Unanswerable, match="cannot read"):
        read_notes("<1>\nFrame: A man walks his dog.\nChange: none")
    with pytest.raises(Unanswerable, match="no frame notes"):
        read_notes("hello")


def post(address, body=b"{}", **headers):
    call = urllib.request.Request(address, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as problem:
        return problem.code, json.load(problem)


def test_the_server_keeps_to_its_machine_its_path_its_size_and_its_token():
    with simulated_server() as server:
        there, token = f"{server.base_url}/chat/completions", {"Authorization": f"Bearer {server.key}"}
        assert server.server_address[0] == "127.0.0.1"
        assert post(there)[0] == post(there, Authorization="Bearer none")[0] == 401
        assert post(there, Host="evil.example.org", **token)[0] == 403
        assert post(f"{server.base_url}/files", **token)[0] == 404
        assert post(there, **{"Content-Length": str(MAX_BODY + 1)}, **token)[0] == 413
        assert post(there, b"{", **token)[0] == 400
        status, body = post(there, **token)
        assert status == 422 and "three equations" in body["error"]["message"]


def test_each_server_has_a_token_of_its_own_that_is_gone_with_it():
    with simulated_server() as one, simulated_server() as other:
        assert one.key != other.key and len(one.key) >= 32
        assert TOKENS[one.server_address[1]] == one.key
    assert one.server_address[1] not in TOKENS


def test_the_server_calls_itself_simulated():
    frames, facts, _ = make_clip(8, side=48, count=1)
    with simulated_server() as server:
        know(server, frames, facts)
        client = Client.connect(server.base_url, model="gpt-4o-2024-08-06")
        assert annotate_clip(client, frames).model == SIMULATED_MODEL
        assert list(client.models) == [SIMULATED_MODEL]


def test_a_fault_that_does_not_exist_is_refused():
    with simulated_server() as server, pytest.raises(InstitError, match="no fault"):
        server.fail(["sunburn"])
