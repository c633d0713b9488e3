"""Measure the claims. In: options. Out: the ledger, and the table of the README.

Trains and answers what is missing, each job in a process of its own, as many at once as there are cores. Kill it and
start it again: what is done is not done twice, and scores kept in the repository count as done. A job that fails is
named, the others go on, the exit code says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import InstitError
from .arms import ARMS, Arm, arm_named
from .declared import EVERYTHING, Claim
from .kept import bring_back, keep, scores_file
from .ledger import format_ledger, ledger_of, repository_ledger, save_ledger
from .readme_table import README, write_table
from .room import (
    REPEATS, SEEDS, Room, blocked, claims_named, cost_arms, is_done, minutes_of, needs_of, read_cost, room_of,
)  # fmt: skip

HEARTBEAT = 60  # seconds between lines that say what is running
MEMORY_GB = 4.0  # of one job in profile micro
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One job of `work`: kind, arm, seed (or repeat), estimated minutes, and the file its words go to."""

    kind: str
    name: str
    seed: int
    minutes: float
    log: Path

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.seed}"


def plan(room: Room, claims: list[Claim]) -> tuple[list[list[Job]], dict[str, str]]:
    """The jobs that are left, in phases that follow each other, and the arms that cannot run with the reason.

    Arm by arm, in the order of `ARMS`: a run that is stopped leaves whole claims behind.
    """
    needs = needs_of(claims)
    timed = cost_arms(claims)
    left = [
        (arm, seed)
        for name, arm in ARMS.items() if name in needs
        for seed in room.seeds_of(arm) if not is_done(room, arm, seed, needs[name])
    ]  # fmt: skip
    out = blocked([*(arm.name for arm, _ in left), *timed])
    left = [(arm, seed) for arm, seed in left if arm.name not in out]
    costs = [
        job_of(room, "cost", arm_named(name), repeat, 1.0)
        for repeat in range(REPEATS) for name in timed
        if name not in out and not read_cost(room, arm_named(name), repeat)
    ]  # fmt: skip
    data = {room.data_folder(arm, seed): (arm, seed) for arm, seed in left if arm.trains}
    data |= {room.data_folder(arm_named(j.name), 0): (arm_named(j.name), 0) for j in costs}
    missing = [pair for folder, pair in data.items() if not (folder / "dataset.json").exists()]
    builds = [job_of(room, "data", *pair, 3.0) for pair in missing]
    arms = [job_of(room, "arm", arm, seed, minutes_of(room, arm, needs[arm.name])) for arm, seed in left]
    return [builds, arms, costs], out


def job_of(room: Room, kind: str, arm: Arm, seed: int, minutes: float) -> Job:
    return Job(kind, arm.name, seed, minutes, room.root / "logs" / f"{kind}-{arm.name}-{seed}.txt")


def run_jobs(room: Room, jobs: list[Job], at_once: int, only: list[str] | None, say: Say) -> list[str]:
    """Run jobs in processes, in this order; return what failed, each with its last word."""
    waiting, running, failed, done = list(jobs), {}, [], 0.0
    total, began = sum(j.minutes for j in jobs), time.monotonic()
    told = began
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running[job] = (start(room, job, only), time.monotonic())
            time.sleep(0.2)
            for job in [j for j in running if running[j][0].poll() is not None]:
                process, since = running.pop(job)
                done += job.minutes
                minutes, spent = (time.monotonic() - since) / 60, (time.monotonic() - began) / 60
                left = f"about {spent / done * (total - done):.0f} min left" if total > done else "none left"
                if process.returncode:
                    failed.append(f"{job}: {last_line(job.log)} (all of it: {job.log})")
                said = "FAILED" if process.returncode else "done"
                say(f"  {said} {job} in {minutes:.1f} min; {len(waiting) + len(running)} jobs, {left}")
            if time.monotonic() - told > HEARTBEAT:
                told = time.monotonic()
                say("  running: " + "; ".join(f"{j}: {last_line(j.log)}" for j in running))
    finally:
        for process, _ in running.values():
            process.kill()
    return failed


def start(room: Room, job: Job, only: list[str] | None) -> subprocess.Popen:
    """Start a job in a process with one thread."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    words = [room.profile.name, job.kind, job.name, str(job.seed), *([",".join(only)] if only else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with open(job.log, "w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "instit_lite.claims.work", *words],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip


def last_line(path: Path) -> str:
    """The last words of a log; a progress bar's last state counts as a line."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.replace("\r", "\n").split("\n")
    return next((line.strip()[-150:] for line in reversed(lines) if line.strip()), "nothing said yet")


