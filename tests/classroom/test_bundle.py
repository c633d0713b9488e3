"""The bundle for a room without network, on a tiny kit: what is in it, and that pip installs from it alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from offline_install import needs_namespaces, without_network

from instit_lite.classroom import bundle
from instit_lite.errors import OutputError

PROJECT = '[project]\nname = "kit"\nversion = "1"\ndependencies = ["tiny-part"]\n[build-system]\nrequires = ["tiny-part>=1"]\n'


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A checkout of a kit that needs one tiny package, and an index that has it."""
    root, index = tmp_path / "root", tmp_path / "index"
    (root / "part").mkdir(parents=True)
    index.mkdir()
    for name, text in {"pyproject.toml": PROJECT, "constraints.txt": "tiny-part==1.0\n", "part/a.txt": "a"}.items():
        (root / name).write_text(text)
    with zipfile.ZipFile(index / "tiny_part-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_part.py", "said = 'installed'\n")
        wheel.writestr("tiny_part-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-part\nVersion: 1.0\n")
        wheel.writestr("tiny_part-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny_part-1.0.dist-info/RECORD", "")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    (root / "secret.txt").write_text("not the kit's")
    monkeypatch.setattr(bundle, "repo_root", lambda: root)
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return tmp_path


@needs_namespaces
def test_bundle_installs_without_network(tiny):
    (tiny / "build" / "adapter" / "micro").mkdir(parents=True)
    (tiny / "build" / "adapter" / "micro" / "card.json").write_text("{}")
    assert bundle.main(["--out", str(tiny / "out")]) == 0
    kit = tiny / "out" / bundle.KIT
    files = {str(path.relative_to(kit)) for path in kit.rglob("*") if path.is_file()}
    assert files == {"pyproject.toml", "constraints.txt", "part/a.txt", "build/adapter/micro/card.json"}
    assert (tiny / "out" / bundle.SAMPLE).stat().st_size > 1000
    readme = (tiny / "out" / "README.md").read_text()
    assert "--no-index --find-links ../wheels" in readme and "adapter/micro" in readme and "dataset" not in readme
    install = f"{sys.executable} -m pip install -q --no-index --find-links ../wheels -c constraints.txt --target site tiny-part"
    done = without_network(f"{install}; PYTHONPATH=site {sys.executable} -c 'import tiny_part; print(tiny_part.said)'", kit)
    assert done.stdout.strip() == "installed", done.stderr


def test_what_cannot_be_made_is_one_error(tiny, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tiny))
    with pytest.raises(OutputError, match="pip could not make the wheels .*network"):
        bundle.build_bundle(tiny / "out")
    with pytest.raises(OutputError, match="not a git checkout"):
        bundle.copy_kit(tiny / "index", tiny / "copy")


def test_the_kit_itself_names_what_it_needs():
    names = {line.partition(">")[0] for line in bundle.wanted(bundle.repo_root())}
    assert {"torch", "jupyterlab", "setuptools"} <= names and "nbgrader" not in names and "pytest" not in names
