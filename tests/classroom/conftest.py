"""Made-up notebooks and a way to run them, for the tests of the runner and the report."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

PARAMETERS = 'profile = "micro"\nseed = 0'


@pytest.fixture
def made_up(tmp_path):
    """Return a function that writes a notebook with a parameters cell and the given code cells."""

    def write(*cells: str, name: str = "00_made_up", folder: Path = tmp_path) -> Path:
        first = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
        rest = [nbformat.v4.new_code_cell(source) for source in cells]
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Made up"), first, *rest])
        nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = folder / f"{name}.ipynb"
        nbformat.write(nb, path)
        return path

    return write
