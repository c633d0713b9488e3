"""What is there and what is missing. In: a profile, a folder, claims. Out: places of files, the jobs that are left.

    data<seed>[-variant]/          a dataset build
    bench/<view>_<split>.json      what scoring needs to know of the bench
    <arm>/seed<k>/                 arm.json, the run's folder, answers_<view>_<split>.jsonl
    costs/<arm>-<repeat>.json      tokens, seconds and memory of a step
    ledger.json                    see `ledger`
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..dataset.build import FORMAT
from ..errors import InstitError
from ..model.load import MICRO_FOLDER, weights_hash
from ..profiles import PROFILES, Profile, build_dir, get_profile, read_lines
from .arms import COARSE, Arm, arm_named, base_folders, missing_base
from .declared import BASELINES, EVERYTHING, Claim, Part
from .views import bench_version

SEEDS = {"smoke": 2, "micro": 3, "gpu": 5}
REPEATS = 3  # of each cost measurement
Need = tuple[str, str]  # a view and a split
STEPS = 600  # of an arm in profile micro
SECONDS_PER_STEP, SECONDS_PER_ANSWER = 0.5, 0.02  # one core, profile micro: for estimates


@dataclass(frozen=True)
class Room:
    """Where a profile's claims are measured, and with how many seeds."""

    profile: Profile
    root: Path
    seeds: int

    def arm_folder(self, arm: Arm, seed: int) -> Path:
        return self.root / arm.name / f"seed{seed}"

    def data_folder(self, arm: Arm, seed: int) -> Path:
        variant = f"-{arm.data}" if arm.data == COARSE else f"-frames{arm.frames}" if arm.frames else ""
        return self.root / f"data{seed}{variant}"

    def card_file(self, arm: Arm, seed: int) -> Path:
        return self.arm_folder(arm, seed) / "arm.json"

    def answers_file(self, arm: Arm, seed: int, view: str, split: str) -> Path:
        return self.arm_folder(arm, seed) / f"answers_{view}_{split}.jsonl"

    def facts_file(self, arm: Arm, view: str, split: str) -> Path:
        shown = f"-{arm.frames or self.profile.n_frames}" if view == "longer" else ""
        return self.root / "bench" / f"{view}{shown}_{split}.json"

    def cost_file(self, name: str, repeat: int) -> Path:
        return self.root / "costs" / f"{name}-{repeat}.json"

    def data_profile(self, arm: Arm) -> Profile:
        """The profile of an arm's dataset: other frames, or as many pictures as the full one, all of them general."""
        p = self.profile
        if arm.data == COARSE:
            return replace(p, n_clips=0, n_images=0, n_general=p.n_general + p.n_images + p.n_clips)
        return replace(p, n_frames=arm.frames or p.n_frames)

    def seeds_of(self, arm: Arm) -> range:
        """A base that is not trained has no seeds."""
        return range(self.seeds if arm.trains else 1)


def claims_profile(name: str) -> Profile:
    """The sizes of a claims run.

    "micro" trains each arm for less than half as long as the notebook does, so that some fifty trainings take hours and
    not days. "gpu" is the micro world again at full length, with a bench of twice the size.
    """
    micro = PROFILES["micro"]
    if name == "micro":
        return replace(micro, sft_steps=STEPS)
    if name == "gpu":
        return replace(micro, name="gpu", n_bench=2 * micro.n_bench, eval_batch=256)
    return get_profile(name)


def room_of(name: str, seeds: int | None = None) -> Room:
    """The room of a profile in the build folder."""
    return Room(claims_profile(name), build_dir("claims", name), seeds or SEEDS[name])


def claims_named(only: Sequence[str] | None) -> list[Claim]:
    """The claims and controls called `only`, all where it is empty; raises `InstitError` for an unknown one."""
    wanted = [name.upper() for name in only or EVERYTHING]
    unknown = [name for name in wanted if name not in EVERYTHING]
    if unknown:
        raise InstitError(f"there is no claim {unknown[0]!r}", cure=f"choose from {', '.join(EVERYTHING)}")
    return [EVERYTHING[name] for name in wanted]


def side_of(side: str) -> tuple[str, str]:
    """Split "arm@view" into both; a side without a view is shown the bench as it is."""
    arm, _, view = side.partition("@")
    return arm, view or "marked"


def no_model(side: str) -> bool:
    """Tell whether a side is a baseline or a number."""
    return side in BASELINES or side[0].isdigit()


def sides(claims: Iterable[Claim]) -> Iterator[tuple[Part, str, str]]:
    """All (part, arm, view) that need a model."""
    for claim in claims:
        for part in claim.parts:
            for side in (part.left, part.right):
                if not no_model(side):
                    yield part, *side_of(side)


