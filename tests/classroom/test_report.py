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

ATTACK = '<script>alert(1)</script><img src=x onerror="alert(1)"><a href="javascript:alert(1)">x</a><b>bold</b>'
ALT = 'chart with a "quote" and <tag>'


def picture() -> str:
    return figures.figure_html(plt.figure(figsize=(2, 1)), alt=ALT, caption="A caption")


def executed(html: str) -> nbformat.NotebookNode:
    v4 = nbformat.v4
    outputs = [
        v4.new_output("display_data", data={"text/html": html, "text/plain": "x", "application/javascript": "alert(1)"}),
        v4.new_output("stream", name="stdout", text="<script>alert(2)</script>"),
    ]
    cells = [
        v4.new_markdown_cell("# The title\n\nSee [next](01_b.ipynb) and <script>alert(3)</script> `a < b`."),
        v4.new_code_cell("x = '<b>'", execution_count=1, outputs=outputs),
    ]
    return v4.new_notebook(cells=cells)


def status(name: str, *findings: dict) -> dict:
    return {
        "notebook": name, "profile": "smoke", "seed": 0, "ok": not findings, "seconds": 3.2, "cells_executed": 5,
        "peak_rss_mb": 200, "findings": list(findings), "finished": "2026-01-01 00:00:00",
        "executed_notebook": f"{name}.ipynb", "versions": {"torch": "2"},
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


def build(run):
    return report.build_report(run, run / "results", run / "report", profile="smoke")


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
    assert text.count("<img ") == 2 and 'href="01_b.html"' in text and 'role="img"' in text


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
