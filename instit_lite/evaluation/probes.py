"""Is the judge to be trusted? In: a judge. Out: a table of five probes, what they should give, what they gave.

A judge that pays for length, obeys the text it grades, or does not notice exchanged ids makes any ranking. The probes
need no human grades: the right outcome is known beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..annotation.claims_in_text import ID, ids_in
from .item import BenchItem
from .judge import Judge, judge_all
from .rules import ids_in_order
from .scoring import table_of
from .statistics import clustered_interval

TEXTS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
LIMITS = {"empty answer": ("<=", 0.0), "the truth": (">=", 0.9), "ids exchanged": ("<=", 0.5),
          "gain of padding": ("<=", 0.05), "gain of an instruction": ("<=", 0.05)}  # fmt: skip
NOTE = (
    "Means with 95 % intervals over questions. Gain: score with the addition minus score without it, for a wrong "
    "answer and for half of a right one. In an evaluation an empty answer is 0 without asking; here the judge is asked."
)


def questions_of(bench: Sequence[BenchItem] | None = None, n: int = 50) -> list[tuple[str, str]]:
    """Pairs of question and true answer: `n` spread over the bench's open-ended items, or twenty made-up ones."""
    if bench is None:
        return TEXTS["questions"]
    opened = [(item.question, item.answer) for item in bench if item.format == "open"]
    return [opened[k] for k in np.linspace(0, len(opened) - 1, min(n, len(opened))).astype(int)]


def exchanged(truth: str) -> str | None:
    """The truth with its ids passed on in a ring, or with new ids where that says the same; None without ids."""
    ids = ids_in(truth)
    for new in (dict(zip(ids, [*ids[1:], *ids[:1]])), {i: i + max(ids) for i in ids}) if ids else ():
        said = ID.sub(lambda found: f"[{new[int(found[1])]}]", truth)
        if ids_in_order(said) != ids_in_order(truth):
            return said
    return None


def replies_of(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, int, str, str | None]]:
    """All probes: its name, the place of the question, the reply, and for a gain the reply without the addition."""
    found = []
    for k, (_, truth) in enumerate(pairs):
        wrong, words = pairs[(k + 1) % len(pairs)][1], truth.split()
        found += [("empty answer", k, "", None), ("the truth", k, truth, None)]
        found += [("ids exchanged", k, said, None)] if (said := exchanged(truth)) else []
        orders = TEXTS["instructions"][k % len(TEXTS["instructions"])]
        for reply in (wrong, " ".join(words[: (len(words) + 1) // 2])):
            found.append(("gain of padding", k, TEXTS["padding"].format(reply), reply))
            found.append(("gain of an instruction", k, orders.format(reply), reply))
    return found


def probe_judge(judge: Judge, pairs: Sequence[tuple[str, str]]) -> dict:
    """Run the probes on pairs of question and truth; the table's last column says whether each holds."""
    asked = replies_of(pairs)
    texts = list(dict.fromkeys((k, text) for _, k, *two in asked for text in two if text is not None))
    scores = dict(zip(texts, judge_all(judge, ((*pairs[k], text) for k, text in texts))))
    value = {text: score.value for text, score in scores.items()} | {(k, None): 0.0 for k in range(len(pairs))}
    rows = []
    for name, (sign, limit) in LIMITS.items():
        mine = [(k, value[k, reply], value[k, base]) for probe, k, reply, base in asked if probe == name]
        there = [(k, with_it - without) for k, with_it, without in mine if None not in (with_it, without)]
        row = [name, f"{sign} {limit:g}", len(mine), len(mine) - len(there)]
        if there:
            clips, values = zip(*there)
            span = clustered_interval(values, clips, limits=(-1.0 if "gain" in name else 0.0, 1.0))
            holds = span.mean >= limit - 1e-9 if sign == ">=" else span.mean <= limit + 1e-9
            row += ["{:.3f} [{:.3f}, {:.3f}]".format(*span), "holds" if holds else "FAILS"]
        rows.append(row if there else [*row, "–", "not measured"])
    who = next((score.judge["model"] for score in scores.values() if score.value is not None), "that never answered")
    return table_of(f"Probes of the judge {who}", "probe|wanted|n|unscored|found|verdict", rows, NOTE)
