"""The door for files. In: a path. Out: the path of a readable file, or a typed error.

Nothing is opened before it is known to be a regular file: opening a pipe would wait for ever.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import UnreadableInput

HEAD = 512  # bytes that are enough to tell text from pictures and video
URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+:/{1,2}[^/\\]")
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # control characters, which text has not
TEXT = rb"[^\x00-\x08\x0e-\x1f]*"
KINDS = {  # how a file of another kind begins: what it is, what to do with it
    rb"version https://git-lfs": ("a git-LFS pointer", "run `git lfs pull` where it comes from"),
    TEXT + rb"<(!doctype html|html|head|body)\b": ("an HTML page (often a failed download)", "get the real file"),
    TEXT + rb"<svg\b": ("an SVG drawing", "export it as PNG"),
    rb"(?s)....ftyp(hei|hev|m[is]f1.{4}((?!avif).)*hei)":
        ("a HEIC picture, which Pillow reads only with the plug-in pillow-heif", "convert it to JPEG or PNG"),
    rb"(?s)II\*\x00....CR": ("a camera RAW file", "develop it to JPEG or PNG"),
    rb"8BPS": ("a Photoshop file", "export it as PNG"),
    rb"%PDF": ("a PDF", "export its pictures"),
    rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b": ("an archive", "unpack it"),
}  # fmt: skip


def check_path(path: str | Path) -> os.stat_result:
    """Return the status of what `path` leads to; `UnreadableInput` where it leads nowhere."""
    if URL.match(str(path)):
        reason = "is a web address, and the kit reads local files only (offline mode)"
        raise UnreadableInput(reason, path=path, cure="download it yourself and give the file")
    try:
        return os.stat(path)
    except FileNotFoundError as problem:
        reason = "is a link that leads nowhere" if os.path.islink(path) else "does not exist"
        raise UnreadableInput(reason, path=path, cure="check the spelling and the folder") from problem
    except (OSError, ValueError) as problem:
        raise UnreadableInput(f"cannot be reached ({problem})", path=path, cure="check the path") from problem


def check_file(path: str | Path) -> tuple[Path, bytes]:
    """Return the path and the first 512 bytes of a regular file that is not empty, or raise
    `UnreadableInput`."""
    mode = check_path(path).st_mode
    if stat.S_ISDIR(mode):
        raise UnreadableInput("is a folder, not a file", path=path, cure="name the file inside it")
    if not stat.S_ISREG(mode):
        raise UnreadableInput("is a pipe, socket or device", path=path, cure="save its content to a file")
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as problem:
        raise UnreadableInput(f"cannot be opened ({problem})", path=path, cure="check rights") from problem
    if not head:
        raise UnreadableInput("is empty (zero bytes)", path=path, cure="copy or download it again")
    return Path(path), head


def check_media(path: str | Path) -> tuple[Path, bytes]:
    """Like `check_file`, for pictures and video: files of other kinds, and text of any kind, are refused too.

    Playlists are text, so a decoder never follows one to other files or to the network.
    """
    path, head = check_file(path)
    for start, (kind, cure) in KINDS.items():
        if re.match(start, head, re.IGNORECASE):
            raise UnreadableInput(f"is {kind}", path=path, cure=cure)
    if not BINARY.search(head):
        raise UnreadableInput("is text, not a picture or a video", path=path, cure="get the real file")
    return path, head


def leads_out(name: Any) -> bool:
    """Say whether a name that stands in a file could lead out of its folder: absolute, on a drive, or with ".."."""
    if not isinstance(name, str) or re.match("[a-zA-Z]:", name) or "\0" in name:
        return True
    parts = re.split(r"[/\\]", name)
    return ".." in parts or not parts[0]


def load_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file whose top is an object; `UnreadableInput` where it is cut short or malformed.

    What plain parsing would pass in silence is refused too: a key that stands twice, NaN and Infinity.
    """
    path, _ = check_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        loaded = json.loads(text, object_pairs_hook=single_keys, parse_constant=int)  # which takes no NaN
    except (OSError, ValueError, RecursionError) as problem:
        raise UnreadableInput(f"is not usable JSON: {problem}", path=path, cure="write it again") from problem
    if not isinstance(loaded, dict):
        reason = f"is a JSON {type(loaded).__name__}, not an object"
        raise UnreadableInput(reason, path=path, cure="check the format")
    return loaded


def single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = Counter(key for key, _ in pairs)
    if len(keys) < len(pairs):
        raise ValueError(f"the key {keys.most_common(1)[0][0]!r} occurs twice")
    return dict(pairs)

