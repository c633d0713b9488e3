"""The report. In: executed notebooks, their status files, result tables (JSON). Out: `index.html` and a page
for each.

A result table is a JSON object with `title`, `columns` (names), `rows` (lists as long) and perhaps `note`;
the evaluation notebook writes them to `build/results/`. Pages carry their style and pictures and load
nothing.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import re
import sys
from pathlib import Path

from PIL import Image

from ..errors import InstitError, NotebookError, RecordError, UnreadableInput
from ..profiles import atomic_write_text, build_dir, get_profile
from .normalise import read
from .pages import first_picture, notebook_page, page, title_of
from .road import road_svg
from .runner import find_notebooks

STATUS_KEYS = (
    "notebook", "ok", "seed", "seconds", "cells_executed", "peak_rss_mb", "findings", "finished",
    "executed_notebook", "versions",
)  # fmt: skip
RESOURCES = "resources"  # the table that `resources.Meter` keeps
INTRODUCTION = (
    "INST-IT (arXiv 2412.03565) teaches a vision-language model to speak of single things: it draws a "
    "numbered mark on every instance, lets a strong model describe each mark frame by frame, turns the "
    "descriptions into dialogues, and tunes a small model on them. The pictures and numbers below come from one run of it."
)


def read_statuses(folder: Path, names: list[str] | None = None) -> list[dict]:
    """Return the status files of executed notebooks in order; `names` leaves out others.

    Raises `NotebookError` where nothing was run, `RecordError` for a file that is no status.
    """
    statuses = [_status(path) for path in sorted(folder.glob("*.json"))]
    statuses = [s for s in statuses if names is None or s["notebook"] in names]
    statuses = [s for s in statuses if (folder / s["executed_notebook"]).exists()]
    if not statuses:
        raise NotebookError("no notebook has been run yet", path=folder, cure="run `make demo` first")
    return statuses


def _status(path: Path) -> dict:
    status = _read_json(path)
    if not isinstance(status, dict) or not set(STATUS_KEYS) <= set(status):
        raise RecordError("not the status of a notebook", path=path, cure="remove it and run `make demo`")
    return status


def missing_notebooks(folder: Path, names: list[str] | None, statuses: list[dict]) -> list[str]:
    """Return one sentence for each notebook in `names` that has no executed copy, with what its run said."""
    done = {status["notebook"] for status in statuses}
    sentences = []
    for name in names or []:
        if name in done:
            continue
        path = folder / f"{name}.json"
        said = [str(finding["message"]) for finding in _status(path)["findings"]] if path.exists() else []
        told = f" left no executed notebook: {'; '.join(said)}" if said else " was not run"
        sentences.append(name + told)
    return sentences


def read_results(folder: Path) -> list[dict]:
    """Return the result tables in `folder`; raise `RecordError` for one that is no table."""
    tables = []
    for path in sorted(folder.glob("*.json")):
        table = _read_json(path)
        try:
            columns, rows = list(table["columns"]), [list(row) for row in table["rows"]]
            title, note = str(table["title"]), str(table.get("note") or "")
        except (KeyError, TypeError, AttributeError) as error:
            raise RecordError(f"not a result table: {error!r}", path=path) from None
        if any(len(row) != len(columns) for row in rows):
            raise RecordError(f"a row does not have {len(columns)} values", path=path)
        tables.append({"name": path.stem, "title": title, "columns": columns, "rows": rows, "note": note})
    return tables


def _read_json(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableInput(f"not JSON ({error})", path=path) from None


def table_html(table: dict) -> str:
    """Return a result table as HTML, numbers right-aligned, every text escaped."""
    head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in table["columns"])
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in table["rows"])
    note = f'<p class="note">{html.escape(table["note"])}</p>' if table["note"] else ""
    return (
        f'<div class="wide"><table><caption>{html.escape(table["title"])}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )


def _cell(value) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"<td>{html.escape('' if value is None else str(value))}</td>"
    return f'<td class="number">{value if isinstance(value, int) else f"{value:.3f}"}</td>'


def thumbnail(picture: str, side: int = 560) -> str:
    """Return the picture template with its image no wider than `side` pixels."""
    data = re.search(r'base64,([^"]+)"', picture)[1]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        image = image.convert("RGB")
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, format="png", optimize=True)
    return re.sub(r"<figcaption>.*</figcaption>", "", picture.replace(
        data, base64.b64encode(buffer.getvalue()).decode("ascii")
    ))


def problem_html(finding: dict) -> str:
    """Return one finding of a status file as a paragraph."""
    where = f" in cell {finding['cell']}" if finding.get("cell") else ""
    return f'<p class="failed">failed{where}: {html.escape(finding["message"])}</p>'


def card(status: dict, notebook) -> str:
    """Return one notebook's entry of the overview: title, verdict, its first picture."""
    name = status["notebook"]
    title = html.escape(title_of(notebook, name))
    told = f"{status['seconds']:.0f} s, {status['cells_executed']} cells, {status['peak_rss_mb']:.0f} MB"
    problems = "".join(problem_html(finding) for finding in status["findings"])
    picture = first_picture(notebook)
    shown = thumbnail(picture) if picture else ""
    return f'<li><h3><a href="{name}.html">{title}</a></h3><p>{told}</p>{problems}{shown}</li>'


