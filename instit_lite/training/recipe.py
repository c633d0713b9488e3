"""From a built dataset to samples, and the whole SFT on it. In: dialogues and a folder. Out: samples, an adapter.

The paper's continuous SFT mixes INST-IT dialogues with general data and trains on images and videos jointly. What
asks about the same picture or clip becomes branches of one prefix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..dataset.build import load_dataset
from ..dataset.dialogues import Dialogue, turns_of
from ..dataset.mixing import mix
from ..marks.reader import read_image
from ..model.load import Base, load_base
from ..profiles import Profile
from .collator import Sample
from .sft import SftResult, run_sft

GENERAL_SHARE = 0.35  # of the dialogues; ours, since the paper's counts do not add up
ROOM = 200  # question and answer tokens of one sample: more are spread over several samples
KIND_OF = {"temporal_change": "image", "video_caption": "video", "video_qa": "video"}  # all others: image


class DialogueSamples(Sequence):
    """Samples made from dialogues when they are asked for; pictures are read from `root` and not kept."""

    def __init__(self, base: Base, dialogues: Sequence[Dialogue], root: str | Path, room: int = ROOM) -> None:
        self.root = Path(root)
        turns: dict[tuple, list[tuple[str, str]]] = defaultdict(list)
        for dialogue in dialogues:
            kind = KIND_OF.get(dialogue["kind"], "image" if dialogue["image"] else "text")
            turns[kind, tuple(dialogue["image"])] += turns_of(dialogue)
        self.parts = [(*visual, part) for visual, asked in turns.items() for part in split_turns(base, asked, room)]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Sample:
        kind, paths, turns = self.parts[index]
        frames = np.stack([read_image(self.root / path) for path in paths]) if paths else None
        return Sample(frames, kind, turns)


def split_turns(base: Base, turns: list[tuple[str, str]], room: int) -> list[list[tuple[str, str]]]:
    """Deal turns into parts of at most `room` tokens, evenly filled, so that a short rest does not stand alone."""
    lengths = [len(base.ids(base.template.ask(q) + base.template.answer(a))) for q, a in turns]
    n_parts = max(1, -(-sum(lengths) // room))
    parts: list[list[tuple[str, str]]] = [[] for _ in range(n_parts)]
    filled = [0] * n_parts
    for i in sorted(range(len(turns)), key=lambda i: -lengths[i]):
        least = filled.index(min(filled))
        parts[least].append(turns[i])
        filled[least] += lengths[i]
    return [part for part in parts if part]


def samples_of(
    base: Base, dialogues: Sequence[Dialogue], general: Sequence[Dialogue], root: str | Path, seed: int,
    share: float = GENERAL_SHARE,
) -> DialogueSamples:  # fmt: skip
    """Mix INST-IT dialogues with general ones, of which there are `share`, and make samples of them."""
    return DialogueSamples(base, mix(dialogues, general, share, seed), root)


def train_on_dataset(
    profile: Profile, data: str | Path, out: str | Path, *, seed: int = 0, steps: int | None = None,
    say: Callable[[str], None] = print,
) -> SftResult:  # fmt: skip
    """Continuous SFT of the profile's base on a built dataset; the adapter is `out/adapter`. Resumes after a kill."""
    dataset, base = load_dataset(data), load_base(profile.model)
    samples = samples_of(base, dataset.dialogues, dataset.general, dataset.folder, seed)
    return run_sft(base, samples, profile, out, say=say, seed=seed, steps=steps or profile.sft_steps)
