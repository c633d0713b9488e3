"""The site. In: executed notebooks, README and docs. Out: `build/site/`, pages with search that open from a folder.

mystmd reads everything (no network needed); the pages are written here, in the folders of the repository.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from .. import __version__
from ..errors import InstitError, NotebookError, end_with
from ..profiles import atomic_write_text, build_dir, get_profile, repo_root
from .links import broken_links
from .myst_html import Place, render
from .pages import page
from .report import read_statuses
from .runner import Status, find_notebooks

GUIDES = ("README.md", "docs/*.md", "CONTRIBUTING.md", "instit_lite/model/micro_base/README.md",
          "integrations/lmms_eval/README.md")  # fmt: skip
FILES = ("LICENSE", "CITATION.cff", "docs/*.svg", "docs/*.png")  # what pages link to or show
THEME = "myst: v1\nkind: site\ntitle: instit_lite\nversion: 1.0.0\nlicense: Apache-2.0\n"
CODE = Path(__file__)
SEARCH = """<h1>Search</h1><p id="said" role="status">The search needs JavaScript.</p><ol id="found"></ol>
<script src="search-index.js"></script><script src="search.js"></script>"""


def myst_command() -> list[str]:
    """Return the command of mystmd; raise `InstitError` where it or Node.js is missing."""
    beside = Path(sys.executable).with_name("myst")
    found = str(beside) if beside.exists() else shutil.which("myst")
    if found is None:
        raise InstitError("mystmd is not installed", cure="run `make site`, or pip install -e '.[site]'")
    if shutil.which("node") is None:
        raise InstitError("mystmd needs Node.js, and there is no `node`", cure="install Node.js 20 or newer")
    return [found]


def gather(folder: Path, notebooks: list[Path]) -> None:
    """Lay the sources out in `folder` as in the repository, with these `notebooks`, and write mystmd's settings."""
    shutil.rmtree(folder, ignore_errors=True)
    root = repo_root()
    guides = [path for pattern in GUIDES for path in sorted(root.glob(pattern))]
    for path in [*guides, *(path for pattern in FILES for path in root.glob(pattern))]:
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / "notebooks").mkdir()
    for path in notebooks:
        shutil.copyfile(path, folder / "notebooks" / path.name)
    first, *others = [str(path.relative_to(root)) for path in guides]
    names = [first, *(f"notebooks/{path.name}" for path in notebooks), *others]
    settings = {
        "version": 1, "project": {"title": "instit_lite", "toc": [{"file": name} for name in names]},
        "site": {"template": "./theme"},
    }  # fmt: skip
    atomic_write_text(folder / "theme" / "template.yml", THEME)
    atomic_write_text(folder / "myst.yml", json.dumps(settings))  # JSON is YAML


def run_mystmd(folder: Path) -> Path:
    """Run mystmd in `folder`; return the folder of its tree. Raises `NotebookError` with its words where it fails."""
    command = [*myst_command(), "build", "--site", "--strict"]
    ran = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ran.returncode or "⛔" in ran.stdout:
        raise NotebookError(f"mystmd could not read the sources: {ran.stdout.strip()[-2000:]}", path=folder)
    return folder / "_build" / "site"


def repository_address() -> str | None:
    """Return the address on GitHub: of pyproject's `Repository`, else of the remote `origin`, None without either."""
    root = repo_root()
    given = root / "pyproject.toml"
    urls = tomllib.loads(given.read_text("utf-8"))["project"].get("urls", {}) if given.exists() else {}
    address = urls.get("Repository")
    if address is None:
        asked = ["git", "-C", str(root), "remote", "get-url", "origin"]
        address = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    address = address.removesuffix(".git").replace("git@github.com:", "https://github.com/")
    return address if urlsplit(address).netloc == "github.com" else None