def overview(
    statuses: list[dict], notebooks: list, tables: list[dict], profile: str, missing: list[str] = ()
) -> str:
    """Return the overview page; `missing` are sentences on notebooks that have no page."""
    pages = {s["notebook"].split("_")[0]: f"{s['notebook']}.html" for s in statuses}
    cards = "".join(card(status, notebook) for status, notebook in zip(statuses, notebooks))
    results = "".join(table_html(table) for table in tables if table["name"] != RESOURCES)
    results = results or "<p>No results were written in this run.</p>"
    costs = "".join(table_html(table) for table in tables if table["name"] == RESOURCES)
    absent = "".join(f'<p class="failed">{html.escape(sentence)}.</p>' for sentence in missing)
    passed = sum(s["ok"] for s in statuses)
    seconds = sum(s["seconds"] for s in statuses)
    versions = ", ".join(f"{name} {version}" for name, version in statuses[-1]["versions"].items())
    body = (
        f"<main><h1>The road of INST-IT, walked once</h1><p>{html.escape(INTRODUCTION)}</p>{road_svg(pages)}"
        f"<h2>Results</h2>{results}"
        f"<h2>The notebooks</h2><p>{passed} of {len(statuses)} ran cleanly, in {seconds / 60:.1f} minutes."
        "</p>"
        f'{absent}<ul class="cards">{cards}</ul>'
        f"{'<h2>What it cost</h2>' if costs else ''}{costs}"
        f"<h2>This run</h2><p>Profile {html.escape(profile)}, seed "
        f"{statuses[-1]['seed']}, finished {html.escape(statuses[-1]['finished'])}.</p>"
        f'<p class="note">{html.escape(versions)}</p></main>'
    )
    return page("instit_lite: the road of INST-IT", body)


def build_report(
    run_dir: Path, results_dir: Path, out_dir: Path, *, profile: str, names: list[str] | None = None
) -> tuple[Path, list[str]]:
    """Write a page for each executed notebook and `index.html` last.

    `names` are the notebooks that belong in the report. Returns the path of `index.html` and one sentence for
    each of `names` that has no page; the overview says the same. Raises `NotebookError` where there is no
    page at all.
    """
    statuses = read_statuses(run_dir, names)
    missing = missing_notebooks(run_dir, names, statuses)
    tables = read_results(results_dir)
    notebooks = [read(run_dir / status["executed_notebook"]) for status in statuses]
    stems = [status["notebook"] for status in statuses]
    for stem, notebook in zip(stems, notebooks):
        atomic_write_text(out_dir / f"{stem}.html", notebook_page(notebook, stem, stems))
    index = out_dir / "index.html"
    atomic_write_text(index, overview(statuses, notebooks, tables, profile, missing))
    return index, missing


def main(argv: list[str] | None = None) -> int:
    """Command line: build the report of what was run in a profile."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.report", description=__doc__)
    parser.add_argument("--profile", default="micro")
    profile = get_profile(parser.parse_args(argv).profile).name
    index, missing = build_report(
        build_dir("notebooks", profile), build_dir("results"), build_dir("report"), profile=profile,
        names=[path.stem for path in find_notebooks([])],
    )
    for sentence in missing:
        print(f"not in the report: {sentence}")
    print(f"report: {index}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InstitError as error:
        sys.exit(f"error: {error}")
