"""The form of the committed notebooks, without executing them: what a reader, a diff and papermill rely on.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from instit_lite.classroom import normalise

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_CELLS, MOST_LINES = 60, 25
USUAL_LINES = 15  # nine of ten code cells have no more
MOST_BYTES = 150_000
LIMITS_HEADING = "what this does not show"
FOLDERS = "home|Users|root|work|tmp|mnt|opt|content|workspace"
MACHINE_PATH = re.compile(rf"(?<![\w./:])(/({FOLDERS})/|[A-Z]:\\\\?\w)")
HEADING = re.compile(r"^(#{1,6})\s+\S", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def assigned(source: str) -> dict[str, object]:
    """Return the names that a cell assigns on its top level, with the literal, or None where it is none."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            try:
                value = ast.literal_eval(node.value)
            except (ValueError, TypeError):
                value = None
            found |= {target.id: value for target in targets if isinstance(target, ast.Name)}
    return found


def plain_python(source: str) -> str:
    """Return a code cell without the lines that only IPython understands."""
    return "\n".join(line for line in source.splitlines() if not re.match(r"\s*[%!]", line))


def imports(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(plain_python(source))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def stored_state(nb) -> list[str]:
    """No outputs, no counts, no widget state: outputs are made by running."""
    ran = [c.id for c in nb.cells if c.cell_type == "code" and (c.outputs or c.execution_count is not None)]
    return [f"{name} holds outputs or a count" for name in ran] + (
        ["widget state is stored"] if "widgets" in nb.metadata else []
    )


def cell_ids(nb) -> list[str]:
    ids = [cell.get("id", "") for cell in nb.cells]
    bad = {name for name in ids if not name or ids.count(name) > 1}
    return [f"the id {name!r} is missing or used twice" for name in sorted(bad)]


def parameters(nb) -> list[str]:
    tagged = [cell for cell in nb.cells if "parameters" in tags(cell)]
    if len(tagged) != 1 or tagged[0].cell_type != "code":
        return [f"{len(tagged)} cells are tagged `parameters`, not one code cell"]
    values = assigned(tagged[0].source)
    problems = [f"`parameters` does not hold {name}" for name in ("profile", "seed") if name not in values]
    derived = [name for name, value in values.items() if value is None]
    return problems + [f"the parameter {name} is no literal" for name in derived]


def sizes(nb) -> list[str]:
    long = [c for c in nb.cells if c.cell_type == "code" and len(c.source.splitlines()) > MOST_LINES]
    many = [f"{len(nb.cells)} cells, more than {MOST_CELLS}"] if len(nb.cells) > MOST_CELLS else []
    return many + [f"{c.id} has {len(c.source.splitlines())} lines, more than {MOST_LINES}" for c in long]


def short_cells(nb) -> list[str]:
    lines = [len(cell.source.splitlines()) for cell in nb.cells if cell.cell_type == "code"]
    long = sum(count > USUAL_LINES for count in lines)
    return [f"{long} of {len(lines)} code cells have more than {USUAL_LINES} lines"] if 10 * long > len(lines) else []


def prose(nb) -> list[str]:
    """Above every code cell stands markdown that is more than a heading."""
    problems = []
    for above, cell in zip([None, *nb.cells], nb.cells):
        if cell.cell_type != "code":
            continue
        above = above.source if above is not None and above.cell_type == "markdown" else ""
        words = re.sub(r"^#{1,6} .*$", "", above, flags=re.MULTILINE).split()
        if len(words) < 3:
            problems.append(f"{cell.id} has no prose above it")
    return problems


def machine_paths(nb) -> list[str]:
    found = [(cell.id, MACHINE_PATH.search(cell.source)) for cell in nb.cells]
    return [f"{name} names the machine's path {hit[0]!r}" for name, hit in found if hit]


def forbidden_imports(nb) -> list[str]:
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    return [f"{cell.id} imports torchvision" for cell in code if "torchvision" in imports(cell.source)]


def headings(nb) -> list[str]:
    """One title, in the first cell, and no level left out below it."""
    text = [FENCED.sub("", cell.source) for cell in nb.cells if cell.cell_type == "markdown"]
    levels = [len(hit[1]) for source in text for hit in HEADING.finditer(source)]
    first = nb.cells[0] if nb.cells else None
    problems = []
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        problems.append("the first cell does not begin with a title")
    if levels.count(1) != 1:
        problems.append(f"{levels.count(1)} titles, not one")
    jumps = [(a, b) for a, b in zip(levels, levels[1:]) if b > a + 1]
    return problems + [f"a heading of level {b} follows one of level {a}" for a, b in jumps]


def limits_said(nb) -> list[str]:
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown").lower()
    return [] if LIMITS_HEADING in text else [f"{LIMITS_HEADING!r} is not said"]


RULES = (
    stored_state, cell_ids, parameters, sizes, short_cells, prose, machine_paths, forbidden_imports, headings, limits_said,
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rule(path, rule):
    assert rule(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_in_normal_form(path):
    """Ids come from the text of the cells, so that they stay the same from writer to writer."""
    assert normalise.normalise_files([path], check=True) == [], "run `make normalise`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small(path):
    assert path.stat().st_size <= MOST_BYTES


def good() -> nbformat.NotebookNode:
    """A made-up notebook that keeps every rule."""
    cells = [
        new_markdown_cell("# A title\n\nThe next cell sets the size of the run."),
        new_code_cell('profile = "micro"\nseed = 0', metadata={"tags": ["parameters"]}),
        new_markdown_cell("## A part\n\nWe import what we need; ids look like `3/4` or [1]."),
        new_code_cell("%matplotlib inline\nimport numpy as np\nratio = 3 / 4"),
        new_markdown_cell("## What this does not show\n\nMuch.\n\n```\n# no heading\n```"),
    ]
    return normalise.normalise(new_notebook(cells=cells), "00")


def test_good_notebook_keeps_every_rule():
    assert [problem for rule in RULES for problem in rule(good())] == []


def break_output(nb):
    nb.cells[3].outputs = [new_output("stream", text="1")]


def break_widgets(nb):
    nb.metadata["widgets"] = {}


def break_ids(nb):
    nb.cells[1]["id"] = nb.cells[0]["id"]


def break_parameters_twice(nb):
    nb.cells[3].metadata["tags"] = ["parameters"]


def break_parameters_seed(nb):
    nb.cells[1].source = 'profile = "micro"\nsteps = 3'


def break_parameters_derived(nb):
    nb.cells[1].source += "\nsteps = len(profile)"


def break_length(nb):
    nb.cells[3].source = "\n".join("x = 1" for _ in range(MOST_LINES + 1))


def break_usual_length(nb):
    nb.cells[3].source = "\n".join("x = 1" for _ in range(USUAL_LINES + 1))


def break_count(nb):
    nb.cells += [new_markdown_cell("more") for _ in range(MOST_CELLS)]


def break_prose_absent(nb):
    del nb.cells[2]


def break_prose_heading_only(nb):
    nb.cells[2].source = "## A long heading of many words"


def break_path(nb):
    nb.cells[3].source = 'path = "/home/someone/clip.mp4"'


def break_import(nb):
    nb.cells[3].source = "def f():\n    from torchvision.io import read_video"


def break_title(nb):
    nb.cells[0].source = "The next cell sets the size of the run."


def break_heading_jump(nb):
    nb.cells[2].source = "#### A part\n\nWe import what we need."


def break_limits(nb):
    nb.cells[4].source = "## The end"


BREAKS = {
    break_output: stored_state, break_widgets: stored_state, break_ids: cell_ids,
    break_parameters_twice: parameters, break_parameters_seed: parameters,
    break_parameters_derived: parameters,
    break_length: sizes, break_usual_length: short_cells, break_count: sizes, break_prose_absent: prose, break_prose_heading_only: prose,
    break_path: machine_paths, break_import: forbidden_imports, break_title: headings,
    break_heading_jump: headings, break_limits: limits_said,
}  # fmt: skip


@pytest.mark.parametrize("spoil", BREAKS, ids=lambda spoil: spoil.__name__)
def test_rule_catches_a_bad_notebook(spoil):
    notebook = good()
    spoil(notebook)
    assert BREAKS[spoil](notebook)


@pytest.mark.parametrize("source", ["see C:\\Users\\me", 'open("/tmp/x/y")', "cd /content/repo"])
def test_machine_paths_are_seen(source):
    assert machine_paths(new_notebook(cells=[new_markdown_cell(source)]))


@pytest.mark.parametrize("source", ["build/report/", "https://a.org/home/x", "a/tmp/b", "and/or", "3:\\n"])
def test_other_slashes_are_no_machine_paths(source):
    assert not machine_paths(new_notebook(cells=[new_markdown_cell(source)]))
