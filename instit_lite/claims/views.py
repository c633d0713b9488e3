"""How the bench is shown at test time. In: a view, a split, a profile. Out: items, and what no model gets right.

The one place that knows how `evaluation` draws its bench.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ..errors import InstitError
from ..evaluation import bench
from ..evaluation.bench import build_bench
from ..evaluation.chance import majority_answers
from ..evaluation.difficulty import LEVELS, frame_benches, level_items
from ..evaluation.item import BenchItem, asked, fingerprint
from ..evaluation.score import marks_of
from ..profiles import Profile
from ..scenes.seeds import BENCH_SEED, BENCH_SPAN
from .declared import BASELINES, CURVES

CLAIMS_BENCH = BENCH_SEED + BENCH_SPAN  # bench 1: bench 0 is the notebooks', on which the recipe was tuned
LONGER = 2  # the view "longer" asks about clips of twice the profile's frames
DRAWN_BY = ("bench", "chance", "difficulty", "item", "pictures")  # of the room `evaluation`, whose rest reads answers
HARD_SHARE = 0.5  # questions of a difficulty level, against `n_bench`


@dataclass(frozen=True)
class View:
    """One way to show the bench.

    `show`: its own view. `blind`: the picture is left out. `as_drawn`: right is what the drawn ids say. `curve`,
    `level`: harder scenes. `longer`: questions true of the whole clip, see `LONGER`.
    """

    show: str = "marked"
    blind: bool = False
    as_drawn: bool = False
    curve: str = ""
    level: int = 0
    longer: bool = False


VIEWS = {
    **{name: View(name) for name in ("marked", "bare", "permuted", "other_style", "first_frame")},
    "as_drawn": View("permuted", as_drawn=True),
    "blind": View(blind=True),
    "longer": View(longer=True),
    **{f"{curve}-{i}": View(curve=curve, level=i) for curve in CURVES for i in range(len(LEVELS[curve]))},
}


def view_named(name: str) -> View:
    """Return a view; raise `InstitError` for a name that does not exist."""
    if name not in VIEWS:
        raise InstitError(f"there is no view {name!r}", cure=f"choose one of {', '.join(VIEWS)}")
    return VIEWS[name]


def items_of(name: str, split: str, profile: Profile, frames: int | None = None) -> list[BenchItem]:
    """Draw the bench items of one view and split; `frames` of a clip are shown in the view "longer"."""
    view, shown = view_named(name), frames or profile.n_frames
    if view.longer:
        return frame_benches(profile, CLAIMS_BENCH, counts=(shown, LONGER * profile.n_frames))[shown]
    if view.curve:
        fewer = replace(profile, n_bench=max(1, round(HARD_SHARE * profile.n_bench)))
        return level_items(fewer, CLAIMS_BENCH, LEVELS[view.curve][view.level])
    items = build_bench(profile, CLAIMS_BENCH, view=view.show, splits=(split,))
    if view.as_drawn:
        return [replace(item, answer=item.as_drawn) for item in items if item.as_drawn is not None]
    return items


def facts_of(name: str, split: str, items: Sequence[BenchItem], profile: Profile) -> list[dict]:
    """What scoring needs to know of each item of a view: names, fingerprints, and what no model gets right.

    `majority` is None where the questions are not those of the bench as it is.
    """
    view, rows = view_named(name), []
    usual = {} if view.curve or view.longer or view.as_drawn else majority_of(split, profile)
    for item in items:
        scores = (item.chance, item.chance if item.prior is None else item.prior, usual.get(item.key))
        rows.append({
            "key": item.key, "item": fingerprint(item), "asked": asked(item), "clip": item.clip_id, "kind": item.kind,
            "format": item.format, **dict(zip(BASELINES, scores)),
        })  # fmt: skip
    return rows


@lru_cache
def majority_of(split: str, profile: Profile) -> dict[str, float]:
    """Score of the most usual answer by item key; the same in every view that asks the same."""
    items = build_bench(profile, CLAIMS_BENCH, splits=(split,))
    scores = marks_of(items, majority_answers(items, profile, CLAIMS_BENCH))
    return {item.key: score for item, score in zip(items, scores)}


@lru_cache
def bench_version() -> str:
    """A hash of the code that draws the bench: facts drawn by other code are drawn again."""
    package = Path(bench.__file__).parents[1]
    files = sorted(f for room in ("scenes", "marks") for f in (package / room).glob("*.py"))
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for file in [*files, *(package / "evaluation" / f"{name}.py" for name in DRAWN_BY)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
