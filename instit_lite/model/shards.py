"""Checkpoints larger than memory. In: tensors in safetensors files, what becomes of each. Out: a new folder.

Tensors stream in shards of about 1 GB. The folder appears whole or not at all: until then it is a hidden one
beside its place, where a second run goes on. Pickles (`*.bin`) are never opened: safetensors only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import ModelError
from ..profiles import atomic_write_text
from .original import read_json

INDEX_FILE = "model.safetensors.index.json"
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
AGAIN = "download the checkpoint again"


@dataclass(frozen=True)
class Piece:
    """One tensor on its way: file and key; shape and type to write; its new name, None if it is left out."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str
    name: str | None = None

    @property
    def n_bytes(self) -> int:
        return prod(self.shape) * getattr(torch, self.dtype).itemsize


Make = Callable[[Piece, torch.Tensor], torch.Tensor]  # what becomes of a stored tensor
Tell = Callable[[str], None]


def check_new(target: Path) -> None:
    """Raise `ModelError` where a folder to be written holds something already."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError("the target exists already", path=target, cure="name a folder that does not exist")


def headers(folder: Path) -> list[Piece]:
    """List every tensor of a folder's safetensors; only headers are read."""
    index = folder / INDEX_FILE
    named = read_json(index).get("weight_map", {}) if index.exists() else {}
    files = sorted({folder / name for name in named.values()} or folder.glob("*.safetensors"))
    if not files:
        pickled = any(folder.glob("*.bin"))
        reason = "its weights are pickles, which can run code" if pickled else "there are no weights here"
        raise ModelError(reason, path=folder, cure="download the *.safetensors files")
    found = []
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                for key in opened.keys():
                    stored = opened.get_slice(key)
                    dtype = DTYPES.get(stored.get_dtype(), stored.get_dtype())
                    found.append(Piece(file, key, tuple(stored.get_shape()), dtype))
        except (OSError, SafetensorError) as problem:
            raise ModelError(f"missing or cut short ({problem})", path=file, cure=AGAIN) from problem
    stray = set(named.items()) - {(piece.key, piece.file.name) for piece in found}
    refuse(sorted(key for key, _ in stray), "are not where the index says", folder, AGAIN)
    return found


def refuse(keys: list[str], what: str, folder: Path, cure: str) -> None:
    """Raise `ModelError` naming the first keys, if there are any."""
    if keys:
        more = f" and {len(keys) - 6} more" if len(keys) > 6 else ""
        raise ModelError(f"{len(keys)} keys {what}: {', '.join(keys[:6])}{more}", path=folder, cure=cure)


def check_places(pieces: list[Piece], shapes: dict[str, tuple[int, ...]], folder: Path, cure: str) -> None:
    """Raise `ModelError` unless every name of `shapes` is that of one piece, of that shape and in plain floats."""
    coded = [f"{p.key} {p.dtype}" for p in pieces if p.dtype not in DTYPES.values()]
    refuse(coded, "are not plain floats", folder, "give a checkpoint that is not quantised")
    names = Counter(piece.name for piece in pieces)
    refuse([p.key for p in pieces if names[p.name] > 1], "claim one place", folder, AGAIN)
    refuse(sorted(shapes.keys() - names.keys()), "of the model have no source", folder, cure)
    wrong = [f"{p.key} {[*p.shape]}, not {[*shapes[p.name]]}" for p in pieces if p.shape != shapes[p.name]]
    refuse(wrong, "have the wrong shape", folder, "let config.json, tower and weights be of one model")


def stored_as(piece: Piece, tensor: torch.Tensor, path: Path, cure: str) -> torch.Tensor:
    """Round a tensor to its piece's type; raise `ModelError` where a value does not fit into that."""
    tensor = tensor.to(getattr(torch, piece.dtype)).contiguous()
    if not torch.isfinite(torch.stack(torch.aminmax(tensor))).all():
        raise ModelError(f"{piece.key} is not finite as {piece.dtype}", path=path, cure=cure)
    return tensor


