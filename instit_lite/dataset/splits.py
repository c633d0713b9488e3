"""Split by clip. In: items, how to tell an item's clip, shares, a seed. Out: parts that share no clip.

Frames and questions of one clip look alike: were they on both sides, a test would measure memory.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np

from ..errors import RecordError

Item = TypeVar("Item")


def split_by_clip(
    items: Iterable[Item], key: str | Callable[[Item], Hashable], shares: Mapping[str, float], seed: int
) -> dict[str, list[Item]]:
    """Divide items by clip; `shares` maps each part's name to its share of the clips, adding up to 1.

    `key` is a function, or the name of a dict's entry, that gives an item's clip. Clips are counted by largest
    remainder, so that no part is off its share by a whole clip; a part keeps the order of the items. Which clip goes
    where depends on the seed and on the set of clips alone. Raises `RecordError` for shares that do not add up, for
    a part that would stay empty, and for an item without the entry.
    """
    items, wanted = list(items), np.array(list(shares.values()), float)
    if abs(wanted.sum() - 1) > 1e-6 or wanted.min() < 0:
        raise RecordError(f"the shares {dict(shares)} do not add up to 1", cure="give 0.8 and 0.2, say")
    try:
        clip_of = [key(item) if callable(key) else item[key] for item in items]
    except KeyError as problem:
        raise RecordError(f"an item has no {problem}", cure="name the entry that holds the clip") from problem
    clips = sorted(set(clip_of), key=str)
    exact = wanted * len(clips)
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: len(clips) - counts.sum()]] += 1
    for name, share, count in zip(shares, wanted, counts):
        if share > 0 and count == 0:
            raise RecordError(f"{len(clips)} clips are too few for a part {name!r} of {share:g}",
                              cure="add clips, or leave that part out")  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(clips))
    part_of = {clips[i]: name for i, name in zip(order, np.repeat(list(shares), counts))}
    parts: dict[str, list[Item]] = {name: [] for name in shares}
    for item, clip in zip(items, clip_of):
        parts[part_of[clip]].append(item)
    return parts
