"""Text from a model is text wherever it is shown: in notebooks, in widgets, in the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from made_up_ledger import made_up_ledger
from payloads import PAYLOADS, Elements, check_inert, shape

from instit_lite.classroom import claim_figures, display, figures, pages, predictions, report, widgets
from instit_lite.classroom.runner import Status
from instit_lite.evaluation.report import score_table

PACKAGE = Path(report.__file__).parents[1]
PNG = b"\x89PNG"
HARMLESS = "plain words"


@pytest.fixture
def shown(monkeypatch):
    """Collect what goes to a notebook."""
    bundles = []
    monkeypatch.setattr(display, "get_ipython", lambda: True)
    monkeypatch.setattr(display, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def ledger_of(text):
    ledger = made_up_ledger()
    for claim in ledger["claims"]:
        claim |= {"id": text, "statement": text, "change": text, "paper": {"figure": text, "where": text}}
        claim["parts"] = [part | {"says": text} for part in claim["parts"]]
    return claim_figures.table_html(ledger)


def status_of(text):
    finding = {"kind": "error", "message": text, "cell": 1, "source": text}
    return Status(notebook="00_a", profile="smoke", seed=0, ok=False, seconds=1.0, cells_executed=1, peak_rss_mb=1,
                  findings=[report.Finding(**finding)], finished=text, executed_notebook="00_a.ipynb",
                  versions={text: text})  # fmt: skip


def notebook_of(*outputs, source="x"):
    v4 = nbformat.v4
    cells = [v4.new_code_cell(source, execution_count=1, outputs=list(outputs))]
    return v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), *cells])


def printed(text):
    v4 = nbformat.v4
    return notebook_of(
        v4.new_output("stream", name="stdout", text=text), v4.new_output("stream", name="stderr", text=text),
        v4.new_output("error", ename=text, evalue=text, traceback=[text]),
        v4.new_output("display_data", data={"text/plain": text}), source=f"x = {text!r}",
    )  # fmt: skip


def table_of(text):
    return {"title": text, "columns": [text, "n"], "rows": [[text, 1], [text, None]], "note": text}


SURFACES = {
    "a picture": lambda text: figures.image_html(PNG, f"a picture of {text}", width=9, caption=text),
    "a result table": lambda text: report.table_html(table_of(text)),
    "the table of claims": ledger_of,
    "an entry of the report": lambda text: report.card(status_of(text), notebook_of()),
    "the report": lambda text: report.overview(
        [status_of(text)], [notebook_of()], [table_of(text) | {"name": "x"}], text, [text]
    ),
}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_changes_nothing_but_text(surface, payload):
    html = SURFACES[surface](payload)
    assert shape(html) == shape(SURFACES[surface](HARMLESS))
    assert payload.replace("\0", "") in Elements(html).text.replace("\0", "").replace("\ufffd", "")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_the_outputs_of_a_notebook_is_text(payload):
    page = pages.notebook_page(printed(payload), "00_a", ["00_a"])
    check_inert(re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    words = re.sub(r"[\0\x1b].*", "", payload.split("\n")[0]).strip()
    assert Elements(page).text.count(words) >= 4, "it is shown"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_that_comes_as_html_or_markdown_is_disarmed(payload):
    v4 = nbformat.v4
    raw = notebook_of(v4.new_output("display_data", data={
        "text/html": payload, "text/markdown": payload, "text/latex": payload, "image/svg+xml": payload,
        "application/javascript": payload, "text/plain": "x",
    }))  # fmt: skip
    raw.cells.append(v4.new_markdown_cell(payload))
    page = pages.notebook_page(raw, "00_a", ["00_a"])
    check_inert(re.sub(r"<style>.*?</style>", "", page, count=1, flags=re.DOTALL))


def shown_for(shown, text):
    """What the classroom's displays publish for a text, headless and live."""
    shown.clear()
    predictions.predict(text, [text, "other"], "key", sample="other")
    predictions.reveal("key", text, text)
    widgets.explorer(lambda state: plt.figure(figsize=(1, 1)), {"said": [text, "b"]}, [{"said": text}],
                     alt=lambda state: f"a figure for {state['said']}")  # fmt: skip
    return "".join(bundle["text/html"] for bundle in shown)


def without_pictures(html):
    return re.sub(r'src="data:[^"]*"', 'src=""', html)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_displays_is_text(shown, monkeypatch, payload):
    monkeypatch.setenv("INSTIT_HEADLESS", "1")
    html, plain = (shape(without_pictures(shown_for(shown, text))) for text in (payload, HARMLESS))
    assert html == plain


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_live_widgets_is_text(shown, monkeypatch, payload):
    monkeypatch.delenv("INSTIT_HEADLESS", raising=False)
    made = []
    real = predictions.ipywidgets.HTML.__init__
    monkeypatch.setattr(predictions.ipywidgets.HTML, "__init__", lambda self, *a, **k: (made.append(self), real(self, *a, **k))[1])
    shown_for(shown, payload)
    assert made and all("alert(1)" not in str(dict(attrs)) or tag == "img" for w in made for tag, attrs in Elements(w.value).found)
    for widget in made:
        check_inert(widget.value)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_as_a_title_is_drawn_as_it_is(shown, payload):
    figures.show_images([np.zeros((8, 8, 3), np.uint8)], [payload], alt="a black square with a title")
    assert shown[0]["text/html"].count("<img ") == 1


def test_a_score_table_of_hostile_names_is_text():
    table = score_table([], {payload: [] for payload in PAYLOADS})
    check_inert(report.table_html(table))


def test_no_markdown_or_unescaped_html_is_made_of_text():
    """Everything shown goes through `publish` and fixed templates; no other way into a notebook is used."""
    ways = re.compile(r"\b(Markdown|Latex|Javascript|IFrame|display_html|display_markdown)\(|escape=False|\.style\.(format|apply|map|hide|set|to_html)|_repr_html_")
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    for path in (PACKAGE.parent / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources[path] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for path, source in sources.items():
        assert not ways.search(source), (path, ways.search(source))
