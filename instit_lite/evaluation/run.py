"""The whole evaluation. In: a profile, a base, an adapter. Out: answers kept as they arrive, and the score table.

Runs, in the table's order: majority (no model), blind (after SFT, no picture), no marks (after SFT, the same frames
without marks), base (before SFT), after SFT. The last two are compared question by question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..model.adapter import adapter_folder, load_adapter, read_card
from ..model.load import Base
from ..model.options import card_options
from ..profiles import Profile
from ..scenes.seeds import BENCH_SEED, BENCH_SPAN
from ..training.stage import load_to_ask
from .bench import build_bench
from .chance import majority_answers
from .item import BenchItem
from .report import AFTER, BEFORE, answer_and_keep, format_table, save_result, score_table

NO_MARKS = "no marks"


@dataclass(frozen=True)
class Evaluation:
    """The bench, the answers of each run in the order of `items`, and the table."""

    items: list[BenchItem]
    runs: dict[str, list[str]]
    table: dict


def evaluate(
    profile: Profile, before: Base, after: Base, out: str | Path, *, seed: int = 0, progress: bool = True,
    say: Callable[[str], None] = print,
) -> Evaluation:  # fmt: skip
    """Answer and score bench number `seed` with both models; answers of a killed run are not asked again.

    Writes `out/predictions_*.jsonl` and the table `out/scores.json`.
    """
    out, first = Path(out), BENCH_SEED + seed * BENCH_SPAN
    out.mkdir(parents=True, exist_ok=True)
    say("drawing the bench, with and without marks")
    items = build_bench(profile, first)
    bare = build_bench(profile, first, view="bare")

    def run(name: str, base: Base, shown: list[BenchItem], blind: bool = False) -> list[str]:
        say(f"answering: {name}")
        file = out / f"predictions_{name.replace(' ', '_')}.jsonl"
        return answer_and_keep(base, shown, file, batch=profile.eval_batch, blind=blind, progress=progress)

    runs = {
        "majority": majority_answers(items, profile, first),
        "blind": run("blind", after, items, blind=True),
        NO_MARKS: run(NO_MARKS, after, bare),
        BEFORE: run(BEFORE, before, items),
        AFTER: run(AFTER, after, items),
    }
    table = score_table(items, runs, title=f"Micro bench {seed}, profile {profile.name}")
    save_result(table, out / "scores.json")
    return Evaluation(items, runs, table)


def evaluate_adapter(profile: Profile, adapter: str | Path, out: str | Path, seed: int = 0) -> str:
    """Score the profile's base and the adapter on top of it; return the table as text."""
    folder = adapter_folder(adapter)
    options = card_options(read_card(folder))  # a wrong folder is refused before anything is loaded
    after = load_adapter(load_to_ask(profile.model, **options), folder)
    return format_table(evaluate(profile, load_to_ask(profile.model, **options), after, out, seed=seed).table)
