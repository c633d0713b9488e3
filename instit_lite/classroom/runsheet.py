"""Run sheets. In: plans, notebooks, the exercises' minutes, measured run times. Out: a page per workshop, by the minute.

An exercise takes what it declares, and a look at its solution. Other sections take time by their length: explaining
goes slower than reading. A notebook's run, with nobody doing anything, is counted once, where the notebook begins.
"""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from functools import cache

from ..errors import NotebookError, end_with
from ..profiles import atomic_write_text, build_dir, repo_root, with_block
from .exercises.catalogue import all_exercises
from .measured import measured
from .normalise import number_of, read
from .plans import PLANS, Block, Plan
from .runner import find_notebooks

WORDS_A_MINUTE, MINUTES_A_CELL = 70, 1.5  # a pace that we suppose: a cell is run, and its output looked at
MINUTES_A_GUESS, MINUTES_A_SOLUTION = 2, 2  # a guess is made, compared and talked about; a solution is shown
HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)
EXERCISE = "Exercise: "
PAGE = "docs/workshop.md"
BEGIN, END = "<!-- plans: begin (written by `make run-sheets`) -->", "<!-- plans: end -->"


@dataclass(frozen=True)
class Row:
    """One line of a sheet; `section` is "NB Heading"."""

    section: str
    minutes: int
    what: str


@cache
def sections() -> dict[str, Row]:
    """Return every section of the notebooks in order, by "NB Heading", with the minutes that it takes to teach."""
    declared = {f"{e.key[:2]} {EXERCISE}{e.title}": e for e in all_exercises().values()}
    found: dict[str, float] = {}
    for path in find_notebooks([]):
        section = ""
        for cell in read(path).cells:
            if cell.cell_type == "code":
                found[section] += MINUTES_A_CELL + MINUTES_A_GUESS * cell.source.count("predict(")
                continue
            before, *parts = HEADING.split(cell.source)
            for heading, text in [(None, before), *zip(parts[::2], parts[1::2])]:
                section = f"{number_of(path)} {heading.split(' · ')[-1]}" if heading else section
                if section:
                    found[section] = found.get(section, 0) + len(text.split()) / WORDS_A_MINUTE
    rows = {}
    for name, minutes in found.items():
        exercise = declared.get(name)
        what = f"exercise, difficulty {exercise.difficulty} of 3" if exercise else "show and ask"
        rows[name] = Row(name, exercise.minutes + MINUTES_A_SOLUTION if exercise else max(1, math.ceil(minutes)), what)
    return rows


def rows_of(names: tuple[str, ...]) -> list[Row]:
    """Return the rows of `names`, "NB" alone for all of a notebook; `NotebookError` where no notebook has one."""
    rows = []
    for name in names:
        chosen = [row for key, row in sections().items() if name in (key, key.split()[0])]
        if not chosen:
            raise NotebookError(f"no notebook has a section {name!r}", cure="mend instit_lite/classroom/plans.py")
        rows += chosen
    return rows


def run_minutes(number: str, profile: str) -> tuple[int, str]:
    """Return a notebook's measured minutes, rounded up, and the day they were measured."""
    for notebook, rows in measured().items():
        if number_of(notebook) == number and profile in rows:
            return math.ceil(rows[profile]["minutes"]), rows[profile]["date"]
    cure = f"run `make measure-notebooks NB={number} PROFILE={profile}`"
    raise NotebookError(f"notebook {number} was never measured in profile {profile}", cure=cure)


