"""A whole outside bench. In: its name, a model, its files. Out: answers kept as they come, a table of its metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ...dataset.quarantine import Quarantine
from ...errors import RecordError
from ...profiles import atomic_write_text
from ..models.asked import Model, answer_and_keep
from ..report import ALL, save_result
from ..score import UNFINISHED
from ..statistics import clustered_interval
from .benches import BENCHES, OutsideItem, load_items
from .metrics import Scores


def run_bench(
    model: Model, name: str, out: str | Path, *, source: str | Path | None = None, split: str = "", frames: int = 32,
    limit: int | None = None, blind: bool = False, grades: str | Path | None = None, progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:  # fmt: skip
    """Answer and score a bench, see `load_items`; answers of a killed run are not asked again. Returns the table.

    `grades`: what ViP-Bench's own script wrote. Writes to `out`: the table, `answers-*.jsonl`, `quarantine.jsonl`, and
    for ViP-Bench the file that this script takes.
    """
    out, quarantine = Path(out), Quarantine(Path(out) / "quarantine.jsonl")
    items = load_items(name, source, split=split, most=frames, limit=limit, quarantine=quarantine)
    say(f"{len(items)} questions of {name}")
    bench, stem = BENCHES[name], "-".join(filter(None, (name, split, "blind" * blind)))
    answers = answer_and_keep(model, items, out / f"answers-{stem}.jsonl", blind=blind, show=lambda item: item.look(),
                              quarantine=quarantine, max_new_tokens=bench.longest, progress=progress)  # fmt: skip
    # a mark that an answer was cut short is no part of it: the official rules read what is there
    said = [None if answer is None else answer.removesuffix(UNFINISHED).strip() for answer in answers]
    if bench.score:
        scores = [None if a is None else bench.score(a, item.answer, item.options) for item, a in zip(items, said)]
    else:
        waiting = out / f"{stem}-for-grading.json"
        atomic_write_text(waiting, json.dumps({item.key: a or "" for item, a in zip(items, said)}, indent=1))
        say(f"wrote {waiting}: let ViP-Bench's own script grade it, and give its file with --grades")
        scores = official_grades(items, grades) if grades else []
    table = metric_table(items if scores else [], scores, f"{name}, {model.name}{', blind' * blind}", bench.paper)
    save_result(table, out / f"{stem}.json")
    say(str(quarantine))
    return table


def official_grades(items: Sequence[OutsideItem], path: str | Path) -> list[Scores]:
    """The grades, 0 to 1, that ViP-Bench's own script had from GPT-4: the mean of its runs."""
    try:
        grades = json.loads(Path(path).read_text(encoding="utf-8"))
        given = [grades[item.key]["score"] for item in items]
        return [{"GPT-4 grade": sum(runs) / len(runs)} for runs in given]
    except (OSError, ValueError, LookupError, TypeError, ZeroDivisionError) as problem:
        reason = f"is no grade file for these questions ({problem!r})"
        raise RecordError(reason, path=path, cure="grade again with ViP-Bench's own script") from problem


def metric_table(items: Sequence[OutsideItem], scores: Sequence[Scores], title: str, paper: str) -> dict:
    """Every metric over all items and over each group, with intervals clustered by picture or video."""
    names = list(next((found for found in scores if found), {"no readable answer": 0.0}))
    lines = []
    for group in [ALL, *sorted({group for item in items for group in item.groups})] if items else []:
        places = [i for i, item in enumerate(items) if group == ALL or group in item.groups]
        clips, options = [items[i].clip_id for i in places], [len(items[i].options) for i in places]
        chance = f"{sum(1 / n for n in options) / len(options):.3f}" if min(options) else "–"
        unread = sum(scores[i] is None for i in places)
        for name in names:
            values = [scores[i][name] if scores[i] else 0.0 for i in places]
            mean = "{:.3f} [{:.3f}, {:.3f}]".format(*clustered_interval(values, clips))
            lines.append([group, name, len(places), len(set(clips)), chance, mean, unread])
    note = (
        "Means with 95 % intervals clustered by picture or video. Unparsed answers count 0. chance: a guess among the "
        f"options. The paper has, for LLaVA-NeXT, INST-IT Vicuna and INST-IT Qwen2: {paper}; it states no prompts."
    )
    columns = ["part", "metric", "n", "pictures or videos", "chance", "score", "unparsed"]
    return {"title": title, "columns": columns, "rows": lines, "note": note}
