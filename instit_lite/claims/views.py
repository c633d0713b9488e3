"""How the bench is shown at test time. In: a view, a split, a profile. Out: bench items, and what they are without a model.

The one place that knows how `evaluation` draws its bench.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InstitError
from ..evaluation import bench
from ..evaluation.bench import BenchItem, build_bench, majority_answers
from ..evaluation.report import fingerprint
from ..evaluation.score import marks_of
from ..profiles import Profile
from ..scenes.seeds import BENCH_SEED, BENCH_SPAN
from ..scenes.world import Knobs
from .declared import BASELINES, CURVES

CLAIMS_BENCH = BENCH_SEED + BENCH_SPAN  # bench 1: bench 0 is the notebooks', on which the recipe was tuned
LONGER = 2  # the view "longer" asks about clips of twice the profile's frames
MOMENTLESS = ("colour", "shape", "motion", "turns", "who")  # kinds of question that name no timestamp
HARD_SHARE = 0.5  # questions of a difficulty level, against `n_bench`


@dataclass(frozen=True)
class View:
    """`show`: the bench's own view; `blind`: the picture is left out; `knobs`: harder scenes; `longer`: see `LONGER`."""

    show: str = "marked"
    blind: bool = False
    knobs: Knobs | None = None
    longer: bool = False


# Level 0 of each curve is the view "marked".
LEVELS = {
    "occlusion": [Knobs(occlusion=v) for v in (0.35, 0.7, 1.0)],
    "blur": [Knobs(blur=v) for v in (0.01, 0.02, 0.04)],
    "small": [Knobs(size=v) for v in (0.8, 0.6, 0.45)],
    "crowded": [Knobs(n_things=n, crowding=v) for n, v in (((4, 4), 0.2), ((5, 5), 0.4), ((5, 5), 0.7))],
}
VIEWS = {
    **{name: View(name) for name in ("marked", "bare", "permuted", "other_style", "first_frame")},
    "blind": View(blind=True),
    "longer": View(longer=True),
    **{f"{curve}-{i}": View(knobs=k) for curve in CURVES for i, k in enumerate(LEVELS[curve], start=1)},
}


def view_named(name: str) -> View:
    """Return a view; raise `InstitError` for a name that does not exist."""
    if name not in VIEWS:
        raise InstitError(f"there is no view {name!r}", cure=f"choose one of {', '.join(VIEWS)}")
    return VIEWS[name]


def items_of(name: str, split: str, profile: Profile, frames: int | None = None) -> list[BenchItem]:
    """Draw the bench items of one view and split; `frames` of a clip are shown in the view "longer"."""
    view = view_named(name)
    if view.longer:
        return longer_items(profile, split, frames or profile.n_frames)
    if view.knobs is not None:
        profile = replace(profile, n_bench=max(1, round(HARD_SHARE * profile.n_bench)))
    return build_bench(profile, CLAIMS_BENCH, view=view.show, splits=(split,), knobs=view.knobs)


def longer_items(profile: Profile, split: str, frames: int) -> list[BenchItem]:
    """The same questions about clips of `LONGER` times as many frames, of which `frames` are shown, evenly spread.

    What happens between the shown frames is lost: that is what fewer frames cost.
    """
    asked = LONGER * profile.n_frames
    items = build_bench(replace(profile, n_frames=asked), CLAIMS_BENCH, splits=(split,))
    chosen = np.floor((np.arange(frames) + 0.5) * asked / frames).astype(int)
    return [
        replace(item, frames=item.frames[chosen], timestamps=tuple(range(1, frames + 1)))
        for item in items
        if item.kind in MOMENTLESS
    ]


def facts_of(items: Sequence[BenchItem], profile: Profile) -> list[dict]:
    """What scoring needs to know of each item: names, a fingerprint, and what no model gets right."""
    usual = marks_of(items, majority_answers(items, profile, CLAIMS_BENCH))
    rows = []
    for item, majority in zip(items, usual):
        scores = (item.chance, item.chance if item.prior is None else item.prior, majority)
        rows.append({
            "key": item.key, "item": fingerprint(item), "clip": item.clip_id, "kind": item.kind,
            "format": item.format, **dict(zip(BASELINES, map(float, scores))),
        })  # fmt: skip
    return rows


def bench_version() -> str:
    """A hash of the code that draws the bench: facts drawn by other code are drawn again."""
    package = Path(bench.__file__).parents[1]
    rooms = [package / "scenes", package / "marks", package / "evaluation"]
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for file in sorted(f for room in rooms for f in room.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
