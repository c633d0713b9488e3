"""The ledger of claims. In: kept answers and measured costs. Out: JSON with every difference, interval and verdict.

Everything is computed from files, so that a new margin or statistic costs a second and no training.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from math import isinf
from pathlib import Path

import numpy as np

from ..profiles import atomic_write_text
from .arms import Arm, arm_named
from .declared import BASELINES, Claim, CostPart, Part
from .origin import latest
from .room import (
    REPEATS, Room, is_trained, needs_of, no_model, read_cost, read_facts, read_json, scores_of, side_of,
)  # fmt: skip
from .verdict import NOT_MEASURED, Estimate, difference, ratio, verdict, weakest
from .views import CLAIMS_BENCH

FORMAT = 1
COST = ("tokens", "seconds", "memory")


def repository_ledger(profile: str) -> Path:
    """Where the ledger of a profile is kept in the repository."""
    return Path(__file__).with_name(f"ledger_{profile}.json")


def ledger_of(room: Room, claims: list[Claim]) -> dict:
    """Compute the ledger from what is there; a claim that lacks anything is not measured, and says what it lacks."""
    kept = Scores(room)
    return {
        "format": FORMAT, "profile": room.profile.name,
        **latest(cards_of(room, claims)),
        "seeds": room.seeds, "bench_seed": CLAIMS_BENCH, "questions_per_split": room.profile.n_bench,
        "steps": room.profile.sft_steps, "batch": room.profile.sft_batch,
        "claims": [claim_row(kept, claim) for claim in claims],
        "arms": arm_rows(room, claims),
        "accuracies": accuracy_rows(kept, claims),
        "costs": cost_rows(room, claims),
    }  # fmt: skip


class Scores:
    """Scores by seed and item, read once: `of` gives (facts, array [seeds, items]) of one side, or None."""

    def __init__(self, room: Room) -> None:
        self.room, self.read = room, {}

    def facts(self, arm: Arm, view: str, split: str) -> dict[str, dict] | None:
        """Facts of the items by key."""
        name = self.room.facts_file(arm, view, split)
        if name not in self.read:
            found = read_facts(self.room, arm, view, split)
            self.read[name] = None if found is None else {f["key"]: f for f in found}
        return self.read[name]

    def of(self, arm: Arm, view: str, split: str, format: str, seed: int) -> dict[str, float] | None:
        """Score of each item by key, of one trained arm."""
        name = (arm.name, view, split, format, seed)
        if name not in self.read:
            ready = is_trained(self.room, arm, seed)
            self.read[name] = scores_of(self.room, arm, seed, view, split, [format]) if ready else None
        return self.read[name]

    def seeds(self, arm: Arm, view: str, split: str, format: str) -> list[dict[str, float]] | None:
        """`of` for every seed; None where one is missing."""
        found = [self.of(arm, view, split, format, seed) for seed in self.room.seeds_of(arm)]
        return None if None in found else found


def claim_row(kept: Scores, claim: Claim) -> dict:
    """A claim with its parts; it holds as far as its weakest part."""
    parts = [part_row(kept, part) for part in claim.parts] + [cost_part_row(kept.room, part) for part in claim.costs]
    verdicts = [part["verdict"] for part in parts]
    return {
        "id": claim.id, "title": claim.title, "statement": claim.statement,
        "paper": {"figure": claim.paper, "where": claim.where}, "change": claim.change,
        "verdict": weakest(verdicts), "parts": parts,
    }  # fmt: skip


def part_row(kept: Scores, part: Part) -> dict:
    """One comparison with its difference, and the same by kind of question."""
    row = {
        "says": part.says, "split": part.split, "format": part.format, "left": part.left, "right": part.right,
        "expected": [None if isinf(v) else v for v in (part.low, part.high)],
    }  # fmt: skip
    arm, view = side_of(part.left)
    facts = kept.facts(arm_named(arm), view, part.split)
    left = kept.seeds(arm_named(arm), view, part.split, part.format)
    right = right_scores(kept, part, facts) if facts is not None and left is not None else None
    if right is None:
        lacks = [s for s in (part.left, part.right) if not no_model(s) and is_missing(kept, s, part)]
        return {**row, "verdict": NOT_MEASURED, "missing": lacks}
    keys = [key for key, f in facts.items() if f["format"] == part.format and key in right[0]]
    seeds = max(len(left), len(right))
    a, b = (np.array([[runs[s % len(runs)][key] for key in keys] for s in range(seeds)]) for runs in (left, right))
    by_kind = defaultdict(list)
    for place, key in enumerate(keys):
        by_kind[facts[key]["kind"]].append(place)
    clips = np.array([facts[key]["clip"] for key in keys])
    whole = compare(a, b, clips)
    return {
        **row, **whole[0], "verdict": verdict(whole[1], part.low, part.high),
        "kinds": [{"kind": kind, **compare(a[:, at], b[:, at], clips[at])[0]} for kind, at in by_kind.items()],
    }  # fmt: skip


def right_scores(kept: Scores, part: Part, facts: dict[str, dict]) -> list[dict[str, float]] | None:
    """Scores of the right side: of an arm, of a baseline on the left side's items, or a number for each."""
    if part.right in BASELINES:
        return [{key: f[part.right] for key, f in facts.items()}]
    if no_model(part.right):
        return [dict.fromkeys(facts, float(part.right))]
    arm, view = side_of(part.right)
    return kept.seeds(arm_named(arm), view, part.split, part.format)


def is_missing(kept: Scores, side: str, part: Part) -> bool:
    arm, view = side_of(side)
    return kept.seeds(arm_named(arm), view, part.split, part.format) is None


