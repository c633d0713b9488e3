"""The micro-language: facts to sentences and back. In: facts. Out: short English from a closed vocabulary.

Instances are written `[1]`, moments `<3>`, as the paper writes them. Every sentence can be parsed back, so
that a text-only stage (equations 2 and 3) can work from what earlier stages wrote, mistakes included.
"""

from __future__ import annotations

import re

from ..errors import ReplyError
from .facts import Change, FrameFacts, InstanceFacts
from .world import COLOURS, PLACES, SHAPES, SIZES

UNKNOWN = float("nan")
PLACE_CENTRE = {p: ((i % 3 + 0.5) / 3, (i // 3 + 0.5) / 3) for i, p in enumerate(PLACES)}
CHANGE_WORDS = {
    "moves": "moves {detail}", "enters": "enters", "leaves": "leaves", "hides": "goes behind",
    "appears": "comes out", "grows": "comes closer", "shrinks": "goes away", "turns": "turns {detail}",
}  # fmt: skip
NOTHING = "nothing changes."
WORDS = (
    "a an the is are it there thing things picture at in of on and or no not none yes nothing changes "
    "what which where when who how many does do did left right up down stays first last "
    "colour shape size place number numbers mark marks every each list describe compare tell video clip frame "
    "moves move enters enter leaves leave goes behind comes out closer away turns turn visible to from with "
    "way only all another describes happens between two frames"
).split()


def phrase(facts: InstanceFacts) -> str:
    """Say what a thing is: "small red circle"."""
    return f"{facts.size} {facts.colour} {facts.shape}"


def frame_caption(frame: FrameFacts) -> str:
    """Describe a frame: "[1] is a small red circle at the top left. [2] is ..."."""
    if not frame.instances:
        return "there is nothing."
    return " ".join(f"[{f.mark_id}] is a {phrase(f)} at the {f.place}." for f in frame.instances)


def change_caption(found: list[Change]) -> str:
    """Say what changed: "[1] moves right. [2] enters."."""
    if not found:
        return NOTHING
    return " ".join(f"[{c.mark_id}] {CHANGE_WORDS[c.kind].format(detail=c.detail)}." for c in found)


def summary(frames: list[FrameFacts], found: list[list[Change]]) -> str:
    """Tell the whole clip: who is there at <1>, then the changes of each later frame.

    `found[i]` are the changes between frame i and frame i + 1.
    """
    parts = [f"<{frames[0].timestamp}> {frame_caption(frames[0])}"]
    for frame, step in zip(frames[1:], found):
        parts.append(f"<{frame.timestamp}> {change_caption(step)}")
    return " ".join(parts)


def parse_frame_caption(text: str) -> tuple[InstanceFacts, ...]:
    """Read `frame_caption` back; x and y become the centre of the named place, radius and visible are unknown."""
    found = []
    pattern = rf"\[(\d+)\] is an? (\w+) (\w+) (\w+) at the ({'|'.join(sorted(PLACES, key=len, reverse=True))})"
    for sentence in sentences(text):
        match = re.fullmatch(pattern, sentence)
        if match:
            mark_id, size, colour, shape, place = match.groups()
            x, y = PLACE_CENTRE[place]
            found.append(InstanceFacts(int(mark_id), shape, colour, size, place, x, y, UNKNOWN, UNKNOWN))
        elif sentence != "there is nothing":
            raise ReplyError(f"cannot read {sentence!r}", cure="this text is not in the micro-language")
    return tuple(found)


def parse_change_caption(text: str) -> list[Change]:
    """Read `change_caption` back; raise `ReplyError` on any other text."""
    if text == NOTHING:
        return []
    found = []
    for sentence in sentences(text):
        for kind, words in CHANGE_WORDS.items():
            match = re.fullmatch(r"\[(\d+)\] " + words.format(detail=r"(\w+)"), sentence)
            if match:
                found.append(Change(int(match[1]), kind, match[2] if "detail" in words else ""))
                break
        else:
            raise ReplyError(f"cannot read {sentence!r}", cure="this text is not in the micro-language")
    return found


def sentences(text: str) -> list[str]:
    """Split at full stops and drop the empty rest."""
    return [s.strip() for s in text.split(".") if s.strip()]


def vocabulary() -> list[str]:
    """Every word and sign the micro-language needs, in a fixed order."""
    places = {word for place in PLACES for word in place.split()}
    pools = [COLOURS, SHAPES, SIZES, sorted(places), WORDS, map(str, range(0, 33)), "ABCD", "[]<>.,?:"]
    return list(dict.fromkeys(word for pool in pools for word in pool))