def filled(block: Block, plan: Plan, begun: set[str]) -> tuple[list[Row], list[Row], list[Row]]:
    """Return a block's rows, what was dropped so that they fit, and what may still be dropped, in order.

    `begun`: notebooks whose run an earlier block has paid for; this block's are added. Raises `NotebookError` where
    even without all of `drop` there is too much.
    """
    kept, dropped = rows_of(block.sections), []
    spare = [row for name in block.drop for row in rows_of((name,))]
    numbers = list(dict.fromkeys(row.section.split()[0] for row in kept))
    fixed = {}
    for number in numbers:
        minutes, date = run_minutes(number, plan.profile)
        if number not in begun:
            fixed[number] = Row(f"{number} run all cells", minutes, f"profile {plan.profile}, measured {date}")
    begun |= set(numbers)
    talk = [Row(f"{n} discussion", plan.discuss, "prompts in docs/workshop.md") for n in numbers if plan.discuss]
    while sum(row.minutes for row in (*kept, *fixed.values(), *talk)) > block.minutes:
        if not spare:
            raise NotebookError(f"a block of {block.minutes} minutes in {plan.title!r} holds too much", cure="drop more")
        dropped.append(spare.pop(0))
        kept.remove(dropped[-1])
    rows = []
    for number in numbers:
        rows += [fixed[number]] if number in fixed else []
        rows += [row for row in kept if row.section.startswith(f"{number} ")]
        rows += [row for row in talk if row.section.startswith(f"{number} ")]
    left = block.minutes - sum(row.minutes for row in rows)
    return rows + ([Row("questions", left, "and laptops that are not ready")] if left else []), dropped, spare


def days_of(plan: Plan) -> list[list[tuple[list[Row], list[Row], list[Row]]]]:
    """Return the blocks of each day, filled; a notebook runs once in a workshop."""
    begun: set[str] = set()
    return [[filled(block, plan, begun) for block in day] for day in plan.days]


def sheet(plan: Plan) -> str:
    """Return a plan's run sheet as Markdown."""
    lines = [f"# Run sheet: {plan.title.lower()}", "", f"Profile `{plan.profile}`. Misconceptions and prompts: `{PAGE}`."]
    for day, blocks in enumerate(days_of(plan), 1):
        lines += ["", f"## Day {day}"] if len(plan.days) > 1 else []
        clock = 0
        for position, (rows, dropped, spare) in enumerate(blocks):
            if position:
                pause = plan.breaks[position - 1]
                lines += ["", f"**{clock // 60}:{clock % 60:02d}** {'lunch' if pause >= 45 else 'break'}, {pause} min"]
                clock += pause
            lines += ["", "| from | min | section | how |", "|---|---|---|---|"]
            for row in rows:
                lines.append(f"| {clock // 60}:{clock % 60:02d} | {row.minutes} | {row.section} | {row.what} |")
                clock += row.minutes
            for words, some in (("Running late? Drop, in this order", spare), ("Left out, to fit", dropped)):
                lines += ["", f"{words}: {listed(some)}."] if some else []
        lines += ["", f"Ends at {clock // 60}:{clock % 60:02d} of {plan.minutes // 60}:{plan.minutes % 60:02d}."]
    return "\n".join(lines) + "\n"


def listed(rows: list[Row]) -> str:
    return "; ".join(f"{row.section} ({row.minutes} min)" for row in rows)


def in_words() -> str:
    """Return the plans for `docs/workshop.md`: what each block holds, without minutes that a slower laptop would change."""
    lines = []
    for plan in PLANS.values():
        lines += ["", f"### {plan.title}", "", f"Profile `{plan.profile}`.", ""]
        for day, (blocks, made) in enumerate(zip(plan.days, days_of(plan)), 1):
            for position, (block, (rows, dropped, spare)) in enumerate(zip(blocks, made), 1):
                where = f"Day {day}, block {position}" if len(plan.days) > 1 else f"Block {position}"
                names = [f"all of {name}" if len(name) == 2 else name for name in block.sections]
                gone = [row.section for row in dropped]
                line = f"- **{where}**: {'; '.join(name for name in names if name not in gone)}."
                for words, some in (("Left out, to fit", gone), ("Drop next", [row.section for row in spare])):
                    line += f" *{words}:* {'; '.join(some)}." if some else ""
                lines.append(line)
    return "\n".join(lines[1:])


def main(argv: list[str] | None = None) -> int:
    """Command line of `make run-sheets`."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.classroom.runsheet", description=__doc__.split("\n")[0])
    parser.add_argument("--page", action="store_true", help=f"also renew the plans in {PAGE}")
    args = parser.parse_args(argv)
    for name, plan in PLANS.items():
        path = build_dir("teaching") / f"run-sheet-{name}.md"
        atomic_write_text(path, sheet(plan))
        print(f"wrote {path}")
    if args.page:
        page = repo_root() / PAGE
        atomic_write_text(page, with_block(page.read_text(encoding="utf-8"), BEGIN, END, in_words(), page))
        print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    end_with(main)