def colab_html(notebook: str, address: str | None) -> str:
    """Return the link that opens `notebook` in Colab at this version's tag, and what to run there first."""
    if address is None:
        return ""
    tag, path = f"v{__version__}", urlsplit(address).path
    link = f"https://colab.research.google.com/github{path}/blob/{tag}/notebooks/{notebook}.ipynb"
    first = f"%pip install git+{address}@{tag}"
    return (
        f'<p class="note"><a class="badge" href="{html.escape(link)}">Open in Colab ({tag})</a> '
        f"There, run first: <code>{html.escape(first)}</code></p>"
    )


def run_html(status: Status | None) -> str:
    """Return one line on the run that a notebook's page shows, and what failed in it."""
    if status is None:
        return '<p class="failed">Not run for this site: its outputs are missing.</p>'
    line = f"Run in profile {status.profile}, seed {status.seed}, on {status.finished} in {status.seconds:.0f} s."
    failed = "".join(f'<p class="failed">failed: {html.escape(str(finding))}</p>' for finding in status.findings)
    return f'<p class="note">{html.escape(line)}</p>{failed}'


class Site:
    """The pages of one tree of mystmd's: what stands where, and how they point at each other."""

    def __init__(self, tree: Path, out: Path) -> None:
        self.tree, self.out = tree, out
        project = json.loads((tree / "config.json").read_text("utf-8"))["projects"][0]
        slugs = [project["index"], *(entry["slug"] for entry in project["pages"] if "slug" in entry)]
        self.pages = [json.loads((tree / "content" / f"{slug}.json").read_text("utf-8")) for slug in slugs]
        self.places = {f"/{slug}": self.place_of(entry["location"]) for slug, entry in zip(slugs, self.pages)}
        self.places["/"] = self.places[f"/{slugs[0]}"]
        self.titles = {self.place_of(entry["location"]): entry["frontmatter"]["title"] for entry in self.pages}

    @staticmethod
    def place_of(location: str) -> str:
        """Return the page of a source: `docs/teaching.html` of /docs/teaching.md, index.html of the README."""
        return "index.html" if location == "/README.md" else str(Path(location[1:]).with_suffix(".html"))

    def turned(self, url: str, here: str) -> str:
        """Return an address of mystmd's as seen from the page `here`; files that it put aside are copied."""
        address = urlsplit(url)
        if address.scheme or address.netloc or not url.startswith("/"):
            return url
        place = self.places.get(address.path.rstrip("/") or "/")
        if place is None:
            place = f"files{address.path}"
            (self.out / "files").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.tree / "public" / address.path[1:], self.out / place)
        anchor = f"#{address.fragment}" if address.fragment else ""
        return os.path.relpath(place, os.path.dirname(here) or ".") + anchor

    def sidebar(self, here: str, parts: list[dict]) -> str:
        """Return the search field and the list of pages, below the page `here` its `parts`."""
        up = "../" * here.count("/")
        groups: dict[str, str] = {"Start": "", "Notebooks": "", "Guides": ""}
        for place, title in self.titles.items():
            group = "Start" if place == "index.html" else "Notebooks" if place.startswith("notebooks/") else "Guides"
            inner = "".join(f'<li><a href="#{part["html_id"]}">{part["label"]}</a></li>' for part in parts)
            this = ' aria-current="page"' if place == here else ""
            below = f"<ul>{inner}</ul>" if this and inner else ""
            groups[group] += f'<li><a href="{up}{place}"{this}>{html.escape(title)}</a>{below}</li>'
        lists = "".join(f"<h2>{name}</h2><ul>{items}</ul>" for name, items in groups.items() if items)
        field = '<input type="search" name="q" aria-label="Search the site" placeholder="Search">'
        return f'<nav aria-label="Site"><form action="{up}search.html">{field}</form>{lists}</nav>'

    def write(self, here: str, title: str, body: str, parts: list[dict] = ()) -> None:
        """Write one page round `body`."""
        skip = '<a class="skip" href="#content">To the content</a>'
        inside = f'{skip}<div class="site">{self.sidebar(here, parts)}<main id="content" class="notebook">{body}</main></div>'
        atomic_write_text(self.out / here, page(f"{title} - instit_lite", inside))

    def write_all(self, head: Callable[[str], str]) -> None:
        """Write every page, below its title what `head` says of its name, and the search."""
        for entry in self.pages:
            here, title = self.place_of(entry["location"]), entry["frontmatter"]["title"]
            place = Place(lambda url, here=here: self.turned(url, here), self.tree / "public")
            near = neighbours(list(self.titles.items()), here)
            parts = [node for node in headings(entry["mdast"]) if node["depth"] == 2]
            name = html.escape(title)
            self.write(here, title, f"<h1>{name}</h1>{head(Path(here).stem)}{render(entry['mdast'], place)}{near}", parts)
        self.write("search.html", "Search", SEARCH)
        shutil.copyfile(CODE.with_name("search.js"), self.out / "search.js")
        atomic_write_text(self.out / "search-index.js", f"const INDEX = {json.dumps(self.index())};\n")

    def index(self) -> list[dict]:
        """Return what is searched: page, section, address and text of each section."""
        records = json.loads((self.tree / "myst.search.json").read_text("utf-8"))["records"]
        found = []
        for record in records:
            levels = list(record["hierarchy"].values())
            url = self.turned(record["url"], "search.html")
            found.append({"page": self.titles[url.split("#")[0]], "section": " › ".join(levels[1:]), "url": url,
                          "text": " ".join(record.get("content", "").split())})  # fmt: skip
        return found


