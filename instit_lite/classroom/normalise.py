"""The one writer of committed notebooks. In: .ipynb files or py:percent text. Out: .ipynb in one normal form.

Normal form: no outputs, execution counts or widget state; known metadata only; cell ids from the notebook's
number and the cell's first words; indent 1; a final newline. Equal notebooks are equal bytes.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..errors import NotebookError, UnreadableInput, end_with
from ..profiles import atomic_write_text

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
NEW_CELL = {
    "markdown": nbformat.v4.new_markdown_cell,
    "code": nbformat.v4.new_code_cell, "raw": nbformat.v4.new_raw_cell,
}  # fmt: skip
ID_WORDS, ID_LENGTH = 5, 48
EXERCISE, GRADED = "exercise", "graded"  # tags of the two code cells of an exercise


def slug(source: str) -> str:
    """Return the first words of a cell as `lower-case-with-hyphens`, "cell" where it has none."""
    words = re.findall(r"[a-z0-9]+", source.lower())[:ID_WORDS]
    return "-".join(words)[:ID_LENGTH].strip("-") or "cell"


def normalise(notebook: NotebookNode, number: str) -> NotebookNode:
    """Return `notebook` in normal form; `number` ("03") begins every cell id. Empty cells are dropped."""
    cells, used = [], Counter()
    for cell in notebook.cells:
        source = "\n".join(line.rstrip() for line in cell.source.strip("\n").split("\n"))
        if not source.strip():
            continue
        name = f"{number}-{slug(source)}"
        used[name] += 1
        name += f"-{used[name]}" if used[name] > 1 else ""
        tags = cell.metadata.get("tags")
        metadata = {"tags": tags} | grading(tags, name) if tags else {}
        cells.append(NEW_CELL[cell.cell_type](source, id=name, metadata=metadata))
    result = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(result)
    return result


def grading(tags: list[str], name: str) -> dict:
    """nbgrader's metadata of a cell tagged `exercise`, which students write, or `graded`, which tests it."""
    if not {EXERCISE, GRADED} & set(tags):
        return {}
    graded = GRADED in tags
    own = {"grade": graded, "grade_id": name, "locked": graded, "schema_version": 3, "solution": not graded, "task": False}
    return {"nbgrader": own | ({"points": 1} if graded else {})}


def to_text(notebook: NotebookNode, number: str) -> str:
    """Return the file content of `notebook` in normal form."""
    return nbformat.writes(normalise(notebook, number), indent=1).rstrip("\n") + "\n"


def read(path: str | Path) -> NotebookNode:
    """Read a notebook as nbformat 4.5; raise `UnreadableInput` where there is none."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise UnreadableInput("there is no such notebook", path=path) from None
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise UnreadableInput(f"this is not a notebook ({error})", path=path) from None


def number_of(path: str | Path) -> str:
    """Return the number a notebook's name begins with: "03" of `03_mini_dataset.ipynb`."""
    return Path(path).stem.split("_")[0]


def from_percent(text: str) -> NotebookNode:
    """Return the notebook that py:percent `text` describes."""
    import jupytext

    return jupytext.reads(text, fmt="py:percent")


def to_percent(notebook: NotebookNode) -> str:
    """Return `notebook` as py:percent text without a header, for editing and review."""
    import jupytext

    metadata = {"jupytext": {"notebook_metadata_filter": "-all"}}
    bare = nbformat.v4.new_notebook(cells=notebook.cells, metadata=metadata)
    return jupytext.writes(bare, fmt="py:percent")


def normalise_files(paths: list[Path], *, check: bool) -> list[Path]:
    """Rewrite each notebook in normal form, or with `check` only look; return those that were not in it."""
    changed = []
    for path in paths:
        text = to_text(read(path), number_of(path))
        if path.read_text(encoding="utf-8") != text:
            changed.append(path)
            if not check:
                atomic_write_text(path, text)
    return changed


def main(argv: list[str] | None = None) -> int:
    """Command line: normalise or check notebooks, or convert from and to py:percent text."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.normalise", description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="only look; fail for what is not normal")
    parser.add_argument("--from-percent", type=Path, metavar="FILE.py", help="text to turn into --to")
    parser.add_argument("--to-percent", type=Path, metavar="NB.ipynb", help="notebook to turn into --to")
    parser.add_argument("--to", type=Path, help="the file to write")
    args = parser.parse_args(argv)
    if (args.from_percent or args.to_percent) and not args.to:
        parser.error("--to names the file to write")
    if args.from_percent:
        notebook = from_percent(args.from_percent.read_text(encoding="utf-8"))
        atomic_write_text(args.to, to_text(notebook, number_of(args.to)))
    elif args.to_percent:
        atomic_write_text(args.to, to_percent(read(args.to_percent)))
    changed = normalise_files(args.notebooks, check=args.check)
    for path in changed:
        print(f"{path}: {'not in normal form' if args.check else 'rewritten'}")
    if args.check and changed:
        raise NotebookError("some notebooks are not in normal form", cure="run `make normalise`")
    return 0


if __name__ == "__main__":
    end_with(main)
