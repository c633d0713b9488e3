"""No file can run code when it is read: no pickle, under any of its names."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "diskcache", "pandas"}
SOURCES = [*ROOT.glob("instit_lite/**/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("notebooks/*.ipynb")]


def source_of(path: Path) -> str:
    """Return a module's text, or a notebook's code without its shell lines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).split("\n")
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def pickled(source: str) -> list[str]:
    """Return what in a source could load a pickle, or run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] * (node.module.split(".")[0] in PICKLES)
        elif isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            unsafe_torch = name.endswith("torch.load") and given.get("weights_only") != "True"
            unsafe = unsafe_torch or given.get("allow_pickle", "False") != "False" or given.get("trust_remote_code", "False") != "False"
            if unsafe or name in ("eval", "exec", "yaml.load", "__import__") or name.endswith(("read_pickle", "to_pickle")):
                found.append(name)
    return found


@pytest.mark.parametrize("source", [
    "import pickle", "from joblib import load", "import torch\ntorch.load('a.pt')", "torch.load(f, weights_only=False)",
    "np.load(f, allow_pickle=True)", "eval(text)", "AutoModel.from_pretrained(x, trust_remote_code=True)",
])  # fmt: skip
def test_what_loads_a_pickle_is_found(source):
    assert pickled(source)
    assert not pickled("torch.load(f, weights_only=True)\nnp.load(f)\nmodel.eval()")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle_is_ever_loaded(path):
    assert pickled(source_of(path)) == []
