"""What is trained, on what. In: nothing. Out: the arms by name, and where their bases lie.

An arm is trained once per seed and serves many claims. The seed chooses the dataset build, the mix and the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InstitError
from ..profiles import build_dir

ALL_GROUPS = (1, 2, 3, 4)  # lines of the paper's Table 7
FULL, COARSE = "full", "coarse"


@dataclass(frozen=True)
class Arm:
    """One way of training, in units of the profile.

    `trains`: False is a base as it is. `groups`: INST-IT's groups of data beside general data; none means general
    data only. `general`: share of general samples, None means the recipe's. `data`: "full" is the mini dataset,
    "coarse" as many pictures, all unmarked. `frames`: per clip, None means the profile's. `pooled`: whether video is
    pooled 2 x 2. `tuned`: "later half", "all" or "none" of the encoder. `steps` and, before them, `general_first` on
    general data alone: in the profile's SFT steps. `cost`: minutes of an arm against those of `main`, an estimate.
    """

    name: str
    about: str
    base: str = "micro"
    trains: bool = True
    groups: tuple[int, ...] = ALL_GROUPS
    general: float | None = None
    data: str = FULL
    frames: int | None = None
    pooled: bool = True
    tuned: str = "later half"
    packing: str = "shared_prefix"
    nf4: bool = True
    steps: float = 1.0
    general_first: float = 0.0
    cost: float = 1.0


# fmt: off
ARMS = {arm.name: arm for arm in (
    Arm("base", "the base as it is", trains=False),
    Arm("large", "the larger base as it is", base="large", trains=False),
    Arm("main", "the full recipe"),
    Arm("general_only", "as long, on general data only", groups=()),
    Arm("coarse", "as long, on as many pictures, all unmarked", groups=(), data=COARSE),
    Arm("groups1", "general data, instance and image captions of frames", groups=(1,)),
    Arm("groups2", "and temporal differences", groups=(1, 2)),
    Arm("groups3", "and video descriptions and questions", groups=(1, 2, 3)),
    Arm("encoder_all", "all encoder layers tuned", tuned="all", cost=1.2),
    Arm("encoder_none", "no encoder layer tuned", tuned="none", cost=0.8),
    # The same amount of each kind of data, in another order: 0.6 is half of 1 (first) and 0.2 (the recipe's share).
    Arm("direct", "from an earlier base: everything mixed from there on", base="earlier", steps=1.5, general=0.6,
        nf4=False, cost=1.5),
    Arm("continuous", "from an earlier base: general data first, the recipe after", base="earlier", general_first=0.75,
        steps=0.75, nf4=False, cost=1.5),
    Arm("unpooled", "every frame keeps its whole grid", pooled=False, cost=1.5),
    Arm("multi_turn", "each question sees the answers before it", packing="multi_turn"),
    Arm("frames2", "half the frames per clip", frames=2, cost=0.9),
    Arm("frames8", "twice the frames per clip", frames=8, cost=1.3),
    Arm("frames2_whole", "half the frames, whole grids: as many tokens as frames8", frames=2, pooled=False, cost=1.2),
)}
# fmt: on


def base_folders() -> dict[str, tuple[str | Path, str]]:
    """Where the bases lie and what makes them: {name: (folder, or "micro" for the shipped one, command)}."""
    pretrain = build_dir("pretrain")
    return {
        "micro": ("micro", "make pretrain"),
        "large": (pretrain / "large" / "out", "make pretrain SIZE=large"),
        "earlier": (pretrain / "earlier" / "out", "make pretrain SIZE=earlier"),
    }


def missing_base(arm: Arm) -> str:
    """Say why an arm cannot run and which command cures it; empty where its base is there."""
    folder, command = base_folders()[arm.base]
    if folder == "micro" or (Path(folder) / "config.json").exists():
        return ""
    return f"the base {arm.base!r} is not in {folder}: run `{command}`"


def arm_named(name: str) -> Arm:
    """Return an arm; raise `InstitError` for a name that does not exist."""
    if name not in ARMS:
        raise InstitError(f"there is no arm {name!r}", cure=f"choose one of {', '.join(ARMS)}")
    return ARMS[name]
