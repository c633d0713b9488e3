"""Slides. In: executed notebooks. Out: reveal decks in `build/slides`, made by nbconvert from `slideshow` metadata.

A rule gives each cell its place, so that notebooks carry none: a heading begins a slide, other prose and every picture a
subslide; what is long in prose, and what speaks of a cell that is left out, goes to the speaker's notes (key S). Long code
and outputs of more than a page are left out, solutions always are.
"""

from __future__ import annotations

import argparse
import re

import nbformat
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from traitlets.config import Config

from ..errors import NotebookError, end_with
from ..profiles import atomic_write_text, build_dir, get_profile
from .findings import ADDED
from .normalise import EXERCISE, GRADED, read
from .pages import made_safe
from .runner import find_notebooks

LOCAL = {  # `make slides` has npm put them beside the decks
    "reveal_url_prefix": "node_modules/reveal.js", "require_js_url": "node_modules/requirejs/require.js",
    "jquery_url": "node_modules/jquery/dist/jquery.min.js",
}  # fmt: skip
WORDS, CODE_LINES = 80, 10  # the most of a slide
WIDTH, BESIDE, ALONE = 110, 12, 36  # letters in a line; lines of output that stand below prose, and that fill a slide of their own
HIDE = "hide-input"
HEAD = """<style>
.reveal { font-size: 26px; } .reveal h1 { font-size: 1.8em; } .reveal h2 { font-size: 1.5em; }
.reveal .jp-RenderedHTMLCommon { font-size: 1em; } .reveal .slides { text-align: left; }
.reveal .slides section { max-height: 690px; overflow: auto; }
.reveal figure { display: inline-block; margin: 0 6px; vertical-align: top; font-size: 18px; }
.reveal figure img { max-height: 520px; max-width: 100%; width: auto; margin: 0; }
.reveal figure:not(:only-of-type) { max-width: 47%; } .reveal figure:not(:only-of-type) img { max-height: 180px; }
.reveal pre { font-size: 13px; box-shadow: none; width: 100%; } .jp-InputPrompt, .jp-OutputPrompt { display: none; }
</style><script>window.MathJax = window.MathJax || {Hub: {getAllJax: () => false}};  // where there is no network</script>
"""


def divide(source: str) -> tuple[str, str]:
    """Return what of a prose cell is shown, at least a heading and one paragraph, and what is said."""
    parts = re.split(r"\n\s*\n", source.strip())
    shown = parts[: 2 if parts[0].startswith("#") else 1]
    while len(shown) < len(parts):
        longer = shown + parts[len(shown) : len(shown) + 1]
        if len(" ".join(longer).split()) > WORDS and not shown[-1].endswith((":", "**")):  # these announce what follows
            break
        shown = longer
    return "\n\n".join(shown), "\n\n".join(parts[len(shown) :])


def prose(source: str) -> list[NotebookNode]:
    """Return the slide of a part that has at most one heading, and the notes to it."""
    shown, said = divide(source)
    kinds = {"slide" if re.match(r"##? ", shown) else "subslide": shown, "notes": said}
    new = nbformat.v4.new_markdown_cell
    return [new(text, metadata={"slideshow": {"slide_type": kind}}) for kind, text in kinds.items() if text]


def lines_of(output: NotebookNode) -> int:
    """Return about how many lines an output takes, without its pictures; a row of a table needs room around it."""
    data = output.get("data", {})
    html = re.sub(r"<(?!tr)[^>]*>", "", "".join(data.get("text/html", "")))
    text = "" if html else "".join(output.get("text", data.get("text/plain", "")))
    return sum(1 + len(line) // WIDTH for line in text.splitlines()) + 3 * html.count("<tr") // 2 + len(html) // WIDTH


def placed(cell: NotebookNode) -> list[NotebookNode]:
    """Return what a cell becomes on slides, with `slideshow` metadata; nothing where it stays behind the scenes."""
    tags = set(cell.metadata.get("tags", []))
    if cell.cell_type == "markdown":
        return [new for part in re.split(r"\n(?=#{1,3} )", cell.source) for new in prose(part)]
    outputs = [output for output in cell.get("outputs", []) if output.get("name") != "stderr"]
    lines, code = sum(map(lines_of, outputs)), len(cell.source.splitlines())
    if not outputs or lines > ALONE or tags & {EXERCISE, GRADED, "parameters", *ADDED}:
        return []
    pictures = any("<img" in "".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    asks = re.search(r"^(predict|reveal)\(", cell.source, re.MULTILINE)
    hidden = pictures or asks or code > CODE_LINES or code + lines > ALONE
    place = "subslide" if pictures or lines + (0 if hidden else code) > BESIDE else "-"
    metadata = {"slideshow": {"slide_type": place}, "tags": [HIDE] if hidden else []}
    return [nbformat.v4.new_code_cell(cell.source, outputs=outputs, metadata=metadata)]


def deck(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook of an executed one's slides; its outputs hold plain text and safe HTML only."""
    safe = made_safe(notebook)
    cells = []
    for cell, after in zip(safe.cells, [*safe.cells[1:], None]):
        new = placed(cell)
        if cell.cell_type == "markdown" and not new[-1].source.startswith("#") and after and not placed(after):
            new[-1].metadata.slideshow.slide_type = "notes"
        cells += new
    return nbformat.v4.new_notebook(cells=cells, metadata=safe.metadata)


def page_of(notebook: NotebookNode, local: bool) -> str:
    """Return the deck as HTML; `local`: scripts come from the folder beside it, not from the network."""
    config = Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": {HIDE}}})
    exporter = SlidesExporter(config=config, reveal_number="c/t", reveal_transition="none", **(LOCAL if local else {}))
    body, _ = exporter.from_notebook_node(deck(notebook))
    return body.replace("</head>", f"{HEAD}</head>", 1)


def main(argv: list[str] | None = None) -> int:
    """Command line of `make slides`."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.slides", description=__doc__.split("\n")[0])
    parser.add_argument("--profile", default="micro")
    profile = get_profile(parser.parse_args(argv).profile).name
    source, out = build_dir("notebooks", profile), build_dir("slides")
    run = [path.name for path in find_notebooks([]) if (source / path.name).exists()]
    if not run:
        cure = f"run `make notebooks PROFILE={profile}` first"
        raise NotebookError("no notebook was run, and slides show what was found", path=source, cure=cure)
    local = all((out / path).exists() for path in LOCAL.values())
    for name in run:
        path = out / name.replace(".ipynb", ".html")
        atomic_write_text(path, page_of(read(source / name), local))
        print(f"wrote {path}")
    need = "no network, except for the two formulas of 02" if local else "the network, because npm could not get reveal"
    print(f"the decks need {need}")
    return 0


if __name__ == "__main__":
    end_with(main)
