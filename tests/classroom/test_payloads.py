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

from instit_lite.classroom import (
    claim_figures, display, figures, grade, pages, predictions, report, verification, widgets,
)  # fmt: skip
from instit_lite.classroom.runner import Status
from instit_lite.dataset.decisions import Decision, Item

PACKAGE = Path(report.__file__).parents[1]
PNG = b"\x89PNG"
HARMLESS = "plain words"


@pytest.fixture
def shown(monkeypatch):
    """Collect what goes to a notebook."""
    bundles = []
    monkeypatch.setattr(display, "get_ipython", lambda: True)
    monkeypatch.setattr(display, "display", lambda bundle, **how: bundles.append(bundle))
    return bundles


LEDGER = made_up_ledger()


def ledger_of(text):
    ledger = {"claims": [claim.copy() for claim in LEDGER["claims"][:3]]}
    for claim in ledger["claims"]:
        claim |= {"id": text, "statement": text, "change": text, "paper": {"figure": text, "where": text}}
        claim["parts"] = [part | {"says": text} for part in claim["parts"]]
    return claim_figures.table_html(ledger)


def status_of(text):
    finding = {"kind": "error", "message": text, "cell": 1, "source": text}
    return Status(notebook="00_a", profile="smoke", seed=0, ok=False, seconds=1.0, cells_executed=1, peak_rss_mb=1,
                  findings=[report.Finding(**finding)], finished=text, executed_notebook="00_a.ipynb",
                  versions={text: text})  # fmt: skip


def cell_of(*outputs, source="x"):
    return nbformat.v4.new_code_cell(source, execution_count=1, outputs=list(outputs))


def notebook_of(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), *cells])


def printed(text):
    output = nbformat.v4.new_output
    return cell_of(
        output("stream", name="stdout", text=text), output("stream", name="stderr", text=text),
        output("error", ename=text, evalue=text, traceback=[text]), output("display_data", data={"text/plain": text}),
        source=f"x = {text!r}",
    )  # fmt: skip


def table_of(text):
    return {"title": text, "columns": [text, "n"], "rows": [[text, 1], [text, None]], "note": text}


def verified(text):
    item = Item("video 1", "question", text, question=text)
    kept = Decision(item=text, question=text, told=text, verdict="edit", text=text, reviewer=text, time=text)
    return verification.panel_html(item, [text, text], kept)


SURFACES = {
    "a text to verify": verified,
    "a student's feedback": lambda text: grade.feedback(text, [grade.Grade(text, text, True, text)]),
    "a picture": lambda text: figures.image_html(PNG, f"a picture of {text}", width=9, caption=text),
    "a result table": lambda text: report.table_html(table_of(text)),
    "the table of claims": ledger_of,
    "an entry of the report": lambda text: report.card(status_of(text), notebook_of()),
    "the report": lambda text: report.overview(
        [status_of(text)], [notebook_of()], [table_of(text) | {"name": "x"}], text, [text]
    ),
}


@pytest.mark.parametrize("surface", SURFACES)
def test_a_payload_changes_nothing_but_text(surface, monkeypatch):
    monkeypatch.setattr(report, "draw_road", lambda: (plt.figure(), HARMLESS + " of the road"))  # seconds a payload
    usual = shape(SURFACES[surface](HARMLESS))
    for payload in PAYLOADS:
        html = SURFACES[surface](payload)
        assert shape(html) == usual, payload
        assert payload.replace("\0", "") in Elements(html).text.replace("\0", "").replace("\ufffd", "")


def page_of(*cells):
    """The page of a notebook, without the kit's own style sheet at its head."""
    page = pages.notebook_page(notebook_of(*cells), "00_a", ["00_a"])
    return re.sub(r"<style>.*?</style>", "", page, count=1, flags=re.DOTALL)


def test_payloads_in_the_outputs_of_a_notebook_are_text():
    page = page_of(*map(printed, PAYLOADS))
    check_inert(page)
    shown = Elements(page).text
    for payload in PAYLOADS:
        words = re.sub(r"[\0\x1b].*", "", payload.split("\n")[0]).strip()
        assert shown.count(words) >= 4, words


def test_payloads_that_come_as_html_or_markdown_are_disarmed():
    exporter = pages.SafeExporter(template_name="basic")
    kinds = ("text/html", "text/markdown", "text/latex", "image/svg+xml", "application/javascript")
    for payload in PAYLOADS:  # a page each: what one leaves open could hide the next
        output = nbformat.v4.new_output("display_data", data=dict.fromkeys(kinds, payload) | {"text/plain": "x"})
        made = pages.made_safe(notebook_of(cell_of(output), nbformat.v4.new_markdown_cell(payload)))
        check_inert(exporter.from_notebook_node(made)[0])


def draw(state):
    return plt.figure(figsize=(0.4, 0.4))


def shown_for(shown, texts):
    """What the classroom's displays publish for texts."""
    shown.clear()
    for text in texts:
        predictions.predict(text, [text, "other"], "key", sample="other")
        predictions.reveal("key", text, text)
    states = [{"said": text} for text in texts]
    widgets.explorer(draw, {"said": [*texts, "b"]}, states, alt=lambda state: f"a figure for {state['said']}")
    return re.sub(r'src="data:[^"]*"', 'src=""', "".join(bundle["text/html"] for bundle in shown))


def test_payloads_in_displays_are_text(shown, monkeypatch):
    monkeypatch.setenv("INSTIT_HEADLESS", "1")
    harmless = [f"{HARMLESS} {i}" for i in range(len(PAYLOADS))]
    assert shape(shown_for(shown, PAYLOADS)) == shape(shown_for(shown, harmless))


def test_payloads_in_live_widgets_are_text(shown, monkeypatch):
    monkeypatch.delenv("INSTIT_HEADLESS", raising=False)
    made, real = [], predictions.ipywidgets.HTML
    monkeypatch.setattr(predictions.ipywidgets, "HTML", lambda *given: made.append(real(*given)) or made[-1])
    shown_for(shown, PAYLOADS)
    assert len(made) == len(PAYLOADS) + 1
    for widget in made:
        check_inert(widget.value)


def test_payloads_as_titles_are_drawn_as_they_are(shown):
    titles = [payload for payload in PAYLOADS if "$" in payload]  # which matplotlib would read as a formula
    figures.show_images([np.zeros((8, 8, 3), np.uint8)] * len(titles), titles, alt="black squares with titles", size=0.5)
    assert shown[0]["text/html"].count("<img ") == 1


def test_no_markdown_or_unescaped_html_is_made_of_text():
    """Everything shown goes through `publish` and fixed templates; no other way into a notebook is used."""
    ways = re.compile(r"\b(Markdown|Latex|Javascript|IFrame|display_html|display_markdown)\(|escape=False|\.style\.(format|apply|map|hide|set|to_html)|_repr_html_")
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    for path in (PACKAGE.parent / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources[path] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for path, source in sources.items():
        assert not ways.search(source), (path, ways.search(source))
