"""`instit-lite evaluate ask | score | compare | probe`: a bench and files in, tables out, no network."""

import json
import subprocess
import sys

import pytest
from published_bench import TRUTHS, make_bench, predictions, write

from instit_lite import cli


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    make_bench(folder / "bench", pictures=False)
    write(folder / "a" / "video_mc.json", predictions(["B"] * 8))
    write(folder / "a" / "video_oe.json", predictions(["A rope"] * 8, form="open"))
    write(folder / "b.json", predictions(TRUTHS))
    return folder


def test_ask_then_score_ends_beside_the_papers_table(tmp_path, capsys):
    bench, answers = str(make_bench(tmp_path / "bench")), tmp_path / "answers"
    asked = ["evaluate", "ask", "--model", "micro", "--bench", bench, "--out", str(answers), "--circular"]
    assert cli.main([*asked, "--limit", "9"]) == 0  # pictures: 8 open-ended, 1 choice in four places
    file = answers / "micro.jsonl"
    assert f"wrote {file}" in capsys.readouterr().out and len(file.read_text().splitlines()) == 1 + 8 + 4
    kept = file.read_bytes()
    assert cli.main([*asked, "--limit", "9"]) == 0 and file.read_bytes() == kept  # nothing is asked twice
    file = file.rename(tmp_path / "Qwen2-VL.jsonl")
    assert cli.main(["evaluate", "score", str(file), "--bench", bench, "--out", str(tmp_path)]) == 0
    assert "CircularEval" in capsys.readouterr().out
    rows = json.loads((tmp_path / "table_2.json").read_text())["rows"]
    place = [row[0] for row in rows].index("Qwen2-VL")
    assert [rows[place + k][-1] for k in (0, 1)] == ["paper", "here"] and rows[place + 1][3].endswith("]")


@pytest.mark.parametrize("command", ["score", "compare", "probe"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["evaluate", command, "--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0 and f"instit-lite evaluate {command}" in said and "--bench" in said and "--judge" in said


def test_score_needs_no_bench_and_no_model(files, tmp_path, capsys):
    assert cli.main(["evaluate", "score", str(files / "b.json"), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "8 predictions; quarantined: 0" in said and "100.00" in said
    tables = [json.loads(file.read_text()) for file in sorted(tmp_path.glob("scores_b_*.json"))]
    assert [table["title"].split(":")[0] for table in tables] == ["Inst-It Bench", "Both scorers"]


def test_score_a_folder_on_a_bench_with_the_offline_judge(files, tmp_path, capsys):
    given = ["evaluate", "score", str(files / "a"), "--bench", str(files / "bench"), "--out", str(tmp_path)]
    assert cli.main([*given, "--blind", str(files / "b.json")]) == 0
    said = capsys.readouterr().out
    assert "32 questions; quarantined: 0" in said and "Marks and times named" in said and "blind" in said
    lines = (tmp_path / "judged_a.jsonl").read_text().splitlines()
    assert len(lines) == 8 and {json.loads(line)["judge"]["model"] for line in lines} == {"instit-lite-rules"}
    assert cli.main([*given, "--judge", "none"]) == 0
    assert "video  open    all" in capsys.readouterr().out


def test_compare_two_runs(files, tmp_path, capsys):
    assert cli.main(["evaluate", "compare", str(files / "a"), str(files / "b.json"), "--out", str(tmp_path)]) == 0
    assert "A: a, B: b; 8 that only one was asked are left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "compare_a_b.json").read_text())["rows"][0][:4] == ["video", "choice", "all", 8]


def test_probe_the_offline_judge(files, tmp_path, capsys):
    assert cli.main(["evaluate", "probe", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("holds") == 5
    assert cli.main(["evaluate", "probe", "--bench", str(files / "bench"), "--n", "4", "--out", str(tmp_path)]) in (0, 1)


def test_a_remote_judge_needs_the_switch(files, tmp_path, capsys):
    given = ["evaluate", "score", str(files / "b.json"), "--judge", "gpt-4o-2024-08-06", "--out", str(tmp_path)]
    assert cli.main([*given, "--base-url", "https://example.org/v1"]) == 2
    assert "OfflineRefused" in capsys.readouterr().err


def test_bad_files_are_one_line(files, tmp_path, capsys):
    (tmp_path / "bad.json").write_text("[{")
    for given in ([str(tmp_path / "bad.json")], [str(tmp_path / "no.json")], [str(files / "b.json"), "--bench", str(tmp_path)]):
        assert cli.main(["evaluate", "score", *given, "--out", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("RecordError") and "Cure:" in line


def test_scoring_files_loads_no_torch():
    code = "import sys, instit_lite.evaluation.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
