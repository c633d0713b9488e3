"""A room without network. In: this checkout, pip's index. Out: `build/offline`, to be carried on a disk.

It holds wheels of everything pinned, for this system and this Python, the repository with the micro base, a sample
clip, and what notebooks 03 and 05 built here, so that nobody has to wait for it. Its README has three commands.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from ..errors import OutputError, end_with
from ..profiles import atomic_write_text, build_dir, repo_root
from ..scenes.sample import Knobs, sample_scene
from ..scenes.seeds import TRAIN_SEED
from ..scenes.video import film

KIT, WHEELS, SAMPLE = "instit_lite", "wheels", "sample/clip.mp4"
CARRIED = ("dataset/micro", "adapter/micro")  # what takes minutes to build
README = """# instit_lite without network

For {system}, Python {python}: no other version, wheels are made for one. In a terminal, in this folder:

```bash
cd {kit} && python{python} -m venv .venv
.venv/bin/python -m pip install --no-index --find-links ../{wheels} -c constraints.txt -e .
.venv/bin/instit-lite doctor
```

Then `touch .venv/.installed`, which tells make that this environment is complete, and `make lab`; or
`.venv/bin/jupyter lab notebooks`. A clip to mark and annotate: `.venv/bin/instit-lite annotate ../{sample} --out build/clip`.
{carried}"""


def wanted(root: Path) -> list[str]:
    """Return the requirements that a student's environment and an editable install of the kit have."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return [*project["project"]["dependencies"], *project["build-system"]["requires"]]


def make_wheels(root: Path, folder: Path) -> None:
    """Fill `folder` with wheels of the pinned tree; raise `OutputError` with pip's last words where that fails."""
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-c", str(root / "constraints.txt"), "--wheel-dir", str(folder), *wanted(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
    if done.returncode:
        said = (done.stdout.strip().splitlines() or [""])[-1]
        raise OutputError(f"pip could not make the wheels ({said})", path=folder, cure="this step needs the network")


def copy_kit(root: Path, target: Path) -> None:
    """Copy the files that git knows, as they are now; raise `OutputError` outside a git checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    names = [name for name in listed.stdout.split("\0") if name]
    if listed.returncode or not names:
        raise OutputError("not a git checkout, so what belongs to the kit is not known", path=root, cure="clone it anew")
    for name in names:
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, target / name)


def carry(target: Path) -> list[str]:
    """Copy what notebooks built in profile micro into the kit's own build folder; return what there was."""
    found = [name for name in CARRIED if (build_dir() / name).exists()]
    for name in found:
        shutil.copytree(build_dir() / name, target / "build" / name)
    return found


def build_bundle(out: Path, wheels: bool = True) -> Path:
    """Write the bundle to `out`, anew each time; without `wheels` what is there is kept and only the rest is written."""
    root = repo_root()
    for name in (KIT, *([WHEELS] if wheels else [])):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / WHEELS).mkdir(parents=True, exist_ok=True)
    if wheels:
        make_wheels(root, out / WHEELS)
    copy_kit(root, out / KIT)
    carried = carry(out / KIT)
    film(sample_scene(TRAIN_SEED - 1, Knobs(n_things=(3, 3))), out / SAMPLE)
    words = f"\nBuilt beforehand, in profile micro: {', '.join(carried)}. Notebooks 05 and 06 find it.\n" if carried else ""
    system = f"{platform.system()} {platform.machine()}"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = README.format(system=system, python=python, kit=KIT, wheels=WHEELS, sample=SAMPLE, carried=words)
    atomic_write_text(out / "README.md", text)
    return out


def main(argv: list[str] | None = None) -> int:
    """Command line of `make offline-bundle`."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.bundle", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="default: build/offline")
    parser.add_argument("--keep-wheels", action="store_true", help="write all but the wheels, which are there already")
    args = parser.parse_args(argv)
    out = build_bundle(args.out or build_dir("offline"), wheels=not args.keep_wheels)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    n = len(list((out / WHEELS).glob("*.whl")))
    print(f"wrote {out}: {n} wheels, {size / 1e6:.0f} MB in all; README.md there has the commands")
    return 0


if __name__ == "__main__":
    end_with(main)
