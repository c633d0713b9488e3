"""Mix INST-IT dialogues with general data. In: both, and a share. Out: one seeded, shuffled list.

The paper mixes with LLaVA-NeXT-Data so that general skill is kept; its counts (243k of INST-IT, 765k general, 920k in
all) do not add up, so the kit takes the share as a number and counts what it did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..errors import RecordError
from .dialogues import Dialogue

PAPER_SHARE = 765 / (765 + 243)  # by the paper's own counts of the two parts


def mix(
    dialogues: Sequence[Dialogue], general: Sequence[Dialogue], ratio: float, seed: int, total: int | None = None
) -> list[Dialogue]:
    """Draw a mix in which the share `ratio`, 0 to 1, is general data; the same seed gives the same list.

    Nothing is repeated: `total` None gives the largest mix with that share, a number gives that many dialogues, of
    which `general_of(total, ratio)` are general. Raises `RecordError` where there are too few.
    """
    if not 0 <= ratio <= 1:
        raise RecordError(f"the share of general data is {ratio}", cure="give a number from 0 to 1")
    if total is None:
        total = largest_mix(len(dialogues), len(general), ratio)
    n_general = general_of(total, ratio)
    pools = (("INST-IT", dialogues, total - n_general), ("general", general, n_general))
    for name, pool, wanted in pools:
        if wanted > len(pool):
            reason = f"{total} dialogues, {ratio:g} of them general, need {wanted} {name} ones"
            raise RecordError(f"{reason}, and there are {len(pool)}", cure="lower the total, or the share")
    rng = np.random.default_rng(seed)
    drawn = [pool[i] for _, pool, wanted in pools for i in rng.permutation(len(pool))[:wanted]]
    return [drawn[i] for i in rng.permutation(len(drawn))]


def general_of(total: int, ratio: float) -> int:
    """How many of `total` dialogues are general: the nearest whole number, halves up."""
    return int(ratio * total + 0.5)


def largest_mix(n_own: int, n_general: int, ratio: float) -> int:
    """The largest total that can be drawn without repeating anything."""
    total = n_own + n_general
    while general_of(total, ratio) > n_general or total - general_of(total, ratio) > n_own:
        total -= 1
    return total


def mix_table(mixed: Sequence[Dialogue]) -> dict:
    """Count a mix by Table 7 group and kind: {"title", "columns", "rows", "note"}."""
    counts = Counter((d["group"], d["kind"]) for d in mixed)
    return {
        "title": f"A mix of {len(mixed)} dialogues",
        "columns": ["Table 7 line", "kind", "dialogues", "share"],
        "rows": [[group, kind, n, round(n / len(mixed), 4)] for (group, kind), n in sorted(counts.items())],
        "note": "Line 0 is general data, without marks; image_qa is ours, not the paper's.",
    }
