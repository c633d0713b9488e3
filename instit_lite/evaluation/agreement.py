"""Do two reviewers agree? In: their decisions. Out: the share of equal verdicts, Cohen's kappa with an interval.

Kappa is agreement beyond chance, (p - e) / (1 - e): p is the share of equal verdicts, e that of two who give each
verdict as often as these, but blindly (Cohen 1960).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from ..dataset.decisions import KINDS, VERDICTS, DecisionFile, Item
from ..errors import InstitError
from .statistics import Interval, clustered_interval

NOTE = (
    "Of the items that both decided; verdicts are compared, not corrected words. 95 % intervals, clustered by clip. "
    "The last columns count the first / the second reviewer's. A dash: one verdict throughout has no kappa."
)


def kappa(first: Sequence[str], second: Sequence[str], clips: Sequence[Hashable]) -> Interval | None:
    """Cohen's kappa of two verdicts [n] per item; `clips` [n] names the clip of each. None where it is not defined.

    The interval is `clustered_interval` of kappa's influence values; were every item a clip of its own, its standard
    error would be that of Fleiss, Cohen and Everitt (1969), but for n - 1 in place of n.
    """
    if not len(first) == len(second) == len(clips) > 0:
        raise InstitError("two verdicts and a clip for each item are needed", cure="give items that both decided")
    names, codes = np.unique([*first, *second], return_inverse=True)
    x, y = codes[: len(first)], codes[len(first) :]
    p, q = (np.bincount(side, minlength=len(names)) / len(side) for side in (x, y))
    equal, chance = x == y, float(p @ q)
    if chance > 1 - 1e-12:
        return None
    value = (equal.mean() - chance) / (1 - chance)
    moves = equal - equal.mean() - (1 - value) * (q[x] + p[y] - 2 * chance)
    values = value + moves / (1 - chance)
    found = clustered_interval(values, clips, limits=(min(-1.0, values.min()), max(1.0, values.max())))
    return Interval(*(float(np.clip(end, -1, 1)) for end in found))


def agreement_table(items: Sequence[Item], first: DecisionFile, second: DecisionFile) -> dict:
    """Compare two reviewers over the items that both decided, all together and by kind of annotation."""
    both = [(item, a.verdict, b.verdict) for item in items if (a := first.of(item)) and (b := second.of(item))]
    rows = []
    for kind in ("all", *KINDS):
        chosen = [row for row in both if kind in ("all", row[0].kind)]
        if chosen:
            found, a, b = zip(*chosen)
            clips = [item.clip for item in found]
            share = clustered_interval([x == y for x, y in zip(a, b)], clips)
            counts = [f"{a.count(verdict)} / {b.count(verdict)}" for verdict in VERDICTS]
            rows.append([kind, len(a), len(set(clips)), str(share), str(kappa(a, b, clips) or "–"), *counts])
    columns = ["kind", "items", "clips", "equal verdicts", "kappa", *VERDICTS]
    title = f"Agreement of {first.reviewer} and {second.reviewer}"
    return {"title": title, "columns": columns, "rows": rows, "note": NOTE}
