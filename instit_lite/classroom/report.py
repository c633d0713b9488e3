"""The report. In: executed notebooks, their status files, result tables (JSON). Out: `index.html`, pages.

A result table is a JSON object with `title`, `columns` (names), `rows` (lists as long) and perhaps `note`;
the evaluation notebook writes them to `build/results/`. Pages carry style and pictures and load nothing.
"""

from __future__ import annotations

import argparse
import html
import json
from pathlib import Path

from ..errors import NotebookError, RecordError, UnreadableInput, end_with
from ..profiles import atomic_write_text, build_dir, get_profile
from .figures import figure_html
from .findings import Finding
from .normalise import read
from .pages import first_picture, notebook_page, page, title_of
from .road import draw_road
from .runner import Status, find_notebooks

RESOURCES = "resources"  # the table that `resources.Meter` keeps
INTRODUCTION = (
    "INST-IT (arXiv 2412.03565) teaches a vision-language model to speak of single things: it draws a "
    "numbered mark on every instance, lets a strong model describe each mark frame by frame, turns the "
    "descriptions into dialogues, and tunes a small model on them. "
    "The pictures and numbers below come from one run of it."
)


def _read_json(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableInput(f"not JSON ({error})", path=path) from None


def read_statuses(folder: Path, names: list[str] | None = None) -> list[Status]:
    """Return the statuses of the notebooks that were run, in order; `names` leaves out others.

    Raises `NotebookError` where nothing was run, `RecordError` for a file that is no status.
    """
    statuses = []
    for path in sorted(folder.glob("*.json")):
        try:
            status = Status(**_read_json(path))
            status.findings = [Finding(**finding) for finding in status.findings]
        except TypeError:
            cure = "remove it and run `make demo`"
            raise RecordError("not the status of a notebook", path=path, cure=cure) from None
        if names is None or status.notebook in names:
            statuses.append(status)
    if not statuses:
        raise NotebookError("no notebook has been run yet", path=folder, cure="run `make demo` first")
    return statuses


def read_results(folder: Path) -> list[dict]:
    """Return the result tables in `folder`; raise `RecordError` for one that is no table."""
    tables = []
    for path in sorted(folder.glob("*.json")):
        table = _read_json(path)
        try:
            fits = all(len(row) == len(table["columns"]) for row in table["rows"])
            tables.append({"note": "", **table, "title": table["title"], "name": path.stem})
        except (KeyError, TypeError) as error:
            raise RecordError(f"not a result table: {error!r}", path=path) from None
        if not fits:
            raise RecordError(f"a row does not have {len(table['columns'])} values", path=path)
    return tables


def table_html(table: dict) -> str:
    """Return a result table as HTML, numbers right-aligned, every text escaped."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table["columns"])
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table["rows"])
    note = f'<p class="note">{html.escape(table["note"])}</p>' if table["note"] else ""
    return (
        f'<div class="wide"><table><caption>{html.escape(table["title"])}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )


def _cell(value) -> str:
    if isinstance(value, (int, float)):
        return f'<td class="number">{f"{value:.3f}" if isinstance(value, float) else value}</td>'
    return f"<td>{html.escape('' if value is None else str(value))}</td>"


def card(status: Status, notebook) -> str:
    """Return one notebook's entry of the overview: title, cost, what failed, its first picture."""
    title = html.escape(title_of(notebook, status.notebook))
    cost = f"{status.seconds:.0f} s, {status.cells_executed} cells, {status.peak_rss_mb:.0f} MB"
    problems = ""
    for finding in status.findings:
        where = f" in cell {finding.cell}" if finding.cell else ""
        problems += f'<p class="failed">failed{where}: {html.escape(finding.message)}</p>'
    heading = f'<h3><a href="{html.escape(status.notebook)}.html">{title}</a></h3>'
    return f"<li>{heading}<p>{cost}</p>{problems}{first_picture(notebook)}</li>"


def overview(
    statuses: list[Status], notebooks: list, tables: list[dict], profile: str, missing: list[str]
) -> str:
    """Return the overview page; `missing` are sentences on notebooks that have no page."""
    last = statuses[-1]
    road, alt = draw_road()
    shown = figure_html(road, alt=alt)
    cards = "".join(map(card, statuses, notebooks))
    results = "".join(table_html(table) for table in tables if table["name"] != RESOURCES)
    costs = "".join(table_html(table) for table in tables if table["name"] == RESOURCES)
    absent = "".join(f'<p class="failed">{html.escape(sentence)}.</p>' for sentence in missing)
    passed = sum(status.ok for status in statuses)
    minutes = sum(status.seconds for status in statuses) / 60
    versions = ", ".join(f"{name} {version}" for name, version in last.versions.items())
    body = (
        f"<main><h1>The road of INST-IT, walked once</h1><p>{INTRODUCTION}</p>{shown}"
        f"<h2>Results</h2>{results or '<p>No results were written in this run.</p>'}"
        f"<h2>The notebooks</h2><p>{passed} of {len(statuses)} ran cleanly, in {minutes:.1f} minutes.</p>"
        f'{absent}<ul class="cards">{cards}</ul>'
        f"{'<h2>What it cost</h2>' if costs else ''}{costs}"
        f"<h2>This run</h2><p>Profile {html.escape(profile)}, seed {last.seed}, finished {html.escape(last.finished)}.</p>"
        f'<p class="note">{html.escape(versions)}</p></main>'
    )
    return page("instit_lite: the road of INST-IT", body)


def build_report(
    run_dir: Path, results_dir: Path, out_dir: Path, *, profile: str, names: list[str] | None = None
) -> tuple[Path, list[str]]:
    """Write a page for each executed notebook and `index.html` last.

    `names` are the notebooks that belong in the report. Returns the path of `index.html` and one sentence for
    each of them that has no page; the overview says the same. Raises `NotebookError` where nothing was run.
    """
    tables = read_results(results_dir)
    statuses, missing = [], []
    ran = {status.notebook: status for status in read_statuses(run_dir, names)}
    for name in names or ran:
        if name not in ran:
            missing.append(f"{name} was not run")
        elif (run_dir / ran[name].executed_notebook).exists():
            statuses.append(ran[name])
        else:
            said = "; ".join(finding.message for finding in ran[name].findings)
            missing.append(f"{name} left no executed notebook: {said}")
    if not statuses:
        raise NotebookError(". ".join(missing), path=run_dir, cure="run `make demo` again")
    notebooks = [read(run_dir / status.executed_notebook) for status in statuses]
    stems = [status.notebook for status in statuses]
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
    end_with(main)
