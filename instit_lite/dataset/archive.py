"""Zip archives in. In: a zip of pictures. Out: its folder, whole or not at all, and nothing outside it.

Python's own `extractall` keeps inside the target by changing names in silence. Here such an archive is refused first.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ..errors import InstitError, RecordError
from ..marks.files import check_file, leads_out

MOST_TIMES = 200  # unpacked by packed size: pictures hardly shrink, bombs do


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack `archive` as `folder`, which must not exist; the archive may hold that folder, or what is in it.

    Raises `RecordError` where the archive is damaged, encrypted or larger than the disk, or where a name in it leads
    outside, is a link, or occurs twice.
    """
    part = folder.with_name(f".{folder.name}.part")
    cure = f"put the folder {folder.name} or a good {archive.name} in its place"
    try:
        check_file(archive)
        shutil.rmtree(part, ignore_errors=True)  # of a killed run
        with zipfile.ZipFile(archive) as opened:
            check_entries(opened, archive)
            opened.extractall(part)
        inner = part / folder.name
        os.replace(inner if inner.is_dir() else part, folder)
    except InstitError as problem:
        raise RecordError(problem.reason, path=archive, cure=cure) from problem
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error, EOFError) as problem:
        raise RecordError(f"cannot be unpacked ({problem})", path=archive, cure=cure) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_entries(opened: zipfile.ZipFile, archive: Path) -> None:
    """Refuse an archive by its table of contents alone."""
    entries, size = opened.infolist(), archive.stat().st_size
    total, free = sum(entry.file_size for entry in entries), shutil.disk_usage(archive.parent).free
    if total > MOST_TIMES * size:
        raise RecordError(f"is {size} bytes that unpack to {total / 1e9:.1f} GB, as a bomb does")
    if total > free:
        raise RecordError(f"needs {total / 1e9:.1f} GB unpacked, and {free / 1e9:.1f} GB are free")
    files, folders = set(), set()
    for entry in entries:
        if leads_out(entry.filename):
            raise RecordError(f"holds {entry.filename!r}, which could lie outside the folder")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise RecordError(f"holds {entry.filename!r}, which is a link or a device")
        if entry.flag_bits & 1:
            raise RecordError("is encrypted")
        path = PurePosixPath(entry.filename)
        if not entry.is_dir() and path in files:
            raise RecordError(f"holds {entry.filename!r} twice")
        (folders if entry.is_dir() else files).add(path)
        folders.update(path.parents)
    if files & folders:
        raise RecordError(f"holds {str(min(files & folders))!r} as a file and as a folder")
