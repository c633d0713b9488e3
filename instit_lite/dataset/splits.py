"""Split by clip. In: items, how to tell an item's clip, shares, a seed. Out: parts that share no clip.

Frames and questions of one clip look alike: were they on both sides, a test would measure memory.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from ..errors import RecordError

Item = TypeVar("Item")


def split_by_clip(
    items: Iterable[Item], key: str | Callable[[Item], Hashable], shares: Mapping[str, float], seed: int
) -> dict[str, list[Item]]:
    """Divide items by clip; `shares` maps each part's name to its share of the clips, adding up to 1.

    `key` is a function, or the name of a dict's entry, that gives an item's clip. Clips are counted by
    largest remainder, so no count is off by one or more; a part keeps the order of the items. Which clip
    goes where depends on the seed and on the set of clips alone, not on the items' order or on Python's
    hashes. Raises `RecordError` for shares that do not add up, or for a part that would stay empty.
    """
    items = list(items)
    clip_of = clip_reader(key)
    clips = sorted({clip_of(item) for item in items}, key=lambda clip: (type(clip).__name__, str(clip)))
    counts = clip_counts(len(clips), shares)
    order = np.random.default_rng(seed).permutation(len(clips))
    names = [name for name, count in counts.items() for _ in range(count)]
    part_of = {clips[i]: name for i, name in zip(order, names)}
    parts: dict[str, list[Item]] = {name: [] for name in shares}
    for item in items:
        parts[part_of[clip_of(item)]].append(item)
    return parts


def clip_reader(key: str | Callable[[Any], Hashable]) -> Callable[[Any], Hashable]:
    """Return a function from item to clip; raise `RecordError` in it where an item lacks the key."""
    if callable(key):
        return key

    def read(item: Any) -> Hashable:
        if key not in item:
            raise RecordError(f"an item has no {key!r}", cure="name the entry that holds the clip")
        return item[key]

    return read


def clip_counts(n_clips: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide `n_clips` by largest remainder; ties go to the part named first."""
    exact = {name: Fraction(share).limit_denominator(10**6) for name, share in shares.items()}
    if not exact or min(exact.values()) < 0 or sum(exact.values()) != 1:
        raise RecordError(f"the shares {dict(shares)} do not add up to 1", cure="give 0.8 and 0.2, say")
    counts = {name: int(share * n_clips) for name, share in exact.items()}
    by_rest = sorted(exact, key=lambda name: counts[name] - exact[name] * n_clips)
    for name in by_rest[: n_clips - sum(counts.values())]:
        counts[name] += 1
    for name, share in exact.items():
        if share > 0 and counts[name] == 0:
            raise RecordError(f"{n_clips} clips are too few for a part {name!r} of {float(share):g}",
                              cure="add clips, or leave that part out")  # fmt: skip
    return counts
