"""The site: mystmd's tree becomes pages that run nothing, every link leads somewhere, Colab opens this version."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import nbformat
import pytest

from instit_lite import __version__
from instit_lite.classroom import figures, site
from instit_lite.classroom.links import broken_links
from instit_lite.classroom.myst_html import WRITERS, Place, render
from instit_lite.errors import InstitError, NotebookError
from instit_lite.profiles import repo_root
from test_report import ALT, executed, picture, status

READY = shutil.which("node") and (shutil.which("myst") or (site.Path(site.sys.executable).with_name("myst")).exists())


def text(value: str) -> dict:
    return {"type": "text", "value": value}


def html_of(node: dict, files=site.Path(".")) -> str:
    return render(node, Place(lambda url: f"../{url}", files))


@pytest.mark.parametrize("node, html", [
    ({"type": "paragraph", "children": [text("a < b")]}, "<p>a &lt; b</p>"),
    ({"type": "heading", "depth": 2, "html_id": "x", "children": [text("X")]}, '<h2 id="x">X</h2>'),
    ({"type": "link", "url": "a.md", "children": [text("a")]}, '<a href="../a.md">a</a>'),
    ({"type": "image", "url": "a.svg", "alt": 'three "quoted" words'},
     '<img src="../a.svg" alt="three &quot;quoted&quot; words">'),
    ({"type": "list", "ordered": True, "start": 3, "children": [{"type": "listItem", "children": [text("c")]}]},
     '<ol start="3"><li>c</li></ol>'),
    ({"type": "inlineMath", "value": "x", "html": "<span><math><mi>x</mi></math></span>"}, "<math><mi>x</mi></math>"),
    ({"type": "html", "value": "<b onclick='x()'>b</b><script>alert(1)</script>"}, "<b>b</b>"),
    ({"type": "output", "jupyter_data": {"output_type": "stream", "text": "\x1b[31m<1>\x1b[0m"}},
     '<pre class="output" tabindex="0">&lt;1&gt;</pre>'),
    ({"type": "output", "jupyter_data": {"output_type": "error", "traceback": "one\ntwo"}},
     '<pre class="output" tabindex="0">one\ntwo</pre>'),
    ({"type": "block", "data": {"tags": ["injected-parameters"]}, "children": [text("x")]}, ""),
])  # fmt: skip
def test_a_node_becomes_html(node, html):
    assert html_of(node) == html


def test_an_unknown_node_and_pictures_without_alt_text_are_refused():
    for node in ({"type": "hologram"}, {"type": "image", "url": "a.png", "alt": ""},
                 {"type": "output", "jupyter_data": {"output_type": "display_data", "data": {"image/png": {}}}}):  # fmt: skip
        with pytest.raises(InstitError, match="hologram|alt text"):
            html_of(node)
    assert all(callable(writer) for writer in WRITERS.values())


def test_solutions_are_folded_and_hidden_tests_left_out():
    cell = {"type": "code", "lang": "python", "value": "f()\n### BEGIN HIDDEN TESTS\nsecret()\n### END HIDDEN TESTS"}
    html = html_of({"type": "block", "data": {"tags": ["exercise"]}, "children": [cell]})
    assert html.startswith("<details><summary>A solution") and "f" in html and "secret" not in html


def test_a_large_output_is_read_from_where_mystmd_put_it(tmp_path):
    (tmp_path / "big.html").write_text(picture() + "<script>alert(1)</script>", "utf-8")
    data = {"text/html": {"path": "/big.html"}}
    html = html_of({"type": "output", "jupyter_data": {"output_type": "display_data", "data": data}}, tmp_path)
    assert "<img " in html and "<script" not in html


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text('<h2 id="here">A</h2><a href="sub/b.html#there">b</a><a href="#here">a</a>')
    (tmp_path / "sub" / "b.html").write_text('<p id="there"></p><a href="https://a.org/x">far</a><img src="data:," alt="x">')
    assert broken_links(tmp_path) == []
    (tmp_path / "c.html").write_text('<a href="a.html#gone">1</a><a href="no.html">2</a><img src="sub/b.html">')
    assert [re.sub(r"^c.html: ", "", line) for line in broken_links(tmp_path)] == [
        "1 images without alt text", "a.html#gone names no place on that page", "no.html is no file",
    ]


@pytest.mark.parametrize("url, address", [
    ("https://github.com/someone/kit", "https://github.com/someone/kit"),
    ("git@github.com:someone/kit.git", "https://github.com/someone/kit"),
    ("https://elsewhere.org/someone/kit", None), ("", None),
])  # fmt: skip
def test_colab_opens_the_tag_of_this_version(url, address, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "repo_root", lambda: tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    if url:
        subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", url], check=True)
    assert site.repository_address() == address
    shown = site.colab_html("03_mini_dataset", address)
    link = f"https://colab.research.google.com/github/someone/kit/blob/v{__version__}/notebooks/03_mini_dataset.ipynb"
    assert (link in shown and f"git+{address}@v{__version__}" in shown) if address else shown == ""


def test_every_place_names_the_same_version():
    root = repo_root()
    said = [re.search(rf'^version{sign} "?([\d.]+)', (root / name).read_text("utf-8"), re.MULTILINE)[1]
            for name, sign in (("pyproject.toml", " ="), ("CITATION.cff", ":"))]  # fmt: skip
    assert said == [__version__, __version__]


def test_devcontainer_runs_the_same_setup():
    told = json.loads((repo_root() / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert told["postCreateCommand"] == "make setup"
    assert "\nsetup:" in (repo_root() / "Makefile").read_text("utf-8")


def test_nothing_run_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path))
    with pytest.raises(NotebookError, match="no notebook has been run"):
        site.build_site("smoke", tmp_path / "site")


@pytest.mark.skipif(not READY, reason="the site needs mystmd (`make site` installs it) and Node.js")
def test_the_whole_site(tmp_path, monkeypatch):
    """One notebook run, the others not: every page is there, its pictures speak, the search knows it, links work."""
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path))
    folder = tmp_path / "notebooks" / "smoke"
    folder.mkdir(parents=True)
    name = "01_set_of_marks"
    (folder / f"{name}.json").write_text(json.dumps(status(name)))
    notebook = executed(picture())
    notebook.cells[0].source = "# The title\n\nA zebra walks. Then [the guide](../docs/teaching.md#grading)."
    nbformat.write(notebook, folder / f"{name}.ipynb")
    missing = site.build_site("smoke", tmp_path / "site")
    assert sum("was not run in profile smoke" in sentence for sentence in missing) == len(site.find_notebooks([])) - 1
    page = (tmp_path / "site" / "notebooks" / f"{name}.html").read_text("utf-8")
    assert f'alt="{figures.html.escape(ALT)}"' in page and "alert(" not in re.sub("&[a-z]+;", "", page).split("<main")[0]
    assert "<script" not in page and 'href="../docs/teaching.html#grading"' in page and "Run in profile smoke" in page
    index = (tmp_path / "site" / "search-index.js").read_text("utf-8")
    assert "zebra" in index and f"notebooks/{name}.html" in index
    assert "outputs are missing" in (tmp_path / "site" / "notebooks" / "00_start_here.html").read_text("utf-8")
    assert broken_links(tmp_path / "site") == [] and (tmp_path / "site" / "search.js").exists()