def neighbours(titles: list[tuple[str, str]], here: str) -> str:
    """Return links to the pages before and after `here`; `titles` are all pages with their titles, in order."""
    place, up = [name for name, _ in titles].index(here), "../" * here.count("/")
    near = [("prev", "Previous", *pair) for pair in titles[max(place - 1, 0) : place]]
    near += [("next", "Next", *pair) for pair in titles[place + 1 : place + 2]]
    links = [f'<a href="{up}{page}" rel="{rel}">{word}: {html.escape(title)}</a>' for rel, word, page, title in near]
    return f'<nav aria-label="Neighbours">{" ".join(links)}</nav>'


def headings(node: dict) -> list[dict]:
    """Return the headings below `node` in order."""
    if node["type"] == "heading":
        return [node | {"label": html.escape(node.get("label", ""))}]
    return [found for child in node.get("children", ()) for found in headings(child)]


def build_site(profile: str, out: Path) -> list[str]:
    """Write the site of what was run in `profile` to `out`; return what is not in it, a phrase each.

    Raises `NotebookError` where nothing was run, where mystmd fails, or where a link leads nowhere.
    """
    folder, paths = build_dir("notebooks", profile), find_notebooks([])
    ran = {status.notebook: status for status in read_statuses(folder, [path.stem for path in paths])}
    ran = {name: status for name, status in ran.items() if (folder / f"{name}.ipynb").exists()}
    if not ran:
        raise NotebookError("no executed notebook", path=folder, cure=f"run `make notebooks PROFILE={profile}`")
    address, names = repository_address(), {path.stem for path in paths}
    sources = build_dir("site-sources")
    gather(sources, [folder / path.name if path.stem in ran else path for path in paths])
    shutil.rmtree(out, ignore_errors=True)
    Site(run_mystmd(sources), out).write_all(
        lambda name: run_html(ran.get(name)) + colab_html(name, address) if name in names else ""
    )
    broken = broken_links(out)
    if broken:
        raise NotebookError(f"{len(broken)} links lead nowhere: {'; '.join(broken[:20])}", path=out)
    missing = [f"the outputs of {name}, which was not run in profile {profile}" for name in sorted(names - set(ran))]
    return missing + ([] if address else ["links to Colab: there is no address on GitHub (`Repository` in pyproject.toml, or `origin`)"])


def main(argv: list[str] | None = None) -> int:
    """Command line: build the site of what was run in a profile."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.site", description=__doc__)
    parser.add_argument("--profile", default="micro")
    profile = get_profile(parser.parse_args(argv).profile).name
    out = build_dir("site")
    for sentence in build_site(profile, out):
        print(f"not in the site: {sentence}")
    print(f"site: {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    end_with(main)
