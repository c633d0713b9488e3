"""Sizes, seeds and places. In: a profile's name. Out: every number that depends on the machine; files written safely.

The three profiles run the same code; only sizes, the model and the source of the data differ.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InstitError


@dataclass(frozen=True)
class Profile:
    """What one profile fixes; counts are items, steps are optimiser steps.

    Of the paper are the clips, images and frames of profile gpu; all other sizes are ours.
    """

    name: str
    n_clips: int  # training clips of the mini dataset
    n_images: int  # training stills of the mini dataset
    n_frames: int  # frames sampled from a clip
    n_general: int  # unmarked general pictures mixed into the SFT
    sft_steps: int
    sft_batch: int  # visual inputs per optimiser step
    lora_rank: int
    n_bench: int  # questions per split of the bench
    eval_batch: int
    model: str  # "micro", or a checkpoint folder or hub id


PROFILES = {
    "smoke": Profile("smoke", 3, 4, 4, 8, 3, 4, 4, 12, 16, "micro"),
    "micro": Profile("micro", 600, 1200, 4, 1000, 1600, 8, 32, 500, 64, "micro"),
    "gpu": Profile("gpu", 21_418, 51_101, 32, 779_289, 10_000, 16, 16, 1_000, 1,
                   "llava-hf/llava-v1.6-vicuna-7b-hf"),
}


def get_profile(name: str) -> Profile:
    """Return the profile called `name`; raise `InstitError` for a name that does not exist."""
    if name not in PROFILES:
        raise InstitError(f"there is no profile {name!r}", cure=f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def repo_root() -> Path:
    """Return the folder that holds `pyproject.toml`, or the current folder outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").exists() else Path.cwd()


def build_dir(*parts: str) -> Path:
    """Return (and create) a folder for generated things: `$INSTIT_BUILD`, or `build/` in the checkout."""
    folder = Path(os.environ.get("INSTIT_BUILD") or repo_root() / "build").joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def seed_everything(seed: int) -> np.random.Generator:
    """Seed Python, NumPy and, where it is already imported, torch; return a NumPy generator."""
    import sys

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    return np.random.default_rng(seed)


def with_block(text: str, begin: str, end: str, new: str, page: Path) -> str:
    """A page's text with `new` between its two comments; raises `InstitError` where one of them is missing."""
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise InstitError("the comments around what is written here are missing", path=page, cure=f"add {begin} and {end}")
    return f"{head}{begin}\n{new}\n{end}{tail}"


def atomic_write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically; see `atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode("utf-8"))


def append_line(path: str | Path, row: dict) -> None:
    """Append a JSON line, apart from one that a kill cut short; it is on disk when this returns."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")
        file.write(json.dumps(row).encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: str | Path) -> list[dict]:
    """Read a file of JSON lines, none where there is no file; what a kill cut short is left out."""
    rows = []
    for line in Path(path).read_bytes().split(b"\n") if Path(path).exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return [row for row in rows if isinstance(row, dict)]
