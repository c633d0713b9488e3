"""Where a picture ends. In: a picture file. Out: a warning of what stands behind its end mark.

A decoder stops at the end mark and says nothing of what follows, which may be junk, or a second file.
"""

from __future__ import annotations

import re
import struct
import warnings
from mmap import ACCESS_READ, mmap
from pathlib import Path

from ..errors import UnreadableInput

MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # of a JPEG; zeros and restarts belong to what is around them


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


def png_end(data: mmap) -> int:
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
    return at


def jpeg_end(data: mmap) -> int:
    at = 2
    while found := MARKER.search(data, at):
        at = found.end()
        if found[0] == b"\xff\xd9":
            return at
        at += struct.unpack_from(">H", data, at)[0]
    raise IndexError


def gif_end(data: mmap) -> int:
    """Walk through the blocks of a GIF: extensions begin with !, pictures with a comma, the end is a semicolon."""
    at = 13 + table(data[10])
    while data[at] != ord(";"):
        at += 2 if data[at] == ord("!") else 11 + table(data[at + 9])
        while size := data[at]:
            at += 1 + size
        at += 1
    return at + 1


def table(flags: int) -> int:
    """Return the bytes of the colour table that a GIF's flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def riff_end(data: mmap) -> int:
    return 8 + (struct.unpack_from("<I", data, 4)[0] + 1) // 2 * 2


def bmp_end(data: mmap) -> int:
    return struct.unpack_from("<I", data, 2)[0] or len(data)


ENDS = {b"\x89PNG": png_end, b"\xff\xd8\xff": jpeg_end, b"GIF8": gif_end, b"RIFF": riff_end, b"BM": bmp_end}