def needs_of(claims: Iterable[Claim]) -> dict[str, dict[Need, set[str]]]:
    """What is to be answered by whom: {arm: {(view, split): formats}}."""
    needs: dict[str, dict[Need, set[str]]] = defaultdict(lambda: defaultdict(set))
    for part, arm, view in sides(claims):
        needs[arm][view, part.split].add(part.format)
    return needs


def cost_arms(claims: Iterable[Claim]) -> list[str]:
    """The arms whose costs are compared."""
    return list(dict.fromkeys(side for claim in claims for c in claim.costs for side in (c.left, c.right)))


def identity(room: Room, arm: Arm, seed: int) -> dict:
    """What makes a trained arm this one: other settings, sizes, data or base mean another training."""
    folder = base_folders()[arm.base][0]
    sizes = {k: v for k, v in asdict(room.profile).items() if k not in ("n_bench", "eval_batch")}
    weights = weights_hash(MICRO_FOLDER if folder == "micro" else folder)
    declared = {k: v for k, v in asdict(arm).items() if k not in ("about", "cost")} | {"groups": list(arm.groups)}
    return {"arm": declared, "profile": sizes, "data": FORMAT, "seed": seed, "base": weights}


def read_json(path: Path) -> dict:
    """Read a file that a kill may have left out; an empty dict where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def read_cost(room: Room, arm: Arm, repeat: int) -> dict:
    """A cost that was measured of this very recipe; an empty dict where there is none."""
    found = read_json(room.cost_file(arm.name, repeat))
    return found if same_training(found, room, arm, 0) else {}


def is_trained(room: Room, arm: Arm, seed: int) -> bool:
    """Tell whether an arm is ready as declared, from the base that is there now."""
    return same_training(read_json(room.card_file(arm, seed)), room, arm, seed)


def same_training(card: dict, room: Room, arm: Arm, seed: int) -> bool:
    """Tell whether the card of a finished arm is that of this very training; a base that is not here is not compared."""
    if not card.get("finished"):
        return False
    own = identity(room, arm, seed)
    return card["identity"] == (own | {"base": card["identity"]["base"]} if missing_base(arm) else own)


def read_facts(room: Room, arm: Arm, view: str, split: str) -> list[dict] | None:
    """What is known of the bench's items; None where it was not drawn yet, or drawn by other code or sizes."""
    found = read_json(room.facts_file(arm, view, split))
    return found["items"] if found.get("version") == facts_version(room) else None


def facts_version(room: Room) -> str:
    return f"{bench_version()}-{room.profile.n_bench}-{room.profile.n_frames}"


def read_answers(path: Path) -> dict[tuple[str, str], float]:
    """Scores of kept answers by (key, fingerprint); a line that a kill cut short is left out."""
    rows = [row for row in read_lines(path) if "key" in row]
    return {(row["key"], row["item"]): float(row["verdict"] == "correct") for row in rows}


def said_of(room: Room, arm: Arm, seed: int, view: str, split: str) -> dict[tuple[str, str], float]:
    """Scores of all that an arm answered of a view and split by (key, fingerprint)."""
    return read_answers(room.answers_file(arm, seed, view, split))


def scores_of(
    room: Room, arm: Arm, seed: int, view: str, split: str, formats: Iterable[str]
) -> dict[str, float] | None:
    """Score of each item by its key; None where an answer is missing."""
    facts = read_facts(room, arm, view, split)
    if facts is None:
        return None
    said, wanted = said_of(room, arm, seed, view, split), set(formats)
    asked = {f["key"]: (f["key"], f["item"]) for f in facts if f["format"] in wanted}
    if not all(pair in said for pair in asked.values()):
        return None
    return {key: said[pair] for key, pair in asked.items()}


def is_done(room: Room, arm: Arm, seed: int, needs: dict[Need, set[str]]) -> bool:
    """Tell whether an arm is trained and everything needed of it is answered."""
    if not is_trained(room, arm, seed):
        return False
    return all(scores_of(room, arm, seed, *need, formats) is not None for need, formats in needs.items())


def minutes_of(room: Room, arm: Arm, needs: dict[Need, set[str]]) -> float:
    """Estimated minutes of one seed of an arm on one core."""
    p = room.profile
    steps = (arm.steps + arm.general_first) * p.sft_steps if arm.trains else 0
    answers = sum(p.n_bench * len(formats) for formats in needs.values())
    each = arm.cost / max(1.0, arm.steps + arm.general_first)
    return (steps * each * SECONDS_PER_STEP * p.sft_batch / 8 + answers * SECONDS_PER_ANSWER + 15) / 60


def blocked(names: Iterable[str]) -> dict[str, str]:
    """The arms whose base is missing, and the cure."""
    return {name: why for name in names if (why := missing_base(arm_named(name)))}
