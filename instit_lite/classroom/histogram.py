"""What a class predicted. In: `predictions.json` of each student, in a folder. Out: a histogram for every question.

A student's guesses are in `build/predictions.json`; collect them as `<folder>/<student>.json` or
`<folder>/<student>/predictions.json`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from ..errors import UnreadableInput, end_with

WIDTH = 30  # characters of the longest bar


def read_guesses(folder: Path) -> tuple[dict[str, dict], list[str]]:
    """Guesses by key: the question, its options and a count of each; and the files that could not be read, with why."""
    files = sorted({*folder.glob("*.json"), *folder.glob("*/predictions.json")})
    found: dict[str, dict] = {}
    left_out = []
    for path in files:
        try:
            own = json.loads(path.read_text(encoding="utf-8"))
            rows = [(key, str(g["question"]), list(map(str, g["options"])), str(g["guess"])) for key, g in own.items()]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
            left_out.append(f"{path}: no predictions ({problem!r})")
            continue
        for key, question, options, guess in rows:
            entry = found.setdefault(key, {"question": question, "options": options, "counts": Counter()})
            entry["counts"][guess] += 1
    if not found:
        raise UnreadableInput("there are no predictions", path=folder, cure="collect build/predictions.json of each student")
    return found, left_out


def histogram(entry: dict) -> str:
    """One question as text: a bar for each option, in the question's order."""
    counts, most = entry["counts"], max(entry["counts"].values())
    options = dict.fromkeys([*entry["options"], *counts])
    wide = max(map(len, options))
    bars = [f"  {o:{wide}}  {'#' * round(WIDTH * counts[o] / most):{WIDTH}} {counts[o]}" for o in options]
    return "\n".join([entry["question"], *bars])


def main(argv: list[str] | None = None) -> int:
    """Command line: print all histograms, in the order of the notebooks."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.histogram", description=__doc__)
    parser.add_argument("folder", type=Path)
    found, left_out = read_guesses(parser.parse_args(argv).folder)
    print("\n\n".join(f"{key}: {histogram(found[key])}" for key in sorted(found)))
    for line in left_out:
        print(f"left out: {line}")
    return 0


if __name__ == "__main__":
    end_with(main)
