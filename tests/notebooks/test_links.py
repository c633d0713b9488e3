"""Links of the sources: each relative link, anchor and image of README, docs and notebooks leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GUIDES += [ROOT / "instit_lite/model/micro_base/README.md", ROOT / "integrations/lmms_eval/README.md"]
SOURCES = [*GUIDES, *sorted((ROOT / "notebooks").glob("*.ipynb"))]
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(.+)$", re.MULTILINE)


def prose(path: Path) -> str:
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def anchors(path: Path) -> set[str]:
    """The names that mystmd and code hosts give to headings, where both give the same."""
    said = (re.sub(r"[^\w\s-]", "", title.lower()).strip() for title in HEADING.findall(prose(path)))
    return {re.sub(r"\s+", "-", title) for title in said}


def broken(path: Path, text: str) -> list[str]:
    """Return the relative links of `text`, which stands in `path`, that lead nowhere, and images that say nothing."""
    found = []
    for image, words, target in LINK.findall(CODE.sub("", text)):
        file, _, anchor = target.partition("#")
        if image and len(words.split()) < 3:
            found.append(f"{target} has no alt text")
        if re.match(r"[a-z]+:", target):
            continue
        place = (path.parent / file).resolve() if file else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_the_sources_lead_somewhere(path):
    assert broken(path, prose(path)) == []


def test_broken_links_are_seen():
    text = "[a](no.md) [b](#nowhere) [c](docs/teaching.md#grading) ![x](docs/road.png) `[d](no.md)` [e](https://a.org)"
    assert broken(ROOT / "README.md", text) == ["no.md", "#nowhere", "docs/road.png has no alt text"]
