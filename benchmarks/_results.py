"""Keep what was measured. In: tables of a run. Out: a dated section of RESULTS.md, with machine and versions."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "trl", "supervision")
RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def machine() -> str:
    """The machine in general words."""
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return f"{card.name}, {card.total_memory / 2**30:.0f} GiB, {os.cpu_count()}-core CPU"
    return f"{os.cpu_count()}-core CPU, no GPU"


def versions() -> dict[str, str]:
    """Versions of what decides the figures; packages that are not installed are left out."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cell(value: object) -> str:
    """Write a value for people: nothing for what was not measured."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
    return str(value)


def markdown(table: dict) -> str:
    """Lay a table out in Markdown: title, columns, rows, note."""
    lines = [table["columns"], ["---"] * len(table["columns"]), *([cell(v) for v in row] for row in table["rows"])]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {table['title']}\n\n{body}\n\n{table['note']}\n"


def append(tables: Sequence[dict], command: str, path: Path = RESULTS) -> None:
    """Append a section with the tables of one run; the file is made where there is none."""
    what = ", ".join(f"{name} {number}" for name, number in versions().items())
    head = f"## {datetime.date.today()}: `{command}`\n\n{machine()}. {what}.\n"
    with open(path, "a", encoding="utf-8") as opened:
        opened.write("\n" + "\n".join([head, *map(markdown, tables)]))
