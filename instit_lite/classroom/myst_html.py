"""mystmd's tree as HTML. In: the tree of one page that `myst build --site` writes. Out: HTML that runs no script.

mystmd reads the files, resolves the links and indexes the text; its own theme is fetched from a hub at each build and
needs a server, so the kit writes the pages itself, and they open from a folder. Formulas are MathML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nbconvert.filters.ansi import strip_ansi
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound

from ..errors import NotebookError
from .figures import check_alt
from .normalise import EXERCISE
from .safe_html import clean_output

TAGS = {
    "paragraph": "p", "strong": "strong", "emphasis": "em", "blockquote": "blockquote", "listItem": "li",
    "tableRow": "tr", "delete": "del", "subscript": "sub", "superscript": "sup",
    "details": "details", "summary": "summary",
}  # fmt: skip
PLAIN = ("root", "block", "outputs")  # nothing but what they hold
HIDDEN_TESTS = re.compile(r"\n*### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", re.DOTALL)
MATHML = re.compile(r"<math.*?</math>", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """What a page knows of the site: `link` turns an address of mystmd's, `files` holds outputs put aside."""

    link: Callable[[str], str]
    files: Path


def render(node: dict, place: Place) -> str:
    """Return `node` and all that it holds as HTML; raise `NotebookError` for a kind that has no writer."""
    kind = node["type"]
    inside = "".join(render(child, place) for child in node.get("children", ()))
    if kind in TAGS:
        return f"<{TAGS[kind]}>{inside}</{TAGS[kind]}>"
    if kind in PLAIN:
        return folded(node, inside)
    if kind not in WRITERS:
        raise NotebookError(f"no writer for {kind!r} in mystmd's tree", cure="add one to classroom/myst_html.py")
    return WRITERS[kind](node, inside, place)


def folded(node: dict, inside: str) -> str:
    """Return a cell as it is, the solution of an exercise folded, and nothing of the cell that papermill puts in."""
    tags = node.get("data", {}).get("tags", ())
    if "injected-parameters" in tags:
        return ""
    return f"<details><summary>A solution</summary>{inside}</details>" if EXERCISE in tags else inside


def code(node: dict, inside: str = "", place: Place | None = None) -> str:
    """Return a block of code with its colours, without hidden tests."""
    try:
        lexer = get_lexer_by_name(node.get("lang") or "text")
    except ClassNotFound:
        lexer = TextLexer()
    source = HIDDEN_TESTS.sub("", node["value"])
    return highlight(source, lexer, HtmlFormatter(nowrap=False)).replace("<pre>", '<pre tabindex="0">')


def output(node: dict, inside: str, place: Place) -> str:
    """Return one output of a cell: cleaned HTML, else a picture, else plain text."""
    held = node["jupyter_data"]
    if held["output_type"] == "stream":
        return preformatted(held["text"])
    if held["output_type"] == "error":
        said = held["traceback"]
        return preformatted(said if isinstance(said, str) else "\n".join(said))
    data = held["data"]
    if "text/html" in data:
        return f'<div class="output">{clean_output(content(data["text/html"], place))}</div>'
    if "image/png" in data:
        raise NotebookError("a picture without alt text", cure="show it with show_figure or show_image")
    return preformatted(content(data["text/plain"], place)) if "text/plain" in data else ""


def content(entry: dict, place: Place) -> str:
    """Return the text of one form of an output; mystmd puts large ones aside as files."""
    return (place.files / entry["path"].lstrip("/")).read_text("utf-8") if "path" in entry else entry["content"]


def preformatted(text: str) -> str:
    """Return plain text as it was printed, without colours of a terminal."""
    return f'<pre class="output" tabindex="0">{html.escape(strip_ansi(text))}</pre>'


def heading(node: dict, inside: str, place: Place) -> str:
    """Return a heading that can be linked to."""
    return f'<h{node["depth"]} id="{html.escape(node.get("html_id", ""))}">{inside}</h{node["depth"]}>'


def link(node: dict, inside: str, place: Place) -> str:
    """Return a link, or a reference to a heading, turned for the page it stands on."""
    url = node.get("url", "")
    if node["type"] == "crossReference":
        url += f"#{node['html_id']}"
    return f'<a href="{html.escape(place.link(url))}">{inside}</a>'


def image(node: dict, inside: str, place: Place) -> str:
    """Return an image; raise `InstitError` where its alt text says nothing."""
    alt = html.escape(check_alt(node.get("alt", "")))
    return f'<img src="{html.escape(place.link(node["url"]))}" alt="{alt}">'


def listing(node: dict, inside: str, place: Place) -> str:
    """Return a list, numbered from where it starts."""
    return f'<ol start="{node.get("start") or 1}">{inside}</ol>' if node.get("ordered") else f"<ul>{inside}</ul>"


def cell(node: dict, inside: str, place: Place) -> str:
    """Return a cell of a table."""
    return f'<th scope="col">{inside}</th>' if node.get("header") else f"<td>{inside}</td>"


def math(node: dict, inside: str, place: Place) -> str:
    """Return a formula as MathML, which browsers draw without help."""
    found = MATHML.search(node.get("html", ""))
    return found[0] if found else f"<code>{html.escape(node['value'])}</code>"


WRITERS: dict[str, Callable[[dict, str, Place], str]] = {
    "text": lambda node, inside, place: html.escape(node["value"]),
    "inlineCode": lambda node, inside, place: f"<code>{html.escape(node['value'])}</code>",
    "html": lambda node, inside, place: clean_output(node["value"]),
    "break": lambda node, inside, place: "<br>",
    "thematicBreak": lambda node, inside, place: "<hr>",
    "comment": lambda node, inside, place: "",
    "table": lambda node, inside, place: f'<div class="wide"><table>{inside}</table></div>',
    "code": code, "output": output, "heading": heading, "link": link, "crossReference": link, "image": image,
    "list": listing, "tableCell": cell, "math": math, "inlineMath": math,
}  # fmt: skip