def compare(a: np.ndarray, b: np.ndarray, clips: np.ndarray) -> tuple[dict, Estimate]:
    """Accuracies of both sides and their paired difference; `a` and `b` are [seeds, items]."""
    found = difference(a - b, list(clips))
    row = {
        "n": found.n, "clips": found.clips, "seeds": found.seeds,
        "accuracy": rounded([a.mean(), b.mean()]), "difference": rounded([found.mean, found.low, found.high]),
    }  # fmt: skip
    return row, found


def cost_part_row(room: Room, part: CostPart) -> dict:
    """One comparison of costs: the ratio and its interval over the repeats, expected below 1."""
    row = {"says": part.says, "what": part.what, "left": part.left, "right": part.right, "expected": [0, 1]}
    left, right = ([c[part.what] for c in read_costs(room, side)] for side in (part.left, part.right))
    if len(left) < REPEATS or len(right) < REPEATS:
        return {**row, "verdict": NOT_MEASURED, "missing": ["costs"]}
    found = ratio(left, right)
    return {
        **row, "cost": rounded([np.median(left), np.median(right)]), "repeats": REPEATS,
        "ratio": rounded([found.mean, found.low, found.high]), "verdict": verdict(found, 0.0, 1.0),
    }  # fmt: skip


def read_costs(room: Room, name: str) -> list[dict]:
    found = (read_cost(room, arm_named(name), repeat) for repeat in range(REPEATS))
    return [{key: cost[key] for key in COST} for cost in found if cost]


def cost_rows(room: Room, claims: Iterable[Claim]) -> list[dict]:
    names = dict.fromkeys(side for claim in claims for c in claim.costs for side in (c.left, c.right))
    return [{"arm": name, "repeat": i, **cost} for name in names for i, cost in enumerate(read_costs(room, name))]


def cards_of(room: Room, claims: Iterable[Claim]) -> list[dict]:
    """The cards of all arms that are trained as declared."""
    pairs = ((arm_named(name), seed) for name in needs_of(claims) for seed in room.seeds_of(arm_named(name)))
    return [read_json(room.card_file(*pair)) for pair in pairs if is_trained(room, *pair)]


def arm_rows(room: Room, claims: Iterable[Claim]) -> dict[str, dict]:
    """What each arm is, and how its trainings went."""
    rows = {}
    for name in needs_of(claims):
        arm = arm_named(name)
        cards = [read_json(room.card_file(arm, seed)) for seed in room.seeds_of(arm) if is_trained(room, arm, seed)]
        rows[name] = {"about": arm.about}
        if cards:
            rows[name] |= {
                "base": arm.base, "base_weights": cards[0]["identity"]["base"],
                **{key: [card.get(key) for card in cards] for key in ("date", "seconds", "loss")},
            }  # fmt: skip
    return rows


def accuracy_rows(kept: Scores, claims: list[Claim]) -> list[dict]:
    """Raw accuracies for figures, by arm, view, split, format and kind: a number per seed, and the baselines."""
    rows: dict[tuple, dict] = {}
    for name, needs in needs_of(claims).items():
        for (view, split), formats in needs.items():
            arm = arm_named(name)
            facts = kept.facts(arm, view, split)
            for format in sorted(formats):
                runs = kept.seeds(arm, view, split, format)
                if facts is None or runs is None:
                    continue
                asked = {key: f for key, f in facts.items() if f["format"] == format}
                where = {"view": view, "split": split, "format": format}
                rows[name, view, split, format] = {"arm": name, **where, **means_by_kind(asked, runs)}
                for baseline in BASELINES:
                    known = {key: f[baseline] for key, f in asked.items()}
                    if None not in known.values():
                        row = {"arm": baseline, **where, **means_by_kind(asked, [known])}
                        rows.setdefault((baseline, view, split, format), row)
    return list(rows.values())


def means_by_kind(facts: dict[str, dict], runs: list[dict[str, float]]) -> dict:
    """{"n": questions by kind, "kinds": accuracies by kind, one per run}; "all" is a kind."""
    by_kind = {"all": list(facts)}
    for key, f in facts.items():
        by_kind.setdefault(f["kind"], []).append(key)
    means = {kind: rounded(np.mean([run[key] for key in keys]) for run in runs) for kind, keys in by_kind.items()}
    return {"n": {kind: len(keys) for kind, keys in by_kind.items()}, "kinds": means}


def rounded(values: Iterable[float]) -> list[float]:
    """Five digits: enough for every table, and no noise in the repository."""
    return [float(f"{v:.5g}") for v in values]


def save_ledger(ledger: dict, path: Path) -> None:
    """Write the ledger whole or not at all; long lists stand on one line per row, so that a diff can be read."""
    text = json.dumps({**ledger, "accuracies": [], "costs": []}, ensure_ascii=False, indent=1)
    for name in ("accuracies", "costs"):
        rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in ledger[name])
        text = text.replace(f'"{name}": []', f'"{name}": [\n{rows}\n ]' if rows else f'"{name}": []')
    atomic_write_text(path, text + "\n")


def format_ledger(ledger: dict) -> str:
    """The verdicts as text for a terminal."""
    lines = []
    for claim in ledger["claims"]:
        lines.append(f"{claim['id']:<4}{claim['verdict']:<20}{claim['title']}")
        for part in claim["parts"]:
            where = part.get("what") or f"{part['split']} {part['format']}"
            found = part.get("difference") or part.get("ratio")
            said = "{:+.2f} [{:+.2f}, {:+.2f}]".format(*found) if found else f"lacks {', '.join(part['missing'])}"
            lines.append(f"      {part['verdict']:<20}{where:<18}{part['says']:<46}{said}")
    return "\n".join(lines)
