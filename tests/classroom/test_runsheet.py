"""Run sheets: what is named exists, every day fits its hours, and what does not fit is dropped in the declared order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from instit_lite.classroom import runsheet
from instit_lite.classroom.exercises.catalogue import all_exercises
from instit_lite.classroom.plans import PLANS, Block, Plan
from instit_lite.classroom.runner import find_notebooks
from instit_lite.errors import NotebookError
from instit_lite.profiles import repo_root

PAGE = (repo_root() / runsheet.PAGE).read_text(encoding="utf-8")
BLOCKS = [block for plan in PLANS.values() for day in plan.days for block in day]


@pytest.mark.parametrize("name", PLANS)
def test_every_day_fits_its_hours(name):
    plan = PLANS[name]
    for day, blocks in zip(plan.days, runsheet.days_of(plan), strict=True):
        taught = [sum(row.minutes for row in rows) for rows, _, _ in blocks]
        assert taught == [block.minutes for block in day]
        assert sum(taught) + sum(plan.breaks[: len(day) - 1]) <= plan.minutes
        for rows, dropped, spare in blocks:
            assert not set(rows) & set(dropped) and set(spare) <= set(rows)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.sections[0])
def test_sections_exist_and_what_may_be_dropped_is_in_the_block(block):
    rows = runsheet.rows_of(block.sections)
    assert len(set(rows)) == len(rows)
    assert all(runsheet.rows_of((name,)) and set(runsheet.rows_of((name,))) <= set(rows) for name in block.drop)


def test_every_exercise_is_a_section_with_its_own_minutes():
    found = {row.section: row.minutes for row in runsheet.sections().values() if row.what.startswith("exercise")}
    assert found == {
        f"{e.key[:2]} Exercise: {e.title}": e.minutes + runsheet.MINUTES_A_SOLUTION for e in all_exercises().values()
    }  # fmt: skip


def test_too_much_is_dropped_in_order_and_no_further(monkeypatch):
    rows = {f"00 {name}": runsheet.Row(f"00 {name}", 10, "") for name in "abc"}
    monkeypatch.setattr(runsheet, "sections", lambda: rows)
    monkeypatch.setattr(runsheet, "run_minutes", lambda number, profile: (5, "a day"))
    block = Block(27, ("00",), ("00 c", "00 a"))
    plan = Plan("Made up", 60, "smoke", 0, ((block, replace(block, minutes=31)),), (10,))
    ((first, second),) = runsheet.days_of(plan)
    kept, dropped, spare = first
    assert [row.section for row in dropped] == ["00 c"] and [row.section for row in spare] == ["00 a"]
    assert [row.minutes for row in kept] == [5, 10, 10, 2]
    assert [row.minutes for row in second[0]] == [10, 10, 10, 1]  # the run was paid for in the first block
    text = runsheet.sheet(plan)
    assert "**0:27** break, 10 min" in text and "| 0:37 | 10 | 00 a |" in text and "Ends at 1:08 of 1:00" in text
    with pytest.raises(NotebookError, match="holds too much"):
        runsheet.filled(replace(block, minutes=14), plan, set())


def test_what_is_not_there_is_named():
    with pytest.raises(NotebookError, match="no notebook has a section '01 Nonsense'"):
        runsheet.rows_of(("01 Nonsense",))
    with pytest.raises(NotebookError, match="never measured in profile nonsense.*make measure-notebooks NB=01"):
        runsheet.run_minutes("01", "nonsense")


def test_command_writes_a_sheet_for_each_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path))
    assert runsheet.main([]) == 0
    assert {path.stem for path in (tmp_path / "teaching").iterdir()} == {f"run-sheet-{name}" for name in PLANS}


def test_page_holds_the_plans():
    block = PAGE.partition(runsheet.BEGIN)[2].partition(runsheet.END)[0]
    assert all(f"### {plan.title}\n" in block for plan in PLANS.values())
    names = re.findall(r"\b0\d [A-Z0-9“\"][^;.]*", block)
    assert names and set(re.findall(r"- \*\*(?:Day \d, b|B)lock \d\*\*: (0\d)", block)) >= {"00", "04"}


@pytest.mark.parametrize("number", [path.name[:2] for path in find_notebooks([])])
def test_each_notebook_has_misconceptions_and_prompts(number):
    part = re.search(rf"^### {number} · .*?(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)[0]
    assert 3 <= part.count('- **"') <= 5 and part.count("*Shows as:*") == part.count("*Do:*") == part.count('- **"')
    prompts = part.partition("*Discuss:*")[2]
    assert prompts.count("?") >= 2
