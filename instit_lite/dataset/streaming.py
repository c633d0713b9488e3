"""A json list, one item at a time. In: a file of any size. Out: its items in order, never all of them at once.

The published `_w_mask` file is one json list of 863 MB (paper-facts D.2). `datasets` reads such a list whole and
invents mark ids in its maps, so that the kit reads it itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ..errors import RecordError
from .reading import no_doubles

CHUNK = 2**20  # characters read at a time
LONGEST = 2**26  # characters of one item; a damaged file would else be read whole in search of the item's end
BLANK = re.compile(r"[ \t\n\r]*")


def stream_list(path: str | Path) -> Iterator[Any]:
    """Yield the items of a json list; raise `RecordError` where the file is missing, damaged or cut short."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            yield from items(file)
    except (OSError, ValueError, RecursionError) as problem:
        raise RecordError(f"cannot be read as a JSON list ({problem})", path=path,
                          cure="check the path, or copy the file again") from problem  # fmt: skip


def items(file: TextIO) -> Iterator[Any]:
    """Walk through the list; `text` holds what was read and `at` how far it is used up."""
    decoder, number = json.JSONDecoder(object_pairs_hook=no_doubles), 0
    text, at = skip_blanks(file, "", 0)
    if text[at : at + 1] != "[":
        raise ValueError("it does not begin with [")
    text, at = skip_blanks(file, text, at + 1)
    sign = "]" if text[at : at + 1] == "]" else ","
    while sign == ",":
        item, text, at = decode(file, decoder, text, at, number)
        yield item
        number += 1
        text, at = skip_blanks(file, text, at)
        sign = text[at : at + 1]
        text, at = (text, at) if sign == "]" else skip_blanks(file, text, at + 1)
    if sign != "]":
        raise ValueError(f"after item {number - 1} it {'is damaged' if sign else 'ends: it is cut short'}")
    if skip_blanks(file, text, at + 1)[0]:
        raise ValueError("something stands behind the list")


def skip_blanks(file: TextIO, text: str, at: int) -> tuple[str, int]:
    """Pass over blanks, reading on where the text ends; an empty text means the end of the file."""
    while (at := BLANK.match(text, at).end()) == len(text):
        text, at = file.read(CHUNK), 0
        if not text:
            break
    return text, at


def decode(file: TextIO, decoder: json.JSONDecoder, text: str, at: int, number: int) -> tuple[Any, str, int]:
    """Decode the item that begins at `at`, reading on until it is whole; return it, the text and where it ends."""
    reason = "the list has no end"
    while True:
        try:
            item, end = decoder.raw_decode(text, at)
            if end < len(text):  # else a number may go on
                return item, text, end
        except json.JSONDecodeError as problem:
            reason = problem.msg
        more = file.read(max(CHUNK, len(text) - at)) if len(text) - at < LONGEST else ""
        if not more:
            raise ValueError(f"item {number} is damaged or cut short ({reason})")
        text, at = text[at:] + more, 0
