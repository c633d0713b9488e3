"""Slides: every cell gets its place by rule, solutions never appear, and the deck is nbconvert's own."""

from __future__ import annotations

import nbformat
import pytest

from instit_lite.classroom import slides
from instit_lite.classroom.normalise import EXERCISE, GRADED, read
from instit_lite.classroom.runner import find_notebooks
from instit_lite.errors import NotebookError

PICTURE = '<figure class="instit-figure"><img src="data:image/png;base64,AAAA" alt="a white square" width="10"></figure>'


def code(source: str, data: dict | None = None, *tags: str):
    outputs = [nbformat.v4.new_output("display_data", data)] if data else []
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


@pytest.fixture
def notebook():
    prose = nbformat.v4.new_markdown_cell
    cells = [
        prose("# Title\n\nA promise."), code("profile = 'x'", {"text/plain": "set"}, "parameters"), code("import os"),
        prose("## Section\n\nShort.\n\n" + "word " * 100), code("print(1)", {"text/plain": "one"}),
        prose("### Exercise: Write it"), code("secret = 1", {"text/plain": "42"}, EXERCISE), code("t", {"text/plain": "t"}, GRADED),
        prose("The import:"), code("import sys"),
        prose("Look.\n\n## Pictures"), code("draw()", {"text/html": PICTURE, "text/plain": "a white square"}),
        code("\n".join(["x = 1"] * 30), {"text/plain": "thirty"}),
    ]  # fmt: skip
    return nbformat.v4.new_notebook(cells=cells)


def test_each_cell_has_its_place(notebook):
    cells = slides.deck(notebook).cells
    places = [(cell.metadata.slideshow.slide_type, cell.source[:12]) for cell in cells]
    assert places == [
        ("slide", "# Title\n\nA p"), ("slide", "## Section\n\n"), ("notes", "word word wo"), ("-", "print(1)"),
        ("subslide", "### Exercise"), ("notes", "The import:"), ("subslide", "Look."), ("slide", "## Pictures"), ("subslide", "draw()"), ("-", "x = 1\nx = 1\n"),
    ]  # fmt: skip
    hidden = [cell.source[:5] for cell in cells if slides.HIDE in cell.metadata.get("tags", [])]
    assert hidden == ["draw(", "x = 1"]


def test_deck_shows_pictures_and_outputs_but_no_long_code_and_no_solution(notebook):
    page = slides.page_of(notebook, local=True)
    assert "a white square" in page and "thirty" in page and "<aside class=\"notes\">" in page
    assert "secret" not in page and "draw()" not in page
    assert 'src="node_modules/requirejs/require.js"' in page and "reveal.js@4" not in page
    assert "reveal.js@4" in slides.page_of(notebook, local=False)


@pytest.mark.parametrize("path", find_notebooks([]), ids=lambda path: path.stem)
def test_prose_of_the_notebooks_fits_a_slide(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            parts = slides.placed(cell)
            assert "".join("".join(part.source for part in parts).split()) == "".join(cell.source.split())
            shown = [part.source for part in parts if part.metadata.slideshow.slide_type != "notes"]
            assert shown and all(len(text.split()) <= 2 * slides.WORDS for text in shown)


def test_nothing_run_yet_is_said_with_a_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path))
    with pytest.raises(NotebookError, match="make notebooks PROFILE=smoke"):
        slides.main(["--profile", "smoke"])


def test_command_says_what_the_decks_need(tmp_path, monkeypatch, notebook, capsys):
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path))
    folder = tmp_path / "notebooks" / "smoke"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / find_notebooks(["00"])[0].name)
    assert slides.main(["--profile", "smoke"]) == 0
    assert "need the network, because npm" in capsys.readouterr().out
    for path in slides.LOCAL.values():
        (tmp_path / "slides" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "slides" / path).touch()
    assert slides.main(["--profile", "smoke"]) == 0
    assert "need no network" in capsys.readouterr().out
    assert "node_modules/reveal.js" in (tmp_path / "slides" / "00_start_here.html").read_text()
