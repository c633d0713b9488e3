"""Slides. In: executed notebooks. Out: reveal decks in `build/slides`, made by nbconvert from `slideshow` metadata.

A rule gives each cell its place, so that notebooks carry none: a heading begins a slide, other prose and every picture a
subslide; what is long in prose goes to the speaker's notes (key S), long code is left out, solutions always are.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

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

LIBRARIES = {"reveal.js": "4.6.1", "requirejs": "2.3.7", "jquery": "3.7.1"}
LOCAL = {
    "reveal_url_prefix": "node_modules/reveal.js", "require_js_url": "node_modules/requirejs/require.js",
    "jquery_url": "node_modules/jquery/dist/jquery.min.js",
}  # fmt: skip
WORDS, CODE_LINES = 70, 10  # the most of a slide
HIDE = "hide-input"
STYLE = """<style>
.reveal { font-size: 26px; } .reveal h1 { font-size: 1.8em; } .reveal h2 { font-size: 1.5em; }
.reveal .jp-RenderedHTMLCommon { font-size: 1em; } .reveal .slides { text-align: left; }
.reveal .slides section { max-height: 690px; overflow: auto; }
.reveal figure { margin: 0 auto; } .reveal figure img { max-height: 520px; max-width: 100%; width: auto; margin: 0; }
.reveal pre { font-size: 17px; box-shadow: none; width: auto; } .jp-InputPrompt, .jp-OutputPrompt { display: none; }
</style>"""


def divide(source: str) -> tuple[str, str]:
    """Return what of a prose cell is shown, at least a heading and one paragraph, and what is said."""
    parts = re.split(r"\n\s*\n", source.strip())
    shown = parts[: 2 if parts[0].startswith("#") else 1]
    while len(shown) < len(parts) and len(" ".join(shown + parts[len(shown) : len(shown) + 1]).split()) <= WORDS:
        shown.append(parts[len(shown)])
    return "\n\n".join(shown), "\n\n".join(parts[len(shown) :])


def placed(cell: NotebookNode) -> list[NotebookNode]:
    """Return what a cell becomes on slides, with `slideshow` metadata; nothing where it stays behind the scenes."""
    tags = set(cell.metadata.get("tags", []))
    if cell.cell_type == "markdown":
        shown, said = divide(cell.source)
        kind = "slide" if re.match(r"##? ", shown) else "subslide"
        notes = [nbformat.v4.new_markdown_cell(said, metadata={"slideshow": {"slide_type": "notes"}})] if said else []
        return [nbformat.v4.new_markdown_cell(shown, metadata={"slideshow": {"slide_type": kind}}), *notes]
    if cell.cell_type != "code" or not cell.outputs or tags & {EXERCISE, GRADED, "parameters", *ADDED}:
        return []
    picture = any("<img" in "".join(output.get("data", {}).get("text/html", "")) for output in cell.outputs)
    long = len(cell.source.splitlines()) > CODE_LINES
    kept = nbformat.v4.new_code_cell(cell.source, outputs=cell.outputs)
    kept.metadata = NotebookNode(slideshow={"slide_type": "subslide" if picture else "-"}, tags=[HIDE] if picture or long else [])
    return [kept]


def deck(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook of an executed one's slides; its outputs hold plain text and safe HTML only."""
    safe = made_safe(notebook)
    return nbformat.v4.new_notebook(cells=[new for cell in safe.cells for new in placed(cell)], metadata=notebook.metadata)


def page_of(notebook: NotebookNode, local: bool) -> str:
    """Return the deck as HTML; `local`: scripts come from the folder beside it, not from the network."""
    config = Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": {HIDE}}})
    exporter = SlidesExporter(config=config, reveal_number="c/t", reveal_transition="none", **(LOCAL if local else {}))
    body, _ = exporter.from_notebook_node(deck(notebook))
    return body.replace("</head>", f"{STYLE}</head>", 1)


def fetch_libraries(folder: Path) -> bool:
    """Put reveal and what it needs beside the decks, by npm; False where there is no npm or no network."""
    if all((folder / path).exists() for path in LOCAL.values()):
        return True
    npm = shutil.which("npm")
    wanted = [f"{name}@{version}" for name, version in LIBRARIES.items()]
    command = [npm or "npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder), *wanted]
    return npm is not None and subprocess.run(command, capture_output=True).returncode == 0


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
    local = fetch_libraries(out)
    for name in run:
        path = out / name.replace(".ipynb", ".html")
        atomic_write_text(path, page_of(read(source / name), local))
        print(f"wrote {path}")
    print("no network is needed, except for the two formulas of 02" if local else
          "npm is not there, or could not download: the decks load reveal from the network")  # fmt: skip
    return 0


if __name__ == "__main__":
    end_with(main)
