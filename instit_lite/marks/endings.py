"""Where a picture ends. In: a picture file. Out: a warning of what stands behind its end mark.

A decoder stops at the end mark and says nothing of what follows, which may be junk, or a second file.
"""

from __future__ import annotations

import struct
import warnings
from mmap import ACCESS_READ, mmap
from pathlib import Path

from ..errors import UnreadableInput

TABLE = [0] * 128 + [6 << (flags & 7) for flags in range(128)]  # bytes of colours, by the flags of a GIF


def check_end(path: Path, whole: bool = False) -> None:
    """Warn of bytes behind the end mark of a picture; where it must be `whole`, refuse one without end mark."""
    with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        find = next((find for start, find in ENDS.items() if data[: len(start)] == start), len)
        try:
            behind = len(data) - find(data)
        except (IndexError, struct.error):
            behind = -1
    if whole and behind < 0:
        raise UnreadableInput("is cut short: its end mark is missing", path=path, cure="copy it again")
    if behind > 0:
        warnings.warn(f"{path}: {behind} bytes behind its end were passed over", stacklevel=4)


def gif_end(data: mmap) -> int:
    """Walk through the blocks of a GIF: extensions begin with !, pictures with a comma, the end is a semicolon."""
    at = 13 + TABLE[data[10]]
    while data[at] != ord(";"):
        at += 2 if data[at] == ord("!") else 11 + TABLE[data[at + 9]]
        while size := data[at]:
            at += 1 + size
        at += 1
    return at + 1


ENDS = {
    b"\x89PNG": lambda data: data.find(b"\0\0\0\0IEND\xaeB`\x82") + 12,
    b"\xff\xd8\xff": lambda data: data.rfind(b"\xff\xd9") + 2,
    b"GIF8": gif_end,
    b"RIFF": lambda data: 8 + (struct.unpack_from("<I", data, 4)[0] + 1) // 2 * 2,
    b"BM": lambda data: struct.unpack_from("<I", data, 2)[0] or len(data),
}