def in_shards(pieces: list[Piece], shard_bytes: int) -> dict[str, list[Piece]]:
    """Cut the pieces, in reading order, into shards of at most `shard_bytes` (or one tensor)."""
    shards: list[list[Piece]] = [[]]
    for piece in pieces:
        if shards[-1] and size_of([*shards[-1], piece]) > shard_bytes:
            shards.append([])
        shards[-1].append(piece)
    return {f"model-{i:05}-of-{len(shards):05}.safetensors": shard for i, shard in enumerate(shards, 1)}


def size_of(*shards: list[Piece]) -> int:
    return sum(piece.n_bytes for shard in shards for piece in shard)


def write_checkpoint(
    target: Path, card_file: str, card: dict, pieces: list[Piece], shard_bytes: int, make: Make,
    finish: Callable[[Path], None], tell: Tell,
) -> Path:  # fmt: skip
    """Write pieces in shards, their index and what `finish` adds to the folder; return `target`.

    `card` says what is made from what, and is kept as `card_file`. After a kill, a call with the same card and pieces
    goes on behind the shards that are finished; another one starts anew.
    """
    part, shards = target.with_name(f".{target.name}.part"), in_shards(pieces, shard_bytes)
    card = card | {"plan": plan_hash(shards)}
    if not (part / card_file).exists() or read_json(part / card_file) != card:
        shutil.rmtree(part, ignore_errors=True)  # of another plan, or nothing
    missing = {name: shard for name, shard in shards.items() if not (part / name).exists()}
    check_room(target, size_of(*missing.values()))
    write_json(part / card_file, card)
    total = sum(map(len, shards.values()))
    tell(f"{total} tensors, {len(shards)} shards, {len(shards) - len(missing)} of them written before")
    write_shards(part, missing, make, tell)
    weight_map = {piece.name: name for name, shard in shards.items() for piece in shard}
    index = {"metadata": {"total_size": size_of(*shards.values())}, "weight_map": weight_map}
    write_json(part / INDEX_FILE, index)
    finish(part)
    os.replace(part, target)
    return target


def check_room(target: Path, n_bytes: int) -> None:
    """Raise `ModelError` before anything is written, unless `n_bytes` and a little more are free."""
    here = next(folder for folder in target.absolute().parents if folder.exists())
    free, needed = shutil.disk_usage(here).free, n_bytes + 2**26
    if free < needed:
        reason = f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        raise ModelError(reason, path=here, cure="free some space or write to another disk")


def write_shards(part: Path, shards: dict[str, list[Piece]], make: Make, tell: Tell) -> None:
    """Stream the tensors; a shard gets its name only when it is whole and on disk."""
    started, done, total = time.monotonic(), 0, size_of(*shards.values())
    for name, shard in shards.items():
        partial = part / f".{name}.tmp"
        try:
            with ExitStack() as stack:  # closed after each shard, which gives the mapped pages back
                opened = {f: stack.enter_context(safe_open(f, "pt")) for f in {piece.file for piece in shard}}
                tensors = {p.name: make(p, opened[p.file].get_tensor(p.key)) for p in shard}
                save_file(tensors, partial, metadata={"format": "pt"})
                del tensors
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, part / name)
        except (OSError, SafetensorError) as problem:
            cure = "mend that and run the same again: finished shards are kept"
            raise ModelError(f"cannot be written ({problem})", path=part / name, cure=cure) from problem
        done += size_of(shard)
        tell(f"{name}: {done / total:.0%} of {total / 1e9:.2f} GB, {time.monotonic() - started:.0f} s")


def plan_hash(shards: dict[str, list[Piece]]) -> str:
    """Hash of what will be written and from what, so that a run never goes on with another plan's shards."""
    states = [p.file.stat() for shard in shards.values() for p in shard]
    text = json.dumps([[(s.st_size, s.st_mtime_ns) for s in states], repr(shards)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: Path, content: dict) -> None:
    atomic_write_text(path, json.dumps(content, indent=1) + "\n")