def processes() -> int:
    """As many jobs as there are cores to use and memory for."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available / 2**30 / MEMORY_GB)))


def measure(room: Room, only: list[str] | None, jobs: int | None, say: Say = print) -> int:
    """Run what is missing for the claims `only` (None: all), write the ledger, say it, return the exit code."""
    claims = claims_named(only)
    phases, out = plan(room, claims)
    for name, why in out.items():
        say(f"skipped: arm {name}: {why}")
    at_once, failed = jobs or processes(), []
    for title, phase in zip(("datasets", "arms", "costs, one at a time"), phases):
        if phase:
            minutes = sum(j.minutes for j in phase)
            say(f"{title}: {len(phase)} jobs, about {minutes / (1 if phase[0].kind == 'cost' else at_once):.0f} min")
            failed += run_jobs(room, phase, 1 if phase[0].kind == "cost" else at_once, only, say)
    say(format_ledger(record(room, claims, say)))
    for line in failed:
        say(f"FAILED {line}")
    return 1 if failed or out else 0


def record(room: Room, claims: list[Claim], say: Say = print) -> dict:
    """Compute the ledger of `claims` from what is there, and keep it in the build folder.

    With three seeds or more the repository's scores, its ledger of all claims and the README's table follow; what
    was not measured here is then taken from the kept scores.
    """
    ledger = ledger_of(room, claims)
    save_ledger(ledger, room.root / "ledger.json")
    if room.profile.name != "smoke" and room.seeds >= SEEDS["micro"]:
        keep(room, scores_file(room.profile.name))
        bring_back(room, scores_file(room.profile.name), say)
        save_ledger(ledger_of(room, list(EVERYTHING.values())), repository_ledger(room.profile.name))
        write_table(README)
    return ledger


def show(room: Room, only: list[str] | None, say: Say = print) -> int:
    """Say of every claim which arms it needs, what of it is there, and how long the rest takes."""
    total: dict[tuple[str, int], float] = {}
    for claim in claims_named(only):
        needs = needs_of([claim])
        out = plan(room, [claim])[1]
        say(f"{claim.id:<4}{claim.title}")
        for name, own in needs.items():
            arm, seeds = arm_named(name), room.seeds_of(arm_named(name))
            left = [seed for seed in seeds if not is_done(room, arm, seed, own)]
            minutes = len(left) * minutes_of(room, arm, own)
            for seed in left if name not in out else ():
                total[name, seed] = max(total.get((name, seed), 0.0), minutes / len(left))
            state = f"skipped: {out[name]}" if name in out else f"{len(seeds) - len(left)}/{len(seeds)} there"
            views = ", ".join(sorted({view for view, _ in own}))
            say(f"      {name:<14}{state:<14}{f'{minutes:5.1f} min' if left and name not in out else '':<11}{views}")
    whole = sum(total.values())
    say(f"arms are shared: about {whole:.0f} min on one core, {whole / processes():.0f} min here")
    return 0


def measure_here(room: Room, only: list[str] | None, say: Say = print) -> dict:
    """As `measure`, all in this process and without writing to the repository: for tests and notebooks."""
    from .work import work

    for phase in plan(room, claims_named(only))[0]:
        for job in phase:
            work(room, job.kind, job.name, job.seed, only, say)
    ledger = ledger_of(room, claims_named(only))
    save_ledger(ledger, room.root / "ledger.json")
    return ledger


def main(args: argparse.Namespace) -> int:
    """`instit-lite claims` and `python -m instit_lite.claims`."""
    only = [name.strip() for text in args.only or [] for name in text.split(",") if name.strip()] or None
    room = room_of(args.profile, args.seeds)
    if args.list:
        return show(room, only)
    with alone(room):
        if not args.anew:
            bring_back(room, scores_file(room.profile.name))
        if args.ledger:
            print(format_ledger(record(room, claims_named(only))))
            return 0
        return measure(room, only, args.jobs)


@contextmanager
def alone(room: Room) -> Iterator[None]:
    """Keep a second run out of the same folder: both would write the same files."""
    room.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(room.root / ".lock", timeout=0):
            yield
    except Timeout:
        cure = "wait for the other run, or stop it"
        raise InstitError("claims are being measured here already", path=room.root, cure=cure) from None
