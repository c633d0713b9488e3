"""What a text claims. In: free text with `[1]` and `<3>`. Out: its ids, moments, motions, entries and places.

Rules of grammar, not of meaning: they are made to miss a claim rather than to invent one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..scenes.world import PLACES

ID = re.compile(r"\[(\d{1,4})\]")
MOMENT = re.compile(r"<(\d{1,4})>")
SPAN = re.compile(r"<(\d{1,4})>\s*-\s*<(\d{1,4})>")
ABSENT = re.compile(
    r"\b(?:no longer|not visible|out of (?:view|frame|sight)|hidden|gone|absent|has left|have left|left the|"
    r"leaves|disappear|behind|not in|earlier)", re.IGNORECASE,
)
SUBJECT = (
    r"\[(\d{1,4})\]\s+(?:(?:has|have|is|are|then|slowly|quickly|slightly|now|also|just|start(?:s|ed)|"
    r"beg[ai]ns?|begun|to)\s+)*"
)
MOTION = re.compile(
    SUBJECT + r"(?:mov|shift|slid|drift|roll|run|walk|head|step|travel|turn(?= to)|glid)\w*\s+"
    r"(?:(?:slightly|further|slowly|quickly|straight|a bit|over)\s+)*"
    r"(?:(?:to|towards?)\s+)?(?:(?:the|its)\s+)?"
    r"(left|right|up|down)(?:wards?)?\b(?!\s+(?:of|side|arm|hand|leg|foot|edge|corner))", re.IGNORECASE,
)
COMES = re.compile(SUBJECT + r"(?:enter|appear|c[oa]m(?:es?|ing) (?:out|into))\w*\b", re.IGNORECASE)
GOES = re.compile(
    SUBJECT + r"(?:leav(?:es?|ing)\b(?! (?:its|the (?:cup|hand))\b)|left the (?:frame|scene|view)|exit\w*|"
    r"disappear\w*|go(?:es|ing) behind|no longer visible|out of view)", re.IGNORECASE,
)
WORDS_FOR_PLACE = "|".join(sorted((*PLACES, "centre", "center"), key=len, reverse=True))
PLACE = re.compile(
    rf"\b(?:at|in|on|near)\s+(?:the\s+)?({WORDS_FOR_PLACE})\b"
    r"(?!\s+(?:of|side of|hand|arm|leg|foot|edge))", re.IGNORECASE,
)


class Claim(NamedTuple):
    """One thing said of one instance; `detail` is a direction or a place."""

    mark_id: int
    kind: str  # "moves", "comes", "goes", "place"
    detail: str = ""


def ids_in(text: str) -> list[int]:
    """Return the mark ids that a text names, each once, in order."""
    return list(dict.fromkeys(int(i) for i in ID.findall(text)))


def moments_in(text: str) -> list[int]:
    """Return the timestamps that a text names, each once, in order."""
    return list(dict.fromkeys(int(t) for t in MOMENT.findall(text)))


def backward_spans(text: str) -> list[tuple[int, int]]:
    """Return the intervals `<a>-<b>` that end before they begin."""
    return [(int(a), int(b)) for a, b in SPAN.findall(text) if int(b) < int(a)]


def sentences(text: str) -> list[str]:
    """Split after full stops, semicolons and the like."""
    return re.split(r"(?<=[.!?;])\s+", text)


def ids_said_present(text: str) -> list[int]:
    """Return the ids that a text names without saying that they are gone or hidden."""
    return ids_in(" ".join(s for s in sentences(text) if not ABSENT.search(s)))


def change_claims(text: str) -> list[Claim]:
    """Return the motions, entries and exits that a text tells of named instances."""
    moves = [Claim(int(m[1]), "moves", m[2].lower()) for m in MOTION.finditer(text)]
    comes = [Claim(int(m[1]), "comes") for m in COMES.finditer(text)]
    goes = [Claim(int(m[1]), "goes") for m in GOES.finditer(text)]
    return [*moves, *comes, *goes]


def place_claims(text: str) -> list[Claim]:
    """Return the places told in sentences that name exactly one instance and one place."""
    found = []
    for sentence in sentences(text):
        ids, places = ids_in(sentence), PLACE.findall(sentence)
        if len(ids) == len(places) == 1:
            found.append(Claim(ids[0], "place", re.sub("cent(re|er)", "middle", places[0].lower())))
    return found
