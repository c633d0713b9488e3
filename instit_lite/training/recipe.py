"""From a built dataset to samples, and the whole SFT on it. In: dialogues and a folder. Out: samples, an adapter.

The paper's continuous SFT mixes INST-IT dialogues with general data and trains on images and videos jointly. The turns
of a dialogue become branches of one prefix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..dataset.build import load_dataset
from ..dataset.dialogues import Dialogue, turns_of
from ..marks.reader import read_image
from ..model.load import Base, load_base
from ..profiles import Profile
from .collator import Sample
from .fit import real_options
from .processes import processes
from .sft import SftResult, run_sft

ROOM = 110  # question and answer tokens of one sample: more are spread over several samples
# Shares of the samples by kind of dialogue. Ours: the paper's counts do not add up, and by number of dialogues the
# frames and changes of clips would be half of all.
SHARES = {
    "general": 0.20, "image_qa": 0.26, "image": 0.03, "video_qa": 0.42, "video_caption": 0.04, "frame": 0.02,
    "temporal_change": 0.03,
}  # fmt: skip
VIDEO = ("video_qa", "video_caption")  # shown pooled, as clips; two frames of a change are two pictures


Turns = list[tuple[str, str]]
Part = tuple[str, tuple[str, ...], Turns]  # kind of dialogue, paths of its pictures, questions and answers


class DialogueSamples(Sequence):
    """Samples made from parts of dialogues when they are asked for; pictures are read from `root` and not kept.

    `marked`: whether INST-IT's pictures carry marks; general ones never do.
    """

    def __init__(self, root: str | Path, parts: Sequence[Part], marked: bool = True) -> None:
        self.root, self.parts, self.marked = Path(root), parts, marked

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Sample:
        kind, paths, turns = self.parts[index]
        frames = np.stack([read_image(self.root / path) for path in paths]) if paths else None
        marked = self.marked and kind != "general"
        return Sample(frames, shown_as(kind, len(paths)), turns, marked=marked)


def shown_as(kind: str, n_pictures: int) -> str:
    """What the collator calls a dialogue's visual input: "text", "image" or "video"."""
    return "text" if not n_pictures else "video" if kind in VIDEO else "image"


def parts_of(base: Base, dialogues: Sequence[Dialogue], room: int = ROOM) -> list[Part]:
    """Divide dialogues into parts of at most `room` tokens, each with its pictures."""
    return [
        (d["kind"], tuple(d["image"]), part) for d in dialogues for part in split_turns(base, turns_of(d), room)
    ]


def draw_parts(parts: Sequence[Part], n: int, seed: int, general: float | None = None) -> list[Part]:
    """Draw about `n` parts in the shares of `SHARES`; each is used once before any is used again.

    `general`: another share for general data, the others keeping theirs among each other.
    """
    rng = np.random.default_rng(seed)
    own: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        own[part[0]].append(part)
    shares = {kind: SHARES[kind] for kind in own}
    if general is not None and len(own) > 1:
        rest = sum(shares.values()) - shares["general"]
        shares["general"] = rest * general / (1 - general)
    total = sum(shares.values())
    drawn: list[Part] = []
    for kind, found in own.items():
        count = max(1, round(n * shares[kind] / total))
        rounds = [rng.permutation(len(found)) for _ in range(-(-count // len(found)))]
        drawn += [found[i] for i in np.concatenate(rounds)[:count]]
    return [drawn[i] for i in rng.permutation(len(drawn))]


def split_turns(base: Base, turns: Turns, room: int) -> list[Turns]:
    """Deal turns into parts of at most `room` tokens, evenly filled, so that a short rest does not stand alone."""
    lengths = [len(base.ids(base.template.ask(q) + base.template.answer(a))) for q, a in turns]
    n_parts = max(1, -(-sum(lengths) // room))
    parts: list[Turns] = [[] for _ in range(n_parts)]
    filled = [0] * n_parts
    for i in sorted(range(len(turns)), key=lambda i: -lengths[i]):
        least = filled.index(min(filled))
        parts[least].append(turns[i])
        filled[least] += lengths[i]
    return [part for part in parts if part]


def samples_of(
    base: Base, dialogues: Sequence[Dialogue], general: Sequence[Dialogue], root: str | Path, n: int, seed: int,
    share: float | None = None,
) -> DialogueSamples:  # fmt: skip
    """Make about `n` samples of INST-IT dialogues and general ones, mixed by `SHARES`; `share`: of the general ones."""
    return DialogueSamples(root, draw_parts(parts_of(base, [*dialogues, *general]), n, seed, share))


def train_on_dataset(
    profile: Profile, data: str | Path, out: str | Path, *, seed: int = 0, steps: int | None = None,
    tensorboard: bool = False, say: Callable[[str], None] = print,
) -> SftResult:  # fmt: skip
    """Continuous SFT of the profile's base on a built dataset; the adapter is `out/adapter`. Resumes after a kill."""
    dataset, base = load_dataset(data), load_base(profile.model, **processes().place)
    steps = steps or profile.sft_steps
    n = steps * profile.sft_batch
    samples = samples_of(base, dataset.dialogues, dataset.general, dataset.folder, n, seed)
    own = real_options(base, profile, say) | {"tensorboard": tensorboard}
    return run_sft(base, samples, profile, out, say=say, seed=seed, steps=steps, **own)
