"""The house rules that a parser can check: imports run one way, no torchvision, every module says what it does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "instit_lite"
ORDER = (
    "errors", "profiles", "scenes", "marks", "annotation", "dataset", "model", "training", "evaluation", "claims",
    "classroom", "cli",
)
TORCH_FREE = ("errors", "profiles", "scenes", "marks", "annotation", "dataset")
MODULES = sorted(PACKAGE.rglob("*.py"))


def parts_of(path: Path) -> tuple[str, ...]:
    """Return the dotted name of a module of the package, as parts."""
    return ("instit_lite", *path.relative_to(PACKAGE).with_suffix("").parts)


def imported(source: str, parts: tuple[str, ...]) -> set[str]:
    """Return the absolute names of all modules that `source`, the module `parts`, imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{stem}.{alias.name}" for alias in node.names} if stem == "instit_lite" else {stem}
    return names


def test_relative_imports_are_resolved():
    source = "from ..scenes.world import Scene\nfrom .. import errors\nfrom . import draw\nimport numpy.linalg as la\n"
    assert imported(source, ("instit_lite", "marks", "made_up")) == {
        "instit_lite.scenes.world", "instit_lite.errors", "instit_lite.marks", "numpy.linalg",
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    parts = parts_of(path)
    room = parts[1]
    assert room == "__init__" or room in ORDER, f"the room {room!r} is not in the list of rooms"
    for name in imported(path.read_text(encoding="utf-8"), parts):
        top, *below = name.split(".")
        assert top != "torchvision", "torchvision is never imported"
        if room in TORCH_FREE:
            assert top not in ("torch", "transformers", "peft"), f"{room} knows nothing of models, yet imports {top}"
        if top == "instit_lite" and room in ORDER and below and below[0] in ORDER:
            assert ORDER.index(below[0]) <= ORDER.index(room), f"{room} imports {name}, which lies below it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_says_what_comes_in_and_goes_out(path):
    source = path.read_text(encoding="utf-8")
    if path.parent == PACKAGE and path.stem == "__init__":
        return
    docstring = (ast.get_docstring(ast.parse(source)) or "").lower()
    assert "in:" in docstring and "out:" in docstring
