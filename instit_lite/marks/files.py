"""The door for files. In: a path. Out: the path of a readable file, or a typed error.

Nothing is opened before it is known to be a regular file: opening a pipe would wait for ever.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from ..errors import UnreadableInput

HEAD = 512  # bytes that are enough to tell text from pictures and video
URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+:/{1,2}[^/\\]")
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # control characters, which text has not
HTML = re.compile(rb"<(!doctype html|html|head|body)\b", re.IGNORECASE)


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
    """Like `check_file`, for pictures and video: text of any kind is refused too.

    Playlists are text, so a decoder never follows one to other files or to the network.
    """
    path, head = check_file(path)
    if not BINARY.search(head):
        kind = "an HTML page (often a failed download)" if HTML.search(head) else "text"
        kind = "a git-LFS pointer (text)" if head.startswith(b"version https://git-lfs") else kind
        raise UnreadableInput(f"is {kind}, not a picture or a video", path=path, cure="get the real file")
    return path, head


def load_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file whose top is an object; `UnreadableInput` where it is cut short or malformed."""
    path, _ = check_file(path)
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise UnreadableInput(f"is not usable JSON: {problem}", path=path, cure="write it again") from problem
    if not isinstance(loaded, dict):
        reason = f"is a JSON {type(loaded).__name__}, not an object"
        raise UnreadableInput(reason, path=path, cure="check the format")
    return loaded
