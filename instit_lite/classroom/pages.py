"""One page per notebook. In: an executed notebook. Out: a page of HTML that works offline and runs no script.

Formulas stay as they are written: there is no renderer for TeX without a network.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from .safe_html import PICTURE, clean, clean_output

KEPT = ("text/html", "text/plain", "image/png", "image/jpeg")
LINK = re.compile(r'href="(?:\./)?(\d\d_\w+)\.ipynb(#[^"]*)?"')
STYLE = Path(__file__).with_name("report.css")


class SafeExporter(HTMLExporter):
    """nbconvert's bare HTML with every markdown cell cleaned after rendering."""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        """Render markdown, clean it, and point links between notebooks at their pages."""
        return LINK.sub(r'href="\1.html\2"', clean(super().markdown2html(context, source)))


def made_safe(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of `notebook` whose outputs hold plain text, cleaned HTML and raster images only."""
    notebook = NotebookNode({**notebook, "cells": [_safe_cell(cell) for cell in notebook.cells]})
    notebook["metadata"] = NotebookNode({k: v for k, v in notebook.metadata.items() if k != "widgets"})
    return notebook


def _safe_cell(cell: NotebookNode) -> NotebookNode:
    if cell.cell_type != "code":
        return cell
    outputs = []
    for output in cell.outputs:
        output = NotebookNode(output)
        if "data" in output:
            data = {mime: value for mime, value in output["data"].items() if mime in KEPT}
            if "text/html" in data:
                data["text/html"] = clean_output(data["text/html"])
            output["data"] = NotebookNode(data)
        outputs.append(output)
    return NotebookNode({**cell, "outputs": outputs})


def title_of(notebook: NotebookNode, default: str) -> str:
    """Return the first heading of a notebook."""
    for cell in notebook.cells:
        found = re.search(r"^#\s+(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return found[1].strip()
    return default


def first_picture(notebook: NotebookNode) -> str | None:
    """Return the first picture that the kit's figures showed, as HTML, or None."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found = PICTURE.search(output.get("data", {}).get("text/html", ""))
            if found:
                return found[0]
    return None


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
    before, after = names[:place][-1:], names[place + 1 : place + 2]
    links += [f'<a href="{n}.html" rel="prev">Previous: {n}</a>' for n in before]
    links += [f'<a href="{n}.html" rel="next">Next: {n}</a>' for n in after]
    nav = f"<nav>{' '.join(links)}</nav>"
    return page(title_of(notebook, name), f'{nav}<main class="notebook">{body}</main>{nav}')
