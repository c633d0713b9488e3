"""Items left out. In: errors. Out: a line of JSON each, as they happen, and a count.

A batch goes on without its bad items, and nothing is left out in silence: `quarantine.jsonl` names item, path, reason
and cure.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InstitError

SHOWN = 3


class Quarantine:
    """Counts the items left out, and writes them to `path` (None: nowhere); a new one empties the file."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path, self.count = None if path is None else Path(path), 0
        self.first: list[str] = []
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("")

    def add(self, item: str, error: InstitError) -> None:
        """Leave an item out."""
        self.count += 1
        if self.count <= SHOWN:
            self.first.append(plain(f"{item}: {error}"))
        if self.path:
            line = {"item": item, "path": error.path, "reason": error.reason, "cure": error.cure}
            with open(self.path, "a", encoding="utf-8", errors="backslashreplace") as file:  # names may be no UTF-8
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def __str__(self) -> str:
        where = f", all in {self.path}" if self.path and self.count else ""
        return "\n  ".join([f"quarantined: {self.count}{where}", *self.first])


def plain(text: str) -> str:
    """Return a text without line breaks and control characters: names of files are anybody's."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
