"""A made-up ledger of the right form, for the tests of figures. No figure in it was measured."""

from __future__ import annotations

from math import inf, isinf

import numpy as np

from instit_lite.claims.declared import BASELINES, EVERYTHING, CostPart
from instit_lite.claims.room import needs_of
from instit_lite.claims.verdict import NOT_MEASURED, Estimate, verdict, weakest


def made_up_ledger(seed: int = 0, missing: tuple[str, ...] = ()) -> dict:
    """Random figures for all claims; those in `missing`, and the arms that only they need, were not measured."""
    rng = np.random.default_rng(seed)
    measured = [claim for name, claim in EVERYTHING.items() if name not in missing]
    claims = []
    for claim in EVERYTHING.values():
        parts = [part_row(part, rng, claim in measured) for part in (*claim.parts, *claim.costs)]
        claims.append({
            "id": claim.id, "title": claim.title, "statement": claim.statement, "change": claim.change,
            "paper": {"figure": claim.paper, "where": claim.where},
            "verdict": weakest([part["verdict"] for part in parts]), "parts": parts,
        })  # fmt: skip
    return {
        "date": "2000-01-01", "profile": "made up", "seeds": 3, "questions_per_split": 0,
        "machine": {"cores": 0, "gpu": None}, "arms": {}, "claims": claims, "accuracies": accuracy_rows(measured, rng), "costs": [],
    }  # fmt: skip


def part_row(part, rng, measured: bool) -> dict:
    costs = isinstance(part, CostPart)
    low, high = (0.0, 1.0) if costs else (part.low, part.high)
    row = {"says": part.says, "left": part.left, "right": part.right,
           "expected": [None if isinf(v) else v for v in (low, high)]}  # fmt: skip
    row |= {"what": part.what} if costs else {"split": part.split, "format": part.format}
    if not measured:
        return {**row, "verdict": NOT_MEASURED, "missing": [part.left]}
    mean = rng.uniform(0.2, 1.1) if costs else rng.normal(0.1 if high == inf else 0, 0.15)
    found = Estimate(mean, mean - 0.06, mean + 0.06, 300, 200, 3)
    row |= {"verdict": verdict(found, low, high), "n": found.n, "clips": found.clips, "seeds": 3}
    three = [found.mean, found.low, found.high]
    if costs:
        return {**row, "cost": [mean * 100, 100.0], "ratio": three}
    kinds = [{"kind": k, "n": 40, "clips": 40, "difference": three} for k in ("colour", "which")]
    return {**row, "accuracy": [0.5, 0.4], "difference": three, "kinds": kinds}


def accuracy_rows(claims, rng) -> list[dict]:
    rows = []
    for name, needs in needs_of(claims).items():
        for (view, split), formats in needs.items():
            for arm, count in ((name, 1 if name == "base" else 3), *((b, 1) for b in BASELINES)):
                for format in formats:
                    means = rng.uniform(0.3, 0.9, count).round(3).tolist()
                    rows.append({"arm": arm, "view": view, "split": split, "format": format, "kinds": {"all": means}})
    return rows
