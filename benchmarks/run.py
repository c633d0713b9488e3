"""Run the benchmarks. In: the files beside this one. Out: tables on the screen and in
build/results/bench_*.json.

A benchmark is a file here with `tables(quick: bool)`, which yields (name, table); a table is a dict with
"title", "columns", "rows" and "note".
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path

from instit_lite.profiles import atomic_write_text, build_dir

HERE = Path(__file__).resolve().parent


def show(table: dict) -> str:
    """Lay a table out as text."""
    lines = [table["columns"], *([f"{v:.2f}" if isinstance(v, float) else str(v) for v in row]
                                 for row in table["rows"])]  # fmt: skip
    widths = [max(len(line[k]) for line in lines) for k in range(len(table["columns"]))]
    body = ["  ".join(v.ljust(w) if k == 0 else v.rjust(w) for k, (v, w) in enumerate(zip(line, widths)))
            for line in lines]  # fmt: skip
    body.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join([table["title"], "", *body, "", table["note"], ""])


def run_one(name: str, quick: bool, found: list[dict]) -> bool:
    """Run one benchmark, print, save and collect its tables; return whether it ran to its end."""
    start = time.perf_counter()
    try:
        for part, table in importlib.import_module(name).tables(quick):
            path = build_dir("results") / f"bench_{part}.json"
            atomic_write_text(path, json.dumps(table, indent=2) + "\n")
            print(show(table), flush=True)
            found.append(table)
            print(f"  written to {path}\n", flush=True)
    except Exception:
        traceback.print_exc()
        print(f"[bench] {name} FAILED", flush=True)
        return False
    print(f"[bench] {name} took {time.perf_counter() - start:.0f} s", flush=True)
    return True


def main(arguments: list[str] | None = None) -> int:
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in ("run", "gpu") and path.stem[0] != "_")
    parser = argparse.ArgumentParser(description="Measure speed and placement; print tables.")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="few runs, to see that it works")
    parser.add_argument("--record", action="store_true", help="append the tables to benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(HERE))
    found: list[dict] = []
    done = [run_one(name, options.quick, found) for name in options.only or names]
    if options.record:
        command = " ".join(["benchmarks/run.py", *(arguments or sys.argv[1:])]).replace(" --record", "")
        importlib.import_module("_results").append(found, command)
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
