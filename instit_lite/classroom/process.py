"""A watched child process. In: a command, a time limit. Out: if it ended in time, the tree's peak memory.

The whole tree is watched and ended, because a notebook's kernel lives in a session of its own.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Ended:
    """How a process ended: `returncode` is None where it was stopped at its limit; memory in MB."""

    returncode: int | None
    seconds: float
    peak_rss_mb: float


def rss_mb(processes: list[psutil.Process]) -> float:
    """Return the resident memory in MB of those `processes` that still live."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 2**20


def watch(
    command: list[str], *, env: dict[str, str], log, limit: float,
    tick: Callable[[float], None] = lambda seconds: None,
) -> Ended:
    """Run `command` with its output in the open file `log`; stop its tree after `limit` seconds.

    `tick` is called with the seconds so far about four times a second. An interrupt ends the tree too.
    """
    began, peak, code = time.monotonic(), 0.0, None
    child = psutil.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    processes = [child]
    try:
        while code is None and time.monotonic() - began <= limit:
            with suppress(psutil.TimeoutExpired):
                code = child.wait(0.25)
            with suppress(psutil.NoSuchProcess):
                processes = [child, *child.children(recursive=True)]
            peak = max(peak, rss_mb(processes))
            tick(time.monotonic() - began)
        return Ended(code, time.monotonic() - began, peak)
    finally:
        for process in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=5)
