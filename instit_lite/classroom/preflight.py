"""Is this laptop ready for the room? In: the machine. Out: a line per check, and `workshop-check.json` to collect.

The doctor's checks, then one real notebook in profile smoke, whose time tells slow laptops from fast ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path

from ..errors import NotebookError, end_with
from ..profiles import atomic_write_text, build_dir
from .doctor import Check, examine
from .measured import measured
from .runner import describe_machine, find_notebooks, run_notebook

NOTEBOOK, PROFILE, SLOW = "00", "smoke", 3  # times as long as the measured run, and nobody wants to wait for it


def check_notebook(path: Path) -> tuple[Check, float]:
    """Run a notebook; return what came of it and its minutes. Slow is a failure, with profile smoke as its cure."""
    status = run_notebook(path, profile=PROFILE, output_dir=build_dir("preflight"))
    minutes, usual = status.seconds / 60, measured().get(path.stem, {}).get(PROFILE, {}).get("minutes")
    name = "notebook run"
    if not status.ok:
        cure = f"open {build_dir('preflight') / path.name} at the named cell"
        return Check(name, False, f"{path.stem}: {status.findings[0]}", cure), minutes
    found = f"{path.stem}, {minutes:.1f} min in profile {PROFILE}" + (f", measured elsewhere: {usual:.1f}" if usual else "")
    slow = usual is not None and minutes > SLOW * usual
    cure = "close other programs and plug it in; else use profile smoke throughout"
    return Check(name, not slow, found + (", too slow for profile micro" if slow else ""), cure), minutes


def preflight(notebook: Path, out: Path) -> list[Check]:
    """Print a line per check, write them to `out` with the machine's name, and return them."""
    machine = describe_machine()
    checks = examine(lambda check: print(check, flush=True))
    last, minutes = check_notebook(notebook)
    print(last, flush=True)
    checks.append(last)
    kept = {
        "host": platform.node(), "machine": machine, "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d %H:%M"), "ready": all(check.ok for check in checks),
        "smoke_minutes": round(minutes, 2), "checks": [asdict(check) for check in checks],
    }  # fmt: skip
    atomic_write_text(out, json.dumps(kept, indent=1) + os.linesep)
    return checks


def main(argv: list[str] | None = None) -> int:
    """Command line of `make workshop-check`; exit code 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.preflight", description=__doc__.split("\n")[0])
    parser.add_argument("--notebook", default=NOTEBOOK, help="the one that is timed (default: 00)")
    parser.add_argument("--out", type=Path, help="default: build/workshop-check.json")
    args = parser.parse_args(argv)
    out = args.out or build_dir() / "workshop-check.json"
    checks = preflight(find_notebooks([args.notebook])[0], out)
    wrong = [check.name for check in checks if not check.ok]
    print(f"wrote {out}")
    if wrong:
        raise NotebookError(f"this laptop is not ready: {', '.join(wrong)}", cure="do what is said above, then run it again")
    print("this laptop is ready")
    return 0


if __name__ == "__main__":
    end_with(main)
