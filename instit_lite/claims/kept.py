"""Scores kept in the repository. In: a room with finished arms. Out: one file of noughts and ones, and the way back.

Anyone can then compute the statistics anew, in minutes and without a training, and a measurement of hours can be
spread over several sittings and machines. A kept score counts only for the very items and the very training that it
came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ..profiles import atomic_write_text
from .arms import Arm, arm_named
from .declared import EVERYTHING
from .room import (
    REPEATS, Need, Room, cost_arms, is_trained, needs_of, read_cost, read_facts, read_json, said_of, same_training,
)  # fmt: skip
from .views import items_of
from .work import keep_facts

RIGHT, WRONG, UNASKED = "1", "0", "-"
LOOK = 1  # raise it when scenes or marks are drawn so that they look different: kept scores end there


def scores_file(profile: str) -> Path:
    """Where the scores of a profile are kept in the repository."""
    return Path(__file__).with_name(f"scores_{profile}.json")


def keep(room: Room, path: Path) -> None:
    """Write the scores of every finished arm, and the costs; what is kept there of other arms stays."""
    found = read_json(path) or {"runs": {}, "costs": {}}
    for name, needs in needs_of(EVERYTHING.values()).items():
        arm = arm_named(name)
        for seed in room.seeds_of(arm):
            if is_trained(room, arm, seed):
                run = {"card": read_json(room.card_file(arm, seed)), "scores": {}}
                old = found["runs"].get(f"{name} {seed}", {})
                if same_training(old.get("card", {}), room, arm, seed):
                    run["scores"] = old["scores"]
                for need in needs:
                    if line := packed(room, arm, seed, need):
                        run["scores"][" ".join(need)] = line
                found["runs"][f"{name} {seed}"] = run
    for arm, repeat in timed():
        if cost := read_cost(room, arm, repeat):
            found["costs"][f"{arm.name}-{repeat}"] = cost
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(run)}" for name, run in sorted(found["runs"].items()))
    costs = json.dumps(dict(sorted(found["costs"].items())))
    atomic_write_text(path, f'{{"runs": {{\n{rows}\n }},\n "costs": {costs}\n}}\n')


def timed() -> list[tuple[Arm, int]]:
    """The arms whose costs are compared, with the repeats of each."""
    return [(arm_named(name), repeat) for name in cost_arms(EVERYTHING.values()) for repeat in range(REPEATS)]


def packed(room: Room, arm: Arm, seed: int, need: Need) -> dict | None:
    """Scores of a view and split in the order of its items, and a hash of these; None where nothing was answered."""
    facts = read_facts(room, arm, *need)
    said = said_of(room, arm, seed, *need)
    if facts is None or not said:
        return None
    found = [said.get((f["key"], f["item"])) for f in facts]
    signs = "".join(UNASKED if right is None else RIGHT if right else WRONG for right in found)
    return {"items": hash_of(facts), "right": signs} if set(signs) != {UNASKED} else None


def hash_of(facts: Iterable[dict]) -> str:
    """A hash of what the items ask and hold true, and of the number that is raised when pictures look different."""
    return hashlib.sha256(" ".join([f"{LOOK}", *(f"{f['key']} {f['asked']}" for f in facts)]).encode()).hexdigest()[:16]


def bring_back(room: Room, path: Path, say: Callable[[str], None] = print) -> int:
    """Put kept scores where the room looks for them; returns how many trainings came back.

    What was measured here stays. A training or a cost of other settings or of another base stays out, and so do scores
    of items that are drawn otherwise today.
    """
    found, count = read_json(path), 0
    for name, run in found.get("runs", {}).items():
        arm_name, seed = name.rsplit(" ", 1)
        arm, seed = arm_named(arm_name), int(seed)
        if room.card_file(arm, seed).exists() or not same_training(run["card"], room, arm, seed):
            continue
        if not count:
            say(f"taking kept scores from {path.name}; the bench is drawn to check them")
        for need, line in run["scores"].items():
            unpack(room, arm, seed, tuple(need.split(" ")), line, say)
        # Last, since a run with a card is taken for whole: after a kill the scores are brought back once more.
        atomic_write_text(room.card_file(arm, seed), json.dumps(run["card"]) + "\n")
        count += 1
    for arm, repeat in timed():
        cost = found.get("costs", {}).get(f"{arm.name}-{repeat}", {})
        if not read_cost(room, arm, repeat) and same_training(cost, room, arm, 0):
            atomic_write_text(room.cost_file(arm.name, repeat), json.dumps(cost) + "\n")
    return count


def unpack(room: Room, arm: Arm, seed: int, need: Need, line: dict, say: Callable[[str], None]) -> None:
    """Write one answers file, without the answers' words."""
    facts = read_facts(room, arm, *need)
    if facts is None:
        say(f"  drawing {' '.join(need)}")
        facts = keep_facts(room, arm, need, items_of(*need, room.profile, arm.frames))
    if hash_of(facts) != line["items"]:
        say(f"  {arm.name} {seed}, {' '.join(need)}: the bench has changed since, left out")
        return
    rows = [
        {"key": f["key"], "item": f["item"], "verdict": "correct" if sign == RIGHT else "wrong"}
        for f, sign in zip(facts, line["right"]) if sign != UNASKED
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in [{"run": {"kept": True}}, *rows])
    atomic_write_text(room.answers_file(arm, seed, *need), text)
