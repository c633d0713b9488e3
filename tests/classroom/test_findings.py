"""What counts as wrong in an executed notebook, on notebooks made up without executing anything."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from instit_lite.classroom import findings


def ran(*cells, **metadata) -> nbformat.NotebookNode:
    return new_notebook(cells=list(cells), metadata=metadata)


def cell(source="x = 1", *, count=1, outputs=(), tags=()):
    made = new_code_cell(source, execution_count=count, outputs=list(outputs))
    if tags:
        made.metadata["tags"] = list(tags)
    return made


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=[])
SHOUT = new_output("stream", name="stderr", text="Traceback (most recent call last):\n  ...\nOSError: gone\n")
WARNING = new_output("stream", name="stderr", text="UserWarning: mind the gap\n")


def test_clean_notebook_has_no_findings():
    assert findings.inspect_run(ran(cell(), cell(outputs=[WARNING]))) == []


def test_error_is_located_in_the_authors_cells():
    marker = new_markdown_cell("error above")
    marker.metadata["tags"] = ["papermill-error-cell-tag"]
    injected = cell("seed = 1", tags=["injected-parameters"])
    found = findings.inspect_run(ran(marker, cell(), injected, cell("fail()", outputs=[ERROR])))
    assert [(f.cell, f.source, f.message) for f in found] == [(2, "fail()", "ValueError: no")]


def test_traceback_on_stderr_is_an_error():
    (found,) = findings.inspect_run(ran(cell(), cell(outputs=[SHOUT])))
    assert found.cell == 2 and "OSError: gone" in found.message


def test_a_picture_without_alt_text_is_an_error():
    leaked = new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})
    (found,) = findings.inspect_run(ran(cell("draw()", outputs=[leaked])))
    assert found.cell == 1 and "alt text" in found.message


@pytest.mark.parametrize("image, problem", [
    ('<img src="data:," alt="two rising lines" width="700">', None),
    ('<img src="data:," alt="" width="700">', "alt text"), ('<img src="data:,">', "alt text"),
    ('<img src="data:," alt="two rising lines" width="1200">', "1200 pixels wide"),
])  # fmt: skip
def test_images_in_html_say_what_they_show_and_fit_the_page(image, problem):
    shown = new_output("display_data", data={"text/html": f"<figure>{image}</figure>"})
    found = findings.inspect_run(ran(cell("draw()", outputs=[shown])))
    assert [problem in f.message for f in found] == ([] if problem is None else [True])


def test_announced_error_is_allowed():
    assert findings.inspect_run(ran(cell(), cell(outputs=[ERROR], tags=["raises-exception"]))) == []


@pytest.mark.parametrize("output", [ERROR, SHOUT])
def test_error_in_an_output_widget_is_found(output):
    state = {findings.WIDGET_STATE: {"state": {"id": {"state": {"outputs": [output]}}}}}
    (found,) = findings.inspect_run(ran(cell(), cell(), widgets=state))
    assert found.kind == "widget"
