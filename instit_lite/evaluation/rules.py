"""The offline judge. In: a question, its true answer, a reply. Out: a score from 0 to 1 by rules, no model asked.

It measures which of the truth's words, mark ids and timestamps come back, each id in its place; it knows no synonyms.
So it tells exchanged ids and wrong times for certain; its mean is a number of its own, which no score of a model judge
may be compared with.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from ..annotation.claims_in_text import ID, SPAN, ids_in, moments_in

TOKEN = re.compile(r"\[\d{1,4}\]|<\d{1,4}>|[^\W_]+")
ID_LIST = re.compile(r"\[\d{1,4}\](?:(?:,| and|, and)? \[\d{1,4}\])+")
EMPTY = set(
    "a an the of to in on at by for from with and or is are was were be been being it its this that these those there "
    "as into he she they him his her their has have had do does did while which who what when where how during".split()
)


def times_in(text: str) -> set[int]:
    """The frames that a text names, intervals filled in."""
    return set(moments_in(text)).union(*(range(int(a), int(b) + 1) for a, b in SPAN.findall(text)))


def overlap(said: set[int], true: set[int]) -> float:
    """Intersection over union of two sets; 1 where both are empty."""
    return len(said & true) / len(said | true) if said | true else 1.0


def judge_by_rules(question: str, truth: str, reply: str) -> float:
    """F1 of the words and ids that are news to the question, times ids in place, times (1 + overlap of frames) / 2.

    Words of the question count nowhere, so that repeating it earns nothing. A truth that only names a time is judged by
    the overlap alone.
    """
    truth, reply = ids_in_order(truth), ids_in_order(reply)
    asked, true = set(tokens(question)), set(tokens(truth))
    asked, news = (asked, true - asked) if true - asked else (set(), true)
    said = set(tokens(reply)) - asked
    when = times_in(truth) - times_in(question)
    on_time = overlap(times_in(reply) - times_in(question), when)
    if not news:
        return round(on_time, 4) if when else 0.0
    right = 2 * len(said & news) / (len(said) + len(news)) * ids_in_place(question, truth, reply)
    return round(right * (1 + on_time) / 2 if when else right, 4)


def tokens(text: str) -> list[str]:
    """Ids, and words without their commonest endings; empty words and timestamps are left out."""
    words = [word.casefold() for word in TOKEN.findall(text) if word[0] != "<"]
    return [re.sub(r"(?<=\w{4})(?:ing|ed|es|s|e|ly)$", "", word) for word in words if word not in EMPTY]


def ids_in_order(text: str) -> str:
    """Write lists of ids in ascending order, because "[3] and [1]" says what "[1] and [3]" says."""
    def put(found: re.Match) -> str:
        ascending = iter(sorted(map(int, ID.findall(found[0]))))
        return ID.sub(lambda _: f"[{next(ascending)}]", found[0])

    return ID_LIST.sub(put, text)


def ids_in_place(question: str, truth: str, reply: str) -> float:
    """Share of the truth's mentions of an id that have the same id in the reply at the place that corresponds.

    Places correspond where truth and reply align with their ids blanked. A mention without such a place is right where
    the reply names the id anywhere, and is not counted where the question had named it already.
    """
    true, said = tokens(truth), tokens(reply)
    blank = [["[]" if word[0] == "[" else word for word in words] for words in (true, said)]
    blocks = SequenceMatcher(None, *blank, autojunk=False).get_matching_blocks()
    place = {a + k: said[b + k] for a, b, size in blocks for k in range(size)}
    right = [
        place.get(at, word) == word and word in said
        for at, word in enumerate(true)
        if word[0] == "[" and (at in place or word in said or word not in tokens(question))
    ]
    return sum(right) / len(right) if right else 1.0


def mentions(question: str, truth: str, reply: str) -> dict[str, float | None]:
    """What can be checked without a judge: precision, recall and F1 of mark ids, overlap of timestamps, invented ids.

    None where neither text names any; `invented`: the reply names an id that neither question nor truth has.
    """
    said, true, frames = set(ids_in(reply)), set(ids_in(truth)), (times_in(reply), times_in(truth))
    both = len(said & true) if said or true else None
    per = [None if both is None else both / max(1, n) for n in (len(said), len(true), (len(said) + len(true)) / 2)]
    found = dict(zip(("id precision", "id recall", "id F1"), per))
    found["time IoU"] = overlap(*frames) if any(frames) else None
    return found | {"invented ids": float(bool(said - true - set(ids_in(question))))}
