"""The door for files. In: a path. Out: the path of a readable file, or a typed error.

Nothing is opened before it is known to be a regular file: opening a pipe would wait for ever.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from ..errors import UnreadableInput

HEAD = 512  # bytes that are enough to tell text from pictures and video
URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+:/{1,2}[^/\\]")


def check_path(path: str | Path) -> os.stat_result:
    """Return the status of what `path` leads to; `UnreadableInput` where it leads nowhere."""
    if URL.match(str(path)):
        raise UnreadableInput(
            "is a web address, and the kit reads local files only (offline mode)",
            path=path,
            cure="download it yourself and give the file",
        )
    try:
        return os.stat(path)
    except FileNotFoundError as problem:
        reason = "is a link that leads nowhere" if os.path.islink(path) else "does not exist"
        raise UnreadableInput(
            reason, path=path, cure="check the spelling and the folder"
        ) from problem
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise UnreadableInput(
            f"cannot be reached ({why})", path=path, cure="check the path and its rights"
        ) from problem


def check_file(path: str | Path) -> tuple[Path, bytes]:
    """Return the path and the first 512 bytes of a regular file that is not empty.

    Raises `UnreadableInput` for web addresses, missing files, folders, pipes, devices, sockets,
    empty or forbidden files, and git-LFS pointers.
    """
    mode = check_path(path).st_mode
    if stat.S_ISDIR(mode):
        raise UnreadableInput("is a folder, not a file", path=path, cure="name the file inside it")
    if not stat.S_ISREG(mode):
        raise UnreadableInput(
            "is a pipe, socket or device, not a file", path=path, cure="save its content to a file"
        )
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as problem:
        raise UnreadableInput(
            f"cannot be opened ({problem.strerror})", path=path, cure="check its rights"
        ) from problem
    if not head:
        raise UnreadableInput("is empty (zero bytes)", path=path, cure="copy or download it again")
    if head.startswith(b"version https://git-lfs"):
        raise UnreadableInput(
            "is a git-LFS pointer, not the file itself", path=path, cure="run `git lfs pull`"
        )
    return Path(path), head


def check_media(path: str | Path) -> tuple[Path, bytes]:
    """Like `check_file`, for pictures and video: text of any kind is refused too.

    Playlists are text, so a decoder never follows one to other files or to the network.
    """
    path, head = check_file(path)
    if is_text(head):
        html = re.search(rb"<(!doctype html|html|head|body)\b", head, re.IGNORECASE)
        kind = "an HTML page (often a failed download)" if html else "text"
        raise UnreadableInput(
            f"is {kind}, not a picture or a video", path=path, cure="download the real file"
        )
    return path, head


def is_text(head: bytes) -> bool:
    """True where the bytes read as UTF-8 without control characters."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


def load_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file whose top is an object.

    Raises `UnreadableInput` where it is cut short, malformed, holds NaN, infinity or a key twice,
    or has another top.
    """
    path, _ = check_file(path)

    def refuse_constant(name: str) -> None:
        raise ValueError(f"holds {name}, which is not a number")

    def refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twin = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
            raise ValueError(f"holds the key {twin!r} twice in one object")
        return found

    try:
        with open(path, encoding="utf-8-sig") as file:
            loaded = json.load(
                file, parse_constant=refuse_constant, object_pairs_hook=refuse_twins
            )
    except json.JSONDecodeError as problem:
        reason = f"is not whole JSON (line {problem.lineno}: {problem.msg})"
        raise UnreadableInput(reason, path=path, cure="write or download it again") from problem
    except (ValueError, RecursionError) as problem:
        raise UnreadableInput(
            f"is not usable JSON: {problem}", path=path, cure="correct the file"
        ) from problem
    if not isinstance(loaded, dict):
        raise UnreadableInput(
            f"is a JSON {type(loaded).__name__}, not an object", path=path, cure="check the format"
        )
    return loaded
