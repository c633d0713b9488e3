"""The normal form of committed notebooks: one text per notebook, and the percent round trip is the identity.
"""

from __future__ import annotations

import json

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.classroom import normalise as nm
from instit_lite.errors import InstitError, NotebookError, UnreadableInput

PERCENT = """\
# %% [markdown]
# # A title
# Some prose.

# %% tags=["parameters"]
profile = "micro"
seed = 0

# %% [markdown]
# More prose.

# %%
print(profile)
"""


def run_once() -> nbformat.NotebookNode:
    nb = nm.from_percent(PERCENT)
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    nb.cells[3].outputs = [nbformat.v4.new_output("stream", text="micro")]
    nb.cells[3].execution_count = 7
    nb.cells[3].metadata["papermill"] = {"duration": 1}
    return nb


def test_normal_form_drops_what_running_leaves_behind():
    data = json.loads(nm.to_text(run_once(), "03"))
    assert set(data["metadata"]) == {"kernelspec", "language_info"}
    assert data["cells"][3]["outputs"] == [] and data["cells"][3]["execution_count"] is None
    assert [cell["metadata"] for cell in data["cells"]] == [{}, {"tags": ["parameters"]}, {}, {}]
    assert data["cells"][0]["id"] == "03-a-title-some-prose"


def test_normal_form_is_stable_and_ids_differ():
    nb = run_once()
    nb.cells += [nbformat.v4.new_code_cell("print(profile)"), nbformat.v4.new_code_cell("   ")]
    text = nm.to_text(nb, "03")
    again = nm.to_text(nbformat.reads(text, as_version=4), "03")
    ids = [cell["id"] for cell in json.loads(text)["cells"]]
    assert text == again and text.endswith("}\n") and '\n "cells"' in text
    assert ids[-2:] == ["03-print-profile", "03-print-profile-2"]


words = st.text(alphabet="abc XYZ#%'\"=_0\n[]", min_size=1, max_size=40).filter(lambda s: s.strip())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["markdown", "code"]), words), min_size=1, max_size=5))
def test_ids_are_valid_and_unique_for_any_source(cells):
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    nb = nbformat.v4.new_notebook(cells=[make[kind](source) for kind, source in cells])
    result = nm.normalise(nb, "00")
    ids = [cell.id for cell in result.cells]
    assert len(set(ids)) == len(ids) == len(cells)
    nbformat.validate(result)


def test_percent_round_trip_is_the_identity():
    nb = nm.normalise(run_once(), "03")
    text = nm.to_percent(nb)
    assert text.startswith("# %% [markdown]\n# # A title")
    assert nm.to_text(nm.from_percent(text), "03") == nm.to_text(nb, "03")


def test_command_line_converts_checks_and_rewrites(tmp_path):
    source, target = tmp_path / "text.py", tmp_path / "03_x.ipynb"
    source.write_text(PERCENT)
    assert nm.main(["--from-percent", str(source), "--to", str(target)]) == 0
    assert nm.main(["--check", str(target)]) == 0
    clean = target.read_text()
    target.write_text(clean.replace('"execution_count": null', '"execution_count": 3'))
    with pytest.raises(NotebookError, match="not in normal form"):
        nm.main(["--check", str(target)])
    assert nm.main([str(target)]) == 0 and target.read_text() == clean


@pytest.mark.parametrize("content", [None, "", "{}", "not json"])
def test_what_is_no_notebook_is_refused(content, tmp_path):
    path = tmp_path / "03_x.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UnreadableInput) as caught:
        nm.read(path)
    assert isinstance(caught.value, InstitError) and str(path) in str(caught.value)
