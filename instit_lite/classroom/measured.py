"""What a notebook costs. In: the status files that runs of a profile left. Out: `measured.json`, for cards and run sheets.

    {"05_qlora_sft": {"micro": {"minutes": 9.0, "peak_mb": 4200, "downloads_mb": 0, "dollars": 0.0, "date": …}}}

Minutes are wall-clock with the kernel's start; memory is the peak of the run's processes together. `make
measure-notebooks` renews the file; a profile that was never measured has no entry, rather than a guess.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import RecordError, end_with
from ..profiles import atomic_write_text, build_dir, get_profile
from .report import read_statuses
from .runner import Status, find_notebooks

FILE = Path(__file__).with_name("measured.json")
SHOWN_VERSIONS = ("instit_lite", "python", "torch", "transformers")


def measured(path: Path = FILE) -> dict[str, dict[str, dict]]:
    """Return what is known: notebook → profile → `minutes`, `peak_mb`, `downloads_mb`, `dollars`, `date`, `machine`,
    `versions`. Raises `RecordError` for a damaged file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise RecordError("not JSON", path=path, cure="restore it, then run `make measure-notebooks`") from None


def row_of(status: Status) -> dict:
    """Return what one run says of its notebook."""
    return {
        "minutes": round(status.seconds / 60, 2), "peak_mb": round(status.peak_rss_mb),
        "downloads_mb": status.downloads_mb, "dollars": status.dollars, "date": status.finished[:10],
        "machine": status.machine, "versions": {name: status.versions[name] for name in SHOWN_VERSIONS},
    }  # fmt: skip


def record(profile: str, folder: Path | None = None, path: Path = FILE) -> tuple[list[str], list[str]]:
    """Keep the clean runs in `folder` (default: those of `profile`); return the names kept and those left out.

    A failed run says nothing of a notebook's cost, nor does one from before runs noted their machine.
    """
    known, kept, left = measured(path), [], []
    names = [notebook.stem for notebook in find_notebooks([])]
    for status in read_statuses(folder or build_dir("notebooks", profile), names):
        if status.ok and status.machine:
            known.setdefault(status.notebook, {})[profile] = row_of(status)
        (kept if status.ok and status.machine else left).append(status.notebook)
    atomic_write_text(path, json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    return kept, left


def main(argv: list[str] | None = None) -> int:
    """Command line: keep what the last runs in a profile measured."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.measured", description=__doc__.split("\n")[0])
    parser.add_argument("--profile", default="micro")
    profile = get_profile(parser.parse_args(argv).profile).name
    kept, left = record(profile)
    print(f"kept in {FILE.name}, profile {profile}: {', '.join(kept) or 'nothing'}")
    if left:
        print(f"left out, because the run failed or does not say on what machine it was: {', '.join(left)}")
    return 0 if kept else 1


if __name__ == "__main__":
    end_with(main)
