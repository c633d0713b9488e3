"""Links that lead somewhere. In: a folder of HTML pages. Out: one sentence for each link, anchor or image that does not.

Addresses on other machines are not visited.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The ids of a page, what it points at, and its images without alt text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids, self.targets, self.bare = set(), [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag says of itself and of others."""
        given = dict(attrs)
        self.ids.add(given.get("id"))
        self.targets += [given[name] for name in ("href", "src", "action") if given.get(name)]
        self.bare += tag == "img" and not (given.get("alt") or "").strip()


def broken_links(folder: Path) -> list[str]:
    """Return one sentence for each relative link, anchor and image in `folder` that leads nowhere or says nothing."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        found += [f"{name}: {page.bare} images without alt text"] if page.bare else []
        for target in page.targets:
            address = urlsplit(target)
            if address.scheme or address.netloc:
                continue
            file = (path.parent / unquote(address.path)).resolve() if address.path else path
            if not file.is_file():
                found.append(f"{name}: {target} is no file")
            elif address.fragment and file in pages and unquote(address.fragment) not in pages[file].ids:
                found.append(f"{name}: {target} names no place on that page")
    return found
