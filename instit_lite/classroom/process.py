"""A watched child process. In: a command, a time limit. Out: whether it ended in time, and its tree's peak
memory.

The whole tree is watched and ended, because a notebook's kernel lives in a session of its own.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Ended:
    """How a process ended: `returncode` is None where it was stopped at its limit; memory in MB."""

    returncode: int | None
    seconds: float
    peak_rss_mb: float


def tree(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and all its descendants, as far as they still live."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def rss_mb(processes: list[psutil.Process]) -> float:
    """Return the resident memory of `processes` in MB."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 2**20


def end(processes: list[psutil.Process]) -> None:
    """End `processes`, children first, and wait until they are gone."""
    for process in reversed(processes):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)


def watch(
    command: list[str], *, env: dict[str, str], log, limit: float,
    tick: Callable[[float], None] = lambda seconds: None, interval: float = 0.25,
) -> Ended:
    """Run `command` with its output in the open file `log`; stop its tree after `limit` seconds.

    `tick` is called with the seconds so far about four times a second. An interrupt ends the tree and goes
    on.
    """
    began, peak = time.monotonic(), 0.0
    child = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )
    alive = [psutil.Process(child.pid)]
    try:
        while True:
            try:
                child.wait(interval)
                break
            except subprocess.TimeoutExpired:
                pass
            alive = tree(alive[0]) or alive
            peak = max(peak, rss_mb(alive))
            elapsed = time.monotonic() - began
            tick(elapsed)
            if elapsed > limit:
                return Ended(None, elapsed, peak)
        return Ended(child.returncode, time.monotonic() - began, peak)
    finally:
        end([process for process in alive if process.is_running()])
        child.wait()
