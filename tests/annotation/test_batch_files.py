"""The batch road: the same questions as files, their results merged, what is missing sent again."""

import json

import pytest
from annotation_world import know, make_clip
from faults import GOOD, USAGE, envelope

from instit_lite import cli
from instit_lite.annotation.batch import BatchFolder, merge_results
from instit_lite.annotation.budget import NANO, Prices
from instit_lite.annotation.client import Client
from instit_lite.annotation.equations import annotate_clip
from instit_lite.annotation.ledger import Ledger
from instit_lite.annotation.requests import Question
from instit_lite.annotation.schema import VIDEO, VideoReply
from instit_lite.annotation.server import completion, simulated_server
from instit_lite.annotation.simulated import Simulator
from instit_lite.errors import InstitError, NotYetAnswered
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.video import film


def requests_of(folder):
    return [json.loads(line) for path in sorted(folder.glob("requests-*.jsonl")) for line in path.open()]


def result(key, body=None, status=200, error=None):
    response = None if error else {"status_code": status, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": key, "response": response, "error": error}


def write(path, lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def collect(folder, ledger, count):
    """Write `count` questions, which is no answer yet."""
    client = Client.connect(model="m", ledger=ledger, batch=folder)
    with client, pytest.raises(NotYetAnswered, match="written for a batch"):
        list(client.ask_all(Question(VIDEO, "s", [f"notes {i}"], VideoReply) for i in range(count)))
    return [row["custom_id"] for row in requests_of(folder)]


def test_a_clip_takes_two_rounds_and_ends_as_if_it_had_been_asked(tmp_path):
    frames, facts, _ = make_clip(5, count=3, side=48)
    with simulated_server() as server:
        know(server, frames, facts)
        live = annotate_clip(Client.connect(server.base_url), frames)
    simulator = Simulator()
    for frame, fact in zip(frames, facts):
        simulator.know_frame(frame, fact)
    folder, ledger, rounds = tmp_path / "batch", tmp_path / "ledger", []
    for _ in range(3):
        try:
            with Client.connect(ledger=ledger, batch=folder) as client:
                told = annotate_clip(client, frames)
                break
        except NotYetAnswered:
            rows = requests_of(folder)
            rounds.append(len(rows))
            results = [result(r["custom_id"], completion(json.dumps(simulator.answer(r["body"])))) for r in rows]
            merge_results(BatchFolder(folder), Ledger(ledger), [write(tmp_path / "r.jsonl", reversed(results))])
    assert rounds == [3, 5]
    assert told == live.model_copy(update={"annotator": told.annotator}) and client.asked == 0
    assert {row["url"] for row in rows} == {"/v1/chat/completions"} and {row["method"] for row in rows} == {"POST"}


def test_missing_repeated_and_failed_lines(tmp_path):
    keys = collect(tmp_path / "b", tmp_path / "l", 8)
    assert len(set(keys)) == 8
    good = envelope(GOOD)
    expired = {"code": "batch_expired", "message": "This request could not be executed"}
    lines = [
        result(keys[0], good), result(keys[0], good), result("f" * 64, good), "{torn", '{"no": "id"}\n', "\n", "[1]\n",
        result(keys[1], envelope('{"answer": 42}')), result(keys[2], envelope(None, refusal="no")),
        result(keys[3], error=expired), result(keys[4], {"error": {"message": "busy"}}, status=429),
        result(keys[5], {"error": {"message": "bad picture"}}, status=400), result(keys[6]),
    ]  # fmt: skip
    folder, ledger = BatchFolder(tmp_path / "b"), Ledger(tmp_path / "l")
    lines.insert(3, result(keys[0], good))
    counts = merge_results(folder, ledger, [write(tmp_path / "r.jsonl", lines)], Prices(2.0, 8.0, 0))
    assert counts == {"merged": 7, "repeated": 2, "unknown": 1, "damaged": 2, "answered": 1, "missing": 4, "quarantined": 3}
    assert ledger.spent == 3 * Prices(2.0, 8.0, 0).cost(*list(USAGE.values())[:2]) > NANO // 1e6
    again = [row["custom_id"] for row in requests_of(tmp_path / "b" / "again")]
    assert again == [keys[3], keys[4], keys[6], keys[7]]
    lost = {row["custom_id"]: row["outcome"] for row in map(json.loads, (tmp_path / "b/quarantine.jsonl").open())}
    assert lost == {keys[1]: "quarantined", keys[2]: "refused", keys[5]: "quarantined"}
    ledger.close()

    more = write(tmp_path / "r2.jsonl", [result(key, good) for key in again])
    counts = merge_results(BatchFolder(tmp_path / "b"), Ledger(tmp_path / "l"), [tmp_path / "r.jsonl", more])
    assert (counts["answered"], counts["missing"], counts["quarantined"]) == (5, 0, 3)
    assert not (tmp_path / "b" / "again").exists()


def test_quarantined_ones_can_be_asked_live_with_the_same_ledger(tmp_path):
    from instit_lite.annotation.server import LoopbackServer, running

    with running(LoopbackServer(lambda _: json.loads(GOOD))) as server:
        questions = [Question(VIDEO, "s", [f"{i}"], VideoReply) for i in range(3)]
        with pytest.raises(NotYetAnswered):
            list(Client.connect(server.base_url, "m", tmp_path / "l", batch=tmp_path / "b").ask_all(questions))
        keys = [row["custom_id"] for row in requests_of(tmp_path / "b")]
        lines = [result(keys[0], envelope(GOOD)), result(keys[1], envelope("no"))]
        merge_results(BatchFolder(tmp_path / "b"), Ledger(tmp_path / "l"), [write(tmp_path / "r.jsonl", lines)])
        with Client.connect(server.base_url, "m", tmp_path / "l") as client:
            assert len(list(client.ask_all(questions))) == 3
            assert (client.reused, client.asked) == (1, 2)


def test_files_keep_to_both_limits_and_hold_each_request_once(tmp_path):
    folder = BatchFolder(tmp_path, most_requests=4, most_bytes=2000)
    with Client.connect(model="m", batch=tmp_path / "other") as client:
        request = client.request(VIDEO, "s", ["x"], VideoReply)
    for i in range(21):
        folder.add(f"{i % 20:064x}", request | {"seed": i})
    again = BatchFolder(tmp_path, most_requests=4, most_bytes=2000)
    again.add(f"{7:064x}", request)
    again.add(f"{99:064x}", request)
    sizes = [(len(path.read_bytes().splitlines()), path.stat().st_size) for path in again.paths()]
    assert sum(lines for lines, _ in sizes) == 21 and all(lines <= 4 and size <= 2000 for lines, size in sizes)
    with pytest.raises(InstitError, match="a file takes"):
        again.add("a" * 64, request | {"user": "x" * 3000})


@pytest.mark.parametrize("cut", (1, 40, 700))
def test_a_killed_collection_goes_on(tmp_path, cut):
    keys = collect(tmp_path / "b", tmp_path / "l", 5)
    file = tmp_path / "b" / "requests-0001.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    index = tmp_path / "b" / "index.txt"
    index.write_text(index.read_text()[:-100])
    assert collect(tmp_path / "b", tmp_path / "l", 5) == keys


def test_the_command_line_writes_merges_and_goes_on(tmp_path, capsys):
    video = film(sample_scene(3), tmp_path / "clip.mp4", 8, side=96)
    boxes = write(tmp_path / "boxes.json", [json.dumps({"frames": [[{"id": 1, "xyxy": [5, 5, 50, 60]}]] * 8})])
    annotate = ["annotate", str(video), "--out", str(tmp_path / "out"), "--frames", "2", "--boxes", str(boxes),
                "--ledger", str(tmp_path / "l"), "--batch-out", str(tmp_path / "b"), "--budget", "9"]  # fmt: skip
    contents = {
        "frame_annotation": {"instance_level": [{"id": 1, "caption": "x"}], "image_level": "x", "temporal_change": None},
        "video_summary": {"video_level_caption": "x"},
        "question_answers": {"question_answer_pairs": [{"question": "q", "answer": "a"}]},
    }
    for left in (2, 2):
        assert cli.main(annotate) == 0 and not (tmp_path / "out").exists()
        said = capsys.readouterr().out
        assert "written for a batch" in said and "4 calls to gpt-4o-2024-08-06: about $0.0" in said
        lines = [
            result(row["custom_id"], envelope(json.dumps(contents[row["body"]["response_format"]["json_schema"]["name"]])))
            for row in requests_of(tmp_path / "b")
        ]  # fmt: skip
        merge = ["batch", str(tmp_path / "b"), str(write(tmp_path / "r.jsonl", lines)), "--ledger", str(tmp_path / "l")]
        assert cli.main(merge) == 0 and f"merged: {left}" in capsys.readouterr().out
    assert cli.main(annotate) == 0 and (tmp_path / "out" / "record.json").exists()
    assert cli.main(["batch", str(tmp_path / "b"), "missing.jsonl", "--ledger", str(tmp_path / "l")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_request_without_a_schema_is_merged_as_text(tmp_path):
    folder, ledger = BatchFolder(tmp_path / "b"), Ledger()
    folder.add("a" * 64, {"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    lines = [result("a" * 64, envelope("just words"))]
    assert merge_results(folder, ledger, [write(tmp_path / "r.jsonl", lines)])["answered"] == 1
