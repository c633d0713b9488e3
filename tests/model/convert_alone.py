"""Conversions in a process of their own: python convert_alone.py between|torn|memory SOURCE TARGET TOWER.

Not forks: a fork copies one thread of many, so after any work by torch in the suite its child waits for ever.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from original_source import KINDS, QUIET, new_source

from instit_lite.model import shards as room
from instit_lite.model.convert import convert_checkpoint


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def between(source: Path, target: Path, tower: Path) -> None:
    """Killed when the second shard is written."""
    convert_checkpoint(source, target, tower=tower, shard_bytes=20_000,
                       tell=lambda line: line.startswith("model-00002") and die())  # fmt: skip


def torn(source: Path, target: Path, tower: Path) -> None:
    """Killed in the middle of the first shard that it writes."""

    def save_half(tensors, path, metadata):
        Path(path).write_bytes(b"half a shard")
        die()

    room.save_file = save_half
    convert_checkpoint(source, target, tower=tower, shard_bytes=20_000, **QUIET)


def memory(source: Path, target: Path, tower: Path) -> None:
    """Print by how many bytes memory grows at most: with shards of 8 MB, and with one shard."""
    warm = new_source(target / "warm", KINDS["clip"])  # imports, allocator
    convert_checkpoint(warm, target / "warmed", tower=warm.parent / "tower", **QUIET)
    for shard_bytes in (2**23, 2**30):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
        before = high_water()
        convert_checkpoint(source, target / str(shard_bytes), tower=tower, shard_bytes=shard_bytes, **QUIET)
        print(high_water() - before)


def high_water() -> int:
    """The process's largest resident memory so far, bytes (Linux)."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    how, *folders = sys.argv[1:]
    {"between": between, "torn": torn, "memory": memory}[how](*map(Path, folders))
