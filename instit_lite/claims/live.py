"""Claims in a lesson: read what was measured, ask again. In: a profile, models at hand. Out: a ledger, rows of it.

A claim that compares nothing but the base and the full recipe can be asked again of any two such models, in minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import InstitError
from ..evaluation.report import answer_and_keep
from ..evaluation.score import marks_of
from ..model.load import MICRO_FOLDER, Base, weights_hash
from ..profiles import Profile, build_dir
from .arms import Arm
from .declared import EVERYTHING, Claim
from .ledger import claim_row, ledger_of, repository_ledger
from .room import Room, needs_of, room_of
from .views import facts_of, items_of, view_named


def read_ledger(name: str) -> tuple[dict, str]:
    """The ledger that there is, and a sentence on what it is; one without any figure where nothing was measured.

    First that of the repository (profile gpu has its own, all others read micro's), then that of the build folder.
    """
    kept = repository_ledger("gpu" if name == "gpu" else "micro")
    own = build_dir("claims", name) / "ledger.json"
    for path in (kept, own):
        if path.exists():
            ledger = json.loads(path.read_text(encoding="utf-8"))
            return ledger, about(ledger)
    empty = Room(room_of(name).profile, own.parent / "nothing", seeds=1)
    return ledger_of(empty, list(EVERYTHING.values())), "not measured yet in this version: run `make claims`"


def about(ledger: dict) -> str:
    """How a ledger was measured, and whether that was with the base that is here."""
    machine = ledger["machine"]
    where = machine["gpu"] or f"{machine['cores']} CPU cores"
    said = (
        f"measured {ledger['date']} on {where}, profile {ledger['profile']}: {ledger['seeds']} seeds, "
        f"{ledger['questions_per_split']} open-ended questions per split"
    )
    base = ledger["arms"].get("main", {}).get("base_weights")
    if base and base != weights_hash(MICRO_FOLDER):
        said += "; with another base than the one that is here: `make claims` measures it anew"
    return said


class Answers:
    """Stands in for `ledger.Scores`: answers of models at hand instead of trained arms, one seed."""

    def __init__(self, room: Room) -> None:
        self.room, self.known, self.scores = room, {}, {}

    def facts(self, arm: Arm, view: str, split: str) -> dict[str, dict] | None:
        return self.known.get((view, split))

    def seeds(self, arm: Arm, view: str, split: str, format: str) -> list[dict[str, float]] | None:
        return self.scores.get((arm.name, view, split))


def ask_again(
    claims: Sequence[Claim], models: dict[str, Base], profile: Profile, out: str | Path,
    say: Callable[[str], None] = print,
) -> list[dict]:  # fmt: skip
    """Ask what the claims compare of `models` (arm name to model); rows as in the ledger, from one training.

    Questions are the ledger's bench, `profile.n_bench` of each split; answers are kept in `out`. Raises `InstitError`
    for a claim that needs another arm.
    """
    needs, out = needs_of(claims), Path(out)
    lacking = [name for name in needs if name not in models]
    if lacking:
        raise InstitError(
            f"the arm {lacking[0]!r} is not at hand", cure=f"choose claims that need only {', '.join(models)}"
        )
    out.mkdir(parents=True, exist_ok=True)
    kept = Answers(Room(profile, out, seeds=1))
    for name, asked in needs.items():
        for (view, split), formats in asked.items():
            items = [i for i in items_of(view, split, profile) if i.format in formats]
            say(f"{name}: {len(items)} questions, {split}, {view}")
            answers = answer_and_keep(
                models[name], items, out / f"{name}_{view}_{split}.jsonl", batch=profile.eval_batch,
                blind=view_named(view).blind, progress=False,
            )  # fmt: skip
            kept.known[view, split] = {f["key"]: f for f in facts_of(view, split, items, profile)}
            scores = {item.key: score for item, score in zip(items, marks_of(items, answers))}
            kept.scores[name, view, split] = [scores]
    return [claim_row(kept, claim) for claim in claims]
