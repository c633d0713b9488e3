"""The README's table of claims. In: the ledger in the repository. Out: the block between two comments of the README.

`python -m instit_lite.claims.readme_table` writes it; nobody edits it by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..profiles import atomic_write_text, repo_root, with_block
from .ledger import repository_ledger

README = repo_root() / "README.md"
BEGIN, END = "<!-- claims: begin (written by `make claims`) -->", "<!-- claims: end -->"
MOST = 8  # comparisons that a row spells out
PENDING = "Not measured yet in this version: run `make claims`."


def cell(part: dict) -> str:
    """What was measured of one comparison."""
    where = part.get("what") or f"{part['split']} {'OE' if part['format'] == 'open' else 'MC'}"
    if "ratio" in part:
        return f"{where} × {part['ratio'][0]:.2f} [{part['ratio'][1]:.2f}, {part['ratio'][2]:.2f}]"
    if "difference" not in part:
        return f"{where}: –"
    found = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * v for v in part["difference"]))
    return f"{where}: {found} ({part['says']})"


def cells(parts: list[dict]) -> str:
    """What was measured of all comparisons; a long row of them (the curves of C11) as its ends."""
    found = sorted(100 * p["difference"][0] for p in parts if "difference" in p)
    if len(parts) <= MOST or len(found) < len(parts):
        return "<br>".join(cell(part) for part in parts)
    words = ", ".join(dict.fromkeys(part["verdict"] for part in parts))
    first, last = parts[0]["says"], parts[-1]["says"]
    return f"{len(parts)} comparisons, {first} to {last}: {found[0]:+.1f} to {found[-1]:+.1f}, each {words}"


def paper_of(claim: dict) -> str:
    """What the paper reports and where; a control may say once that there is nothing."""
    figure, where = claim["paper"]["figure"], claim["paper"]["where"]
    return figure if figure == where else f"{figure} ({where})"


def table(ledger: dict) -> str:
    """The ledger as a Markdown table with a line on how it was measured."""
    machine = ledger["machine"]
    where = machine["gpu"] or f"{machine['cores']} CPU cores"
    lines = [
        f"Measured {ledger['date']} on {where}: {ledger['seeds']} trainings of each arm with {ledger['steps']} steps of "
        f"{ledger['batch']} visual inputs, {ledger['questions_per_split']} open questions per split; differences in points "
        "of accuracy with 95 % intervals over clips and seeds. OE open-ended, MC multiple choice; a claim holds as far as "
        "its weakest part.",
        "",
        "| | claim | the paper | here | verdict |",
        "|---|---|---|---|---|",
    ]
    for claim in ledger["claims"]:
        row = [claim["id"], claim["statement"], paper_of(claim), cells(claim["parts"]), f"**{claim['verdict']}**"]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |")
    return "\n".join(lines)


def block() -> str:
    """What stands between the two comments: the table of profile micro, or that there is none yet."""
    path = repository_ledger("micro")
    return table(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else PENDING


def write_table(path: Path = README) -> None:
    """Write the block of the README anew."""
    atomic_write_text(path, with_block(path.read_text(encoding="utf-8"), BEGIN, END, block(), path))


if __name__ == "__main__":
    write_table()
