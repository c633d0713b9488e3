"""The report: offline, escaped, complete, and honest about failures."""

from __future__ import annotations

import json
import re

import matplotlib.pyplot as plt
import nbformat
import pytest

from instit_lite.classroom import figures, report
from instit_lite.classroom.pages import notebook_page
from instit_lite.classroom.safe_html import clean, clean_output
from instit_lite.errors import NotebookError, RecordError

ATTACK = (
    '<script>alert(1)</script><img src=x onerror="alert(1)"><a href="javascript:alert(1)">x</a><b>bold</b>'
)
ALT = 'chart with a "quote" and <tag>'


def picture() -> str:
    return figures.figure_html(plt.figure(figsize=(2, 1)), alt=ALT, caption="A caption")


def executed(html: str) -> nbformat.NotebookNode:
    v4 = nbformat.v4
    data = {"text/html": html, "text/plain": "x", "application/javascript": "alert(1)"}
    outputs = [
        v4.new_output("display_data", data=data),
        v4.new_output("stream", name="stdout", text="<script>alert(2)</script>"),
    ]
    cells = [
        v4.new_markdown_cell("# The title\n\nSee [next](01_b.ipynb) and <script>alert(3)</script> `a < b`."),
        v4.new_code_cell("x = '<b>'", execution_count=1, outputs=outputs),
    ]
    return v4.new_notebook(cells=cells)


def status(name: str, *findings: dict) -> dict:
    return {
        "notebook": name, "profile": "smoke", "seed": 0, "ok": not findings, "seconds": 3.2,
        "cells_executed": 5, "peak_rss_mb": 200, "findings": list(findings),
        "finished": "2026-01-01 00:00:00", "executed_notebook": f"{name}.ipynb", "versions": {"torch": "2"},
    }


@pytest.fixture
def run(tmp_path):
    """A made-up run of two notebooks, one of them failed, and one result table."""
    failed = {"kind": "error", "message": "ValueError: <b>no</b>", "cell": 4, "source": "f()"}
    for told in (status("00_a"), status("01_b", failed)):
        (tmp_path / f"{told['notebook']}.json").write_text(json.dumps(told))
        nbformat.write(executed(picture()), tmp_path / told["executed_notebook"])
    (tmp_path / "results").mkdir()
    table = {"title": "Scores <i>", "columns": ["split", "after"], "rows": [["image", 0.5], ["video", None]]}
    (tmp_path / "results" / "scores.json").write_text(json.dumps(table))
    return tmp_path


def build(run, names=None):
    return report.build_report(run, run / "results", run / "report", profile="smoke", names=names)[0]


def test_report_is_complete_and_offline(run):
    index = build(run)
    for path in (index, run / "report" / "00_a.html", run / "report" / "01_b.html"):
        text = path.read_text()
        assert "<script" not in text and "onerror" not in text
        loaded = re.findall(r'(?:src|href)="([^"]*)"', text)
        assert loaded and all(re.match(r"data:image/png;base64,|[\w#-]+(\.html)?", link) for link in loaded)
        assert not [link for link in loaded if link.startswith("http")]
    text = index.read_text()
    assert "Scores &lt;i&gt;" in text and '<td class="number">0.500</td>' in text
    assert "failed in cell 4: ValueError: &lt;b&gt;no&lt;/b&gt;" in text and "1 of 2 ran cleanly" in text
    assert text.count("<img ") == 3 and 'href="01_b.html"' in text and "The road of INST-IT in six panels" in text


def test_every_link_between_pages_leads_somewhere(run):
    folder = build(run).parent
    for path in folder.glob("*.html"):
        for link in re.findall(r'href="([\w]+\.html)"', path.read_text()):
            assert (folder / link).exists(), f"{path.name} -> {link}"


def test_model_text_cannot_act():
    text = notebook_page(executed(ATTACK + picture()), "00_a", ["00_a"])
    assert "alert(1)" not in re.sub(r"&lt;.*?&gt;", "", text)
    assert "<script" not in text and "onerror" not in text and "javascript:" not in text
    assert "&lt;script&gt;alert(2)" in text and "<b>bold</b>" in text and "<code>a &lt; b</code>" in text


def test_own_pictures_pass_and_forged_ones_do_not():
    assert picture() in clean_output("<p>before</p>" + picture())
    forged = picture().replace('width="', 'onload="alert(1)" width="')
    assert "onload" not in clean_output(forged) and "<img" not in clean_output(forged)
    assert clean("<details><summary>hint</summary>text</details>").startswith("<details><summary>")


def test_nothing_run_and_bad_tables_are_refused(run, tmp_path_factory):
    with pytest.raises(NotebookError, match="make demo"):
        report.read_statuses(tmp_path_factory.mktemp("empty"))
    bad = {"title": "t", "columns": ["a", "b"], "rows": [[1]]}
    (run / "results" / "bad.json").write_text(json.dumps(bad))
    with pytest.raises(RecordError, match="bad.json"):
        build(run)
    assert not (run / "report").exists()
    (run / "results" / "bad.json").write_text("[1]")
    with pytest.raises(RecordError):
        build(run)


def test_notebook_without_a_page_is_named_and_links_nowhere(run):
    finding = {"kind": "parameters", "message": "unknown parameter <sed>", "cell": None, "source": ""}
    refused = status("02_c", finding)
    (run / "02_c.json").write_text(json.dumps(refused))
    names = ["00_a", "01_b", "02_c", "03_d"]
    index, missing = report.build_report(run, run / "results", run / "report", profile="smoke", names=names)
    assert missing == ["02_c left no executed notebook: unknown parameter <sed>", "03_d was not run"]
    text = index.read_text()
    assert "unknown parameter &lt;sed&gt;" in text and "03_d was not run" in text
    assert "02_c.html" not in text and "03_d.html" not in text


def test_command_line_says_what_is_missing(run, monkeypatch, capsys):
    folders = {"notebooks": run, "results": run / "results", "report": run / "report"}
    monkeypatch.setattr(report, "build_dir", lambda name, *parts: folders[name])
    paths = [run / f"{name}.ipynb" for name in ("00_a", "01_b", "04_e")]
    monkeypatch.setattr(report, "find_notebooks", lambda names: paths)
    assert report.main(["--profile", "smoke"]) == 0
    said = capsys.readouterr().out
    assert "not in the report: 04_e was not run" in said
    assert f"report: {run / 'report' / 'index.html'}" in said


def test_alt_text_and_resources_reach_the_overview(run):
    table = {"title": "Cost", "columns": ["stage"], "rows": [["tuning"]], "note": "one machine"}
    (run / "results" / "resources.json").write_text(json.dumps(table))
    text = build(run).read_text()
    assert text.count('alt="chart with a &quot;quot') == 2
    assert text.index("<h2>Results</h2>") < text.index("<h2>What it cost</h2>") < text.index("Cost</caption>")


def test_what_is_no_status_is_refused(run):
    (run / "00_a.json").write_text("[1]")
    with pytest.raises(RecordError, match="00_a.json"):
        build(run)
