"""One page per notebook. In: an executed notebook. Out: a page of HTML that works offline and runs no script.

Formulas stay as they are written: there is no renderer for TeX without a network.
"""

from __future__ import annotations

import html
import re
from copy import deepcopy
from pathlib import Path

from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from .safe_html import PICTURE, clean, clean_output

KEPT = ("text/html", "text/plain", "image/png", "image/jpeg")
LINK = re.compile(r'href="(?:\./)?(\d\d_\w+)\.ipynb(#[^"]*)?"')
TITLE = re.compile(r"^#\s+(.+)$", re.MULTILINE)
STYLE = Path(__file__).with_name("report.css")


class SafeExporter(HTMLExporter):
    """nbconvert's bare HTML with every markdown cell cleaned after rendering."""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        """Render markdown, clean it, and point links between notebooks at their pages."""
        return LINK.sub(r'href="\1.html\2"', clean(super().markdown2html(context, source)))


def made_safe(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of `notebook` whose outputs hold plain text, cleaned HTML and raster images only."""
    notebook = deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for output in outputs_of(notebook):
        if "data" in output:
            output.data = NotebookNode({mime: value for mime, value in output.data.items() if mime in KEPT})
            if "text/html" in output.data:
                output.data["text/html"] = clean_output(output.data["text/html"])
    return notebook


def outputs_of(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the outputs of all cells in order."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def title_of(notebook: NotebookNode, default: str) -> str:
    """Return the first heading of a notebook, `default` where it has none."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = TITLE.search(prose)
    return found[1].strip() if found else default


def first_picture(notebook: NotebookNode) -> str:
    """Return the first picture that the kit's figures showed, as HTML, or ""."""
    shown = "\n".join(output.get("data", {}).get("text/html", "") for output in outputs_of(notebook))
    found = PICTURE.search(shown)
    return found[0] if found else ""


def page(title: str, body: str) -> str:
    """Return a whole page round `body`, with the kit's one style inside it."""
    style = STYLE.read_text(encoding="utf-8") + HtmlFormatter(style="default").get_style_defs(".highlight")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head><body>{body}</body></html>\n"
    )


def notebook_page(notebook: NotebookNode, name: str, names: list[str]) -> str:
    """Return the page of the executed `notebook` called `name`, with links to its neighbours in `names`."""
    body, _ = SafeExporter(template_name="basic").from_notebook_node(made_safe(notebook))
    place = names.index(name)
    links = ['<a href="index.html">Overview</a>']
    links += [f'<a href="{n}.html" rel="prev">Previous: {n}</a>' for n in names[:place][-1:]]
    links += [f'<a href="{n}.html" rel="next">Next: {n}</a>' for n in names[place + 1 :][:1]]
    nav = f"<nav>{' '.join(links)}</nav>"
    return page(title_of(notebook, name), f'{nav}<main class="notebook">{body}</main>{nav}')
