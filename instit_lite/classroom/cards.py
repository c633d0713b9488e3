"""What a notebook takes, at its head. In: `measured.json`. Out: a table between two comments in each first cell."""

from __future__ import annotations

from pathlib import Path

from ..errors import end_with
from ..profiles import PROFILES, atomic_write_text, with_block
from .measured import FILE, measured
from .normalise import number_of, read, to_text
from .runner import find_notebooks

BEGIN, END = "<!-- card: begin (written by `make measure-notebooks`) -->", "<!-- card: end -->"
HEAD = "| profile | minutes | peak memory | downloads | dollars | measured |\n|---|---|---|---|---|---|"


def card(rows: dict[str, dict]) -> str:
    """Return the table of one notebook; `rows` maps a profile's name to what a run of it took."""
    lines = [HEAD]
    for profile in PROFILES:
        row = rows.get(profile)
        said = ["not measured", "", "", "", ""] if row is None else [
            f"{row['minutes']:.1f}", f"{row['peak_mb'] / 1000:.1f} GB", f"{row['downloads_mb']} MB",
            f"{row['dollars']:.2f}", f"{row['date']}, {row['machine']}",
        ]  # fmt: skip
        lines.append(f"| `{profile}` | {' | '.join(said)} |")
    return "\n".join(lines)


def with_card(path: Path, rows: dict[str, dict]) -> str:
    """Return the text of the notebook at `path` with its card; a first cell that had none gets it at its end."""
    notebook = read(path)
    first = notebook.cells[0]
    if BEGIN not in first.source:
        first.source += f"\n\n**What it takes**\n\n{BEGIN}\n{END}"
    first.source = with_block(first.source, BEGIN, END, f"\n{card(rows)}\n", path)
    return to_text(notebook, number_of(path))


def write_cards(paths: list[Path], file: Path = FILE) -> list[Path]:
    """Bring the cards of the notebooks at `paths` up to `file`; return those that were not."""
    known, changed = measured(file), []
    for path in paths:
        text = with_card(path, known.get(path.stem, {}))
        if path.read_text(encoding="utf-8") != text:
            atomic_write_text(path, text)
            changed.append(path)
    return changed


def main() -> int:
    """Command line: write the cards of all notebooks."""
    for path in write_cards(find_notebooks([])):
        print(f"{path.name}: its card is renewed")
    return 0


if __name__ == "__main__":
    end_with(main)
