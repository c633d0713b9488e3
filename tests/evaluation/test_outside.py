"""Outside benches: rows as the hub has them, official metrics on hand-made answers, whole runs."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Sequence, Value
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image as Pillow

from instit_lite import cli
from instit_lite.dataset.quarantine import Quarantine
from instit_lite.errors import InstitError, RecordError, UnreadableInput
from instit_lite.evaluation.models import opening
from instit_lite.evaluation.outside.benches import BENCHES, load_items
from instit_lite.evaluation.outside.metrics import box_scores, chart_scores, iou, read_letter
from instit_lite.evaluation.outside.run import run_bench
from instit_lite.evaluation.score import UNFINISHED
from instit_lite.scenes.video import write_mp4

OPTIONS = {"A": "a red ball", "B": "Moss", "C": "a man", "D": "moss and fern", "E": "none"}
TEXT, NUMBERS = Value("string"), Sequence(Value("float32"))
AI2D = {"question": TEXT, "options": Sequence(TEXT), "answer": TEXT, "image": Image()}
REFCOCOG = {"question_id": TEXT, "image": Image(), "question": TEXT, "answer": Sequence(TEXT), "segmentation": NUMBERS,
            "bbox": NUMBERS, "iscrowd": Value("int8"), "file_name": TEXT}  # fmt: skip


def picture(height=40, width=80):
    buffer = io.BytesIO()
    Pillow.fromarray(np.full((height, width, 3), 90, np.uint8)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": "p.png"}


def shard(folder, where, split, rows, **features):
    """Write rows as the hub's parquet, with its feature types in the file's metadata."""
    file = folder / where / f"{split}-00000-of-00001.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in features}
    Dataset.from_dict(columns, Features(features)).to_parquet(str(file))
    return folder


@pytest.fixture
def ai2d(tmp_path):
    rows = [
        {"question": question, "options": options, "answer": answer, "image": picture(*size)}
        for question, options, answer, size in (
            ("What grows at b?", ["root", "Moss", "fern", "bark"], "1", (40, 80)),
            ("What is d?", ["sun", "rain"], "0", (20, 20)),
            ("Which?", ["x", "y", "z"], "7", (40, 80)),
        )
    ]
    return shard(tmp_path / "ai2d", "data", "test", rows, **AI2D)


@pytest.fixture
def chartqa(tmp_path):
    asked = (("human_test", "How many?", "14"), ("augmented_test", "Share?", "0.62"), ("human_test", "Who?", "Iran"))
    rows = [{"type": kind, "question": q, "answer": a, "image": picture()} for kind, q, a in asked]
    return shard(tmp_path / "chartqa", "data", "test", rows, type=TEXT, question=TEXT, answer=TEXT, image=Image())


@pytest.fixture
def refcocog(tmp_path):
    row = {"question_id": "431", "image": picture(), "question": "?", "answer": ["the man", "he who runs"],
           "segmentation": [1.0, 2.0], "bbox": [8.0, 10.0, 16.0, 20.0], "iscrowd": 0, "file_name": "9.jpg"}  # fmt: skip
    return shard(tmp_path / "refcocog", "data", "val", [row], **REFCOCOG)


def film(path, n=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, (np.full((48, 64, 3), 20 * i, np.uint8) for i in range(n)))


@pytest.fixture
def egoschema(tmp_path):
    row = {"question_idx": "0", "question": "What does C do?", "video_idx": "aa-bb", "answer": "3",
           "option": [f"{k}. C cuts {k}" for k in "ABCDE"]}  # fmt: skip
    rows = [row, row | {"video_idx": "gone"}]
    film(tmp_path / "aa-bb.mp4")
    folder = shard(tmp_path / "egoschema", "Subset", "test", rows, question_idx=TEXT, question=TEXT, video_idx=TEXT,
                   answer=TEXT, option=Sequence(TEXT))  # fmt: skip
    with zipfile.ZipFile(folder / "videos_chunked_01.zip", "w") as archive:
        archive.write(tmp_path / "aa-bb.mp4", "videos/aa-bb.mp4")
    return folder


@pytest.fixture
def nextqa(tmp_path):
    folder = tmp_path / "nextqa"
    film(folder / "NExTVideo" / "1164" / "4010069381.mp4")
    rows = [
        {"video": 4010069381, "frame_count": 12, "width": 64, "height": 48, "question": "why does he sit", "answer": 2,
         "qid": i, "type": kind, **{f"a{k}": f"reason {k}" for k in range(5)}}
        for i, kind in enumerate(("CW", "TN"))
    ]  # fmt: skip
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def vip(tmp_path):
    folder = tmp_path / "vip"
    (folder / "bbox" / "images").mkdir(parents=True)
    (folder / "bbox" / "images" / "1.png").write_bytes(picture()["bytes"])
    texts = [f"<image>\nWhat is in the red box {i}?" for i in range(2)]
    questions = [{"question_id": i, "image": "1.png", "text": text} for i, text in enumerate(texts)]
    (folder / "bbox" / "questions.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    truths = {"v1_0": ("-1<AND>-5", ["math", "ocr"]), "v1_1": ("a cat<OR>kitten", ["rec"])}
    (folder / "vip-bench-meta-data.json").write_text(json.dumps({
        key: {"image": "1.png", "question": "?", "answer": answer, "capability": kinds, "image_source": "coco"}
        for key, (answer, kinds) in truths.items()
    }))  # fmt: skip
    return folder


class Said:
    """A model that gives the answers it was told to, in order."""

    name, together = "said", 2

    def __init__(self, *answers):
        self.answers = list(answers)

    def identity(self):
        return {"model": self.name}

    def answer(self, items, *, blind=False, max_new_tokens=128):
        return [self.answers.pop(0) for _ in items]


def rows_of(table):
    return {(row[0], row[1]): row for row in table["rows"]}


def test_ai2d(ai2d, tmp_path):
    quarantine = Quarantine()
    first, second = load_items("ai2d", ai2d, quarantine=quarantine)
    assert first.prompt.startswith("What grows at b?\nA. root\nB. Moss\nC. fern\nD. bark\nAnswer with")
    assert (first.answer, second.answer, second.look().shape) == ("B", "A", (1, 20, 20, 3))
    assert quarantine.count == 1 and "'7' is none of 3" in quarantine.first[0]
    table = run_bench(Said("B. Moss", "perhaps"), "ai2d", tmp_path / "out", source=ai2d, progress=False, say=str)
    row = rows_of(table)["all", "accuracy"]
    assert row[2:5] == [2, 2, f"{(1 / 4 + 1 / 2) / 2:.3f}"] and row[5].startswith("0.500 [") and row[6] == 1
    assert json.loads((tmp_path / "out" / "ai2d.json").read_text()) == table


def test_chartqa(chartqa, tmp_path):
    said = Said("14.6", f"62% {UNFINISHED}", "iran")
    rows = rows_of(run_bench(said, "chartqa", tmp_path, source=chartqa, progress=False, say=str))
    assert {key[0]: (row[2], row[5][:5]) for key, row in rows.items()} == {
        "all": (3, "1.000"), "human_test": (2, "1.000"), "augmented_test": (1, "1.000"),
    }  # fmt: skip


def test_refcocog(refcocog, tmp_path):
    items = load_items("refcocog", refcocog)
    assert [item.key for item in items] == ["refcocog-431-1", "refcocog-431-2"]
    assert items[0].prompt.endswith(": the man")
    assert items[0].answer == pytest.approx((0.1, 0.25, 0.3, 0.75))
    said = Said("It is at [0.1, 0.25, 0.3, 0.75].", "[0.1, 0.25, 0.3, 0.55]")
    rows = rows_of(run_bench(said, "refcocog", tmp_path, source=refcocog, progress=False, say=str))
    mean = {name: float(row[5].split()[0]) for (_, name), row in rows.items()}
    assert mean == {"IoU": 0.8, "ACC@0.1": 1, "ACC@0.3": 1, "ACC@0.5": 1, "ACC@0.7": 0.5, "ACC@0.9": 0.5,
                    "centre ACC": 1}  # fmt: skip
    assert rows["all", "IoU"][2:4] == [2, 1], "two phrases about one picture are one cluster"


def test_egoschema_reads_videos_out_of_its_zip_and_counts_what_is_missing(egoschema, tmp_path):
    first, gone = load_items("egoschema", egoschema, most=4)
    assert first.look().shape == (4, 48, 64, 3) and first.split == "video" and first.answer == "D"
    assert "\nA. C cuts A\n" in first.prompt
    with pytest.raises(UnreadableInput, match="gone.mp4"):
        gone.look()
    rows = rows_of(run_bench(Said("(D)"), "egoschema", tmp_path / "out", source=egoschema, progress=False, say=str))
    assert rows["all", "accuracy"][2:] == [2, 2, "0.200", rows["all", "accuracy"][5], 1]
    assert rows["all", "accuracy"][5].startswith("0.500")
    assert "egoschema-1" in (tmp_path / "out" / "quarantine.jsonl").read_text()


def test_nextqa_from_json_lines(nextqa, tmp_path):
    items = load_items("nextqa", nextqa, most=3)
    assert [item.answer for item in items] == ["C", "C"] and items[1].look().shape == (3, 48, 64, 3)
    rows = rows_of(run_bench(Said("C", "reason 1"), "nextqa", tmp_path / "o", source=nextqa, progress=False, say=str))
    assert {part: row[5][:5] for (part, _), row in rows.items()} == {"all": "0.500", "CW": "1.000", "TN": "0.000"}


def test_vip_bench_waits_for_its_own_grades(vip, tmp_path):
    items = load_items("vip-bench", vip)
    assert items[0].prompt == "What is in the red box 0?" and items[0].look().shape == (1, 40, 80, 3)
    answers, told = ("x = -5", "A kitten sleeps."), []
    table = run_bench(Said(*answers), "vip-bench", tmp_path / "o", source=vip, progress=False, say=told.append)
    assert table["rows"] == [] and any("for-grading.json" in line and "--grades" in line for line in told)
    waiting = json.loads((tmp_path / "o" / "vip-bench-for-grading.json").read_text())
    assert waiting == dict(zip(("v1_0", "v1_1"), answers))
    grades = tmp_path / "grades.json"
    grades.write_text(json.dumps({"v1_0": {"score": [0.4, 0.6]}, "v1_1": {"score": [0.9, 0.9]}}))
    table = run_bench(Said(), "vip-bench", tmp_path / "o", source=vip, grades=grades, progress=False, say=str)
    graded = {row[0]: row[5][:5] for row in table["rows"]}
    assert graded == {"all": "0.700", "math": "0.500", "ocr": "0.500", "rec": "0.900"}
    assert {row[1] for row in table["rows"]} == {"GPT-4 grade"}
    grades.write_text(json.dumps({"v1_0": {"score": []}}))
    with pytest.raises(RecordError, match="no grade file"):
        run_bench(Said(), "vip-bench", tmp_path / "o", source=vip, grades=grades, progress=False, say=str)


@pytest.mark.parametrize(
    ("text", "letter"),
    [("B", "B"), ("b", "B"), (" (e) ", "E"), ("C.", "C"), ("D) moss and fern", "D"), ("D: moss and fern.", "D"),
     ("a man", "C"), ("Moss", "B"), ("moss.", "B"), ("B. Because it is green", "B"), ("E.\nIt is dark", "E"),
     ("A man walks", None), ("B: a man", None), ("F", None), ("", None), ("A or B", None), ("I see moss", None)],
)  # fmt: skip
def test_letters(text, letter):
    assert read_letter(text, OPTIONS) == letter


def test_the_same_text_behind_two_letters_is_no_choice_but_a_letter_is():
    twice = {"A": "left", "B": "left", "C": "up"}
    assert read_letter("left", twice) is None and read_letter("B. left", twice) == "B"


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [("100", "105", 1), ("100", "105.27", 0), ("105", "100", 1), ("105.01", "100", 0), ("95", "100", 1),
     ("-95", "-100", 1), ("95", "-100", 0), ("62%", "0.62", 1), ("62", "62%", 0), ("65%", "62%", 1), ("0", "0", 1),
     ("0.0", "0", 0), ("Yes", "yes", 1), ("yes it is", "yes", 0), ("1,000", "1000", 0), ("nan", "5", 0),
     ("inf", "5", 0), ("2007", "2010", 1), ("14 people", "14", 0)],
)  # fmt: skip
def test_relaxed_accuracy(answer, truth, right):
    assert chart_scores(answer, truth, {}) == {"relaxed accuracy": right}


def test_boxes():
    truth = (0.2, 0.2, 0.6, 0.6)
    assert box_scores("0.2 0.2 0.6 0.6", truth, {}) is None and chart_scores("  ", "5", {}) is None
    assert box_scores("[0.2,0.2, 0.6 ,0.6] or [0, 0, 1, 1]", truth, {})["IoU"] == 1.0
    half = box_scores("[0.2, 0.2, 0.6, 0.4]", truth, {})
    assert half["IoU"] == pytest.approx(0.5) and half["centre ACC"] == 1.0 and half["ACC@0.7"] == 0.0
    assert box_scores("[200, 200, 600, 600]", truth, {}) == {**dict.fromkeys(half, 0.0)}
    assert box_scores("[0.6, 0.6, 0.2, 0.2]", truth, {})["IoU"] == 0.0  # inside out


@given(some.lists(some.floats(-2, 2), min_size=8, max_size=8))
def test_iou_is_a_share_and_has_no_sides(values):
    a, b = tuple(values[:4]), tuple(values[4:])
    assert 0 <= iou(a, b) == iou(b, a) <= 1
    assert iou(a, a) in (0.0, pytest.approx(1.0))


def test_what_is_wrong_with_a_source_is_said(ai2d, chartqa, tmp_path):
    with pytest.raises(InstitError, match="choose one of ai2d, chartqa"):
        load_items("coco", ai2d)
    with pytest.raises(RecordError, match="holds no data/test"):
        load_items("ai2d", tmp_path)
    with pytest.raises(RecordError, match="has no column 'options', only type"):
        load_items("ai2d", chartqa)
    with pytest.raises(RecordError, match="ViP-Bench cannot be read"):
        load_items("vip-bench", tmp_path)
    next((ai2d / "data").iterdir()).write_bytes(b"PAR1 cut short")
    with pytest.raises(RecordError, match="cannot be read"):
        load_items("ai2d", ai2d)


def test_a_damaged_picture_leaves_one_row_out(refcocog, tmp_path):
    row = {"question_id": "5", "image": {"bytes": b"no picture", "path": None}, "answer": ["it"], "question": "",
           "bbox": [0.0, 0, 1, 1], "file_name": "x", "segmentation": [0.0], "iscrowd": 0}  # fmt: skip
    quarantine = Quarantine()
    shard(tmp_path / "broken", "data", "val", [row], **REFCOCOG)
    assert load_items("refcocog", tmp_path / "broken", quarantine=quarantine) == [] and quarantine.count == 1


def test_limit_and_empty_tables(ai2d, tmp_path):
    assert len(load_items("ai2d", ai2d, limit=1)) == 1
    shutil.rmtree(ai2d / "data")
    shard(ai2d, "data", "test", [], **AI2D)
    assert run_bench(Said(), "ai2d", tmp_path / "o", source=ai2d, progress=False, say=str)["rows"] == []


def test_the_command_line_runs_a_bench(nextqa, tmp_path, monkeypatch, capsys):
    """The micro base knows none of these words: what counts is that every answer is counted."""
    arguments = ["outside", "nextqa", "--model", "micro", "--source", str(nextqa), "--frames", "2", "--limit", "1"]
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "nextqa, micro" in said and "quarantined: 0" in said and (tmp_path / "answers-nextqa.jsonl").exists()
    assert cli.main(["outside", "nextqa", "--model", "gemini:x", "--source", str(nextqa)]) == 2
    assert "OfflineRefused" in capsys.readouterr().err
    assert opening.open_model("micro").name == "micro" and set(BENCHES) <= set(cli_help(capsys).replace(",", " ").split())


def cli_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["outside", "--help"])
    return capsys.readouterr().out
