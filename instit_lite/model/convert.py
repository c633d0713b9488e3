"""Original LLaVA checkpoints to transformers. In: a folder as INST-IT published it. Out: one for `from_pretrained`.

Every source key goes to one new key and every new key is filled once, with the right shape, or nothing is written.
Weights then stream in shards of about 1 GB. The target appears whole or not at all: until then it is a hidden folder
beside it, where a second run goes on. Pickles (`*.bin`) are never opened: safetensors only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import (
    AutoTokenizer,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerBase,
)

from ..errors import ModelError
from ..profiles import atomic_write_text
from .original import (
    LANGUAGE,
    new_config,
    new_name,
    new_tower_name,
    preprocessor,
    read_json,
    read_original,
    text_config,
)

CARD_FILE = "conversion.json"
INDEX_FILE = "model.safetensors.index.json"
PLACEHOLDERS = ("<image>", "<video>")
TABLES = ("model.language_model.embed_tokens.weight", "lm_head.weight")  # one row a word
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
AGAIN = "download the checkpoint again"


@dataclass(frozen=True)
class Stored:
    """A tensor in the source, as its file's header tells."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Piece:
    """A tensor on its way: where it lies, its new name, shape and torch type."""

    stored: Stored
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def n_bytes(self) -> int:
        """Bytes in the target."""
        return prod(self.shape) * getattr(torch, self.dtype).itemsize


def convert_checkpoint(
    source: str | Path,
    target: str | Path,
    *,
    tower: str | Path | None = None,
    dtype: str | None = None,
    shard_bytes: int = 2**30,
    tell: Callable[[str], None] = print,
) -> Path:
    """Convert an original LLaVA checkpoint folder; returns `target`, ready for `from_pretrained`.

    `tower`: a CLIP or SigLIP folder; its config is then used, and its weights where the checkpoint has none (LLaVA's
    delayed loading). `dtype`: float32, bfloat16 or float16; None keeps each tensor's. `shard_bytes`: size of a
    written shard; with the largest tensor it bounds the memory used. `tell` hears of the progress.
    Raises `ModelError` that names folder, keys and cure. After a kill the same call goes on.
    """
    source, target, tower = Path(source), Path(target), None if tower is None else Path(tower)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError("the target exists already", path=target, cure="name a folder that does not exist")
    original = read_original(source)
    tokenizer, rows = read_tokenizer(source, original)
    config = new_config(source, original, tower, dict(zip(PLACEHOLDERS, placeholder_ids(tokenizer))), rows)
    config.dtype = dtype or original.get("dtype") or original.get("torch_dtype")
    pieces, dropped = match_keys(source, original, tower, config, dtype)
    shards = in_shards(pieces, shard_bytes)
    card = {
        "format": 1, "source": source.name, "template": LANGUAGE[original["architectures"][0]][1],
        "tower": str(original.get("mm_vision_tower")), "video": "2 x 2 bilinear after the projector, no newline",
        "vocabulary": [original["vocab_size"], rows], "dropped": dropped,
        "plan": plan_hash(shards, config),
    }  # fmt: skip
    part = target.with_name(f".{target.name}.part")
    if not (part / CARD_FILE).exists() or read_json(part / CARD_FILE) != card:
        shutil.rmtree(part, ignore_errors=True)
    missing = {name: shard for name, shard in shards.items() if not (part / name).exists()}
    check_room(target, sum(piece.n_bytes for shard in missing.values() for piece in shard))
    write_json(part / CARD_FILE, card)
    tell(f"{len(pieces)} tensors, {len(shards)} shards, {len(shards) - len(missing)} of them written before")
    write_shards(part, missing, tell)
    write_small_files(part, source, original, config, tokenizer, shards)
    os.replace(part, target)
    return target


def read_tokenizer(source: Path, original: dict) -> tuple[PreTrainedTokenizerBase, int]:
    """Read the tokenizer, add `<image>` and `<video>` (the original marks places by id -200), count the tables' rows.

    Qwen2's tables have free rows for the two words. Vicuna's have none and grow to a multiple of 64.
    """
    rows = text_config(original).vocab_size
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, config=text_config(original), local_files_only=True)
        why = f"{len(tokenizer)} words for {rows} rows"  # without its files, a tokenizer is built empty
    except (OSError, ValueError, ImportError, KeyError, TypeError) as problem:
        tokenizer, why = (), str(problem).strip().split("\n")[0]
    if len(tokenizer) < rows // 2:
        cure = "copy its tokenizer files here; a tokenizer.model without tokenizer.json needs `pip install sentencepiece`"
        raise ModelError(f"no fitting tokenizer ({why})", path=source, cure=cure)
    tokenizer.add_tokens([w for w in PLACEHOLDERS if w not in tokenizer.get_vocab()], special_tokens=True)
    needed = max(tokenizer.get_vocab().values()) + 1
    return tokenizer, rows if needed <= rows else -(-needed // 64) * 64


def placeholder_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return tokenizer.convert_tokens_to_ids(list(PLACEHOLDERS))


def headers(folder: Path) -> list[Stored]:
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
                parts = {key: opened.get_slice(key) for key in opened.keys()}
                found += [Stored(file, k, tuple(p.get_shape()), p.get_dtype()) for k, p in parts.items()]
        except (OSError, SafetensorError) as problem:
            raise ModelError(f"missing or cut short ({problem})", path=file, cure=AGAIN) from problem
    stray = set(named.items()) - {(stored.key, stored.file.name) for stored in found}
    refuse(sorted(key for key, _ in stray), "are not where the index says", folder, AGAIN)
    return found


def refuse(keys: list[str], what: str, folder: Path, cure: str) -> None:
    """Raise `ModelError` naming the first keys, if there are any."""
    if keys:
        more = f" and {len(keys) - 6} more" if len(keys) > 6 else ""
        raise ModelError(f"{len(keys)} keys {what}: {', '.join(keys[:6])}{more}", path=folder, cure=cure)


def match_keys(
    source: Path, original: dict, tower: Path | None, config: LlavaOnevisionConfig, dtype: str | None
) -> tuple[list[Piece], list[str]]:
    """Give every source tensor one place and every place one tensor, or raise; also return the keys left out."""
    with torch.device("meta"):
        model = LlavaOnevisionForConditionalGeneration(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    stored = [(new_name(s.key), s) for s in headers(source)]
    own_tower = any(s.key.startswith("model.vision_tower.") for _, s in stored)
    if tower is not None and not own_tower:
        stored += [(new_tower_name(s.key, config), s) for s in headers(tower)]
    if config.tie_word_embeddings:  # one table serves as both; a copy of it may be stored
        del shapes["lm_head.weight"]
        check_tied(source, [s for name, s in stored if name in TABLES])
        stored = [(None if name == "lm_head.weight" else name, s) for name, s in stored]
    places: dict[str, list[Stored]] = {}
    for name, s in stored:
        if name is not None:
            places.setdefault(name, []).append(s)
    unknown = [s.key for name, many in places.items() if name not in shapes for s in many]
    refuse(unknown, "have no place in the new layout", source, "give an unchanged checkpoint and the tower it names")
    refuse([s.key for many in places.values() if len(many) > 1 for s in many], "claim one place", source, AGAIN)
    cure = AGAIN if own_tower or tower else "give the folder of the vision tower with --tower"
    refuse(sorted(set(shapes) - set(places)), "of the new layout have no source", source, cure)
    wrong, coded, pieces = [], [], []
    for name, (s,) in places.items():
        expected = (original["vocab_size"], *shapes[name][1:]) if name in TABLES else shapes[name]
        wrong += [f"{s.key} {list(s.shape)}, not {list(expected)}"] if s.shape != expected else []
        coded += [f"{s.key} {s.dtype}"] if s.dtype not in DTYPES else []
        pieces.append(Piece(s, name, shapes[name], dtype or DTYPES.get(s.dtype, "float32")))
    refuse(wrong, "have the wrong shape", source, "let config.json, tower and weights be of one model")
    refuse(coded, "are not plain floats", source, "give a checkpoint that is not quantised")
    return pieces, sorted(s.key for name, s in stored if name is None)


def check_tied(source: Path, tables: list[Stored]) -> None:
    """Refuse a checkpoint whose config says that input and output table are one, when two different ones are stored."""
    with ExitStack() as stack:
        both = [stack.enter_context(safe_open(s.file, "pt")).get_tensor(s.key) for s in tables]
        if len(both) == 2 and not torch.equal(*both):
            cure = "set tie_word_embeddings to false in its config.json"
            raise ModelError("lm_head.weight differs from embed_tokens, yet they are tied", path=source, cure=cure)


def in_shards(pieces: list[Piece], shard_bytes: int) -> dict[str, list[Piece]]:
    """Cut the pieces, in reading order, into shards of at most `shard_bytes` (or one tensor)."""
    shards: list[list[Piece]] = [[]]
    for piece in pieces:
        if shards[-1] and sum(p.n_bytes for p in shards[-1]) + piece.n_bytes > shard_bytes:
            shards.append([])
        shards[-1].append(piece)
    return {f"model-{i:05}-of-{len(shards):05}.safetensors": shard for i, shard in enumerate(shards, 1)}


def plan_hash(shards: dict[str, list[Piece]], config: LlavaOnevisionConfig) -> str:
    """Hash of what will be written and from what, so that a second run never goes on with another one's shards."""
    files = sorted({piece.stored.file for shard in shards.values() for piece in shard})
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    text = json.dumps([states, repr(shards), config.to_dict()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_room(target: Path, n_bytes: int) -> None:
    """Raise `ModelError` before anything is written, unless `n_bytes` and a little more are free."""
    here = next(folder for folder in target.absolute().parents if folder.exists())
    free, needed = shutil.disk_usage(here).free, n_bytes + 2**26
    if free < needed:
        reason = f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        raise ModelError(reason, path=here, cure="free some space or write to another disk")


def write_shards(part: Path, shards: dict[str, list[Piece]], tell: Callable[[str], None]) -> None:
    """Stream the tensors; a shard has its name only when it is whole and on disk."""
    started, done = time.monotonic(), 0
    total = sum(piece.n_bytes for shard in shards.values() for piece in shard)
    for name, shard in shards.items():
        partial = part / f".{name}.tmp"
        try:
            with ExitStack() as stack:  # closed after each shard, which gives the mapped pages back
                files = {piece.stored.file for piece in shard}
                opened = {file: stack.enter_context(safe_open(file, "pt")) for file in files}
                tensors = {p.name: fitted(p, opened[p.stored.file].get_tensor(p.stored.key)) for p in shard}
                save_file(tensors, partial, metadata={"format": "pt"})
                del tensors
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
        except (OSError, SafetensorError) as problem:
            cure = "mend that and run the same again: finished shards are kept"
            raise ModelError(f"cannot be written ({problem})", path=part / name, cure=cure) from problem
        os.replace(partial, part / name)
        done += sum(piece.n_bytes for piece in shard)
        tell(f"{name}: {done / total:.0%} of {total / 1e9:.2f} GB, {time.monotonic() - started:.0f} s")


def fitted(piece: Piece, tensor: torch.Tensor) -> torch.Tensor:
    """Cast one tensor, and add rows for new words; refuse values that are not finite.

    New rows are the mean of all: their logit is the mean logit, so greedy decoding never says `<image>`.
    """
    if piece.shape != tuple(tensor.shape):
        mean = tensor.mean(0, keepdim=True, dtype=torch.float32).to(tensor.dtype)
        tensor = torch.cat([tensor, mean.expand(piece.shape[0] - len(tensor), -1)])
    tensor = tensor.to(getattr(torch, piece.dtype)).contiguous()
    if not torch.isfinite(torch.stack(torch.aminmax(tensor))).all():
        cure = "choose --dtype bfloat16 or float32; if that does not help, " + AGAIN
        raise ModelError(f"{piece.stored.key} is not finite as {piece.dtype}", path=piece.stored.file, cure=cure)
    return tensor


def write_small_files(
    part: Path, source: Path, original: dict, config: LlavaOnevisionConfig,
    tokenizer: PreTrainedTokenizerBase, shards: dict[str, list[Piece]],
) -> None:
    """Write index, configs, image processor and tokenizer. Decoding is greedy, as in INST-IT's evaluation."""  # fmt: skip
    pieces = [(piece, name) for name, shard in shards.items() for piece in shard]
    sizes = {"total_size": sum(piece.n_bytes for piece, _ in pieces)}
    write_json(part / INDEX_FILE, {"metadata": sizes, "weight_map": {piece.name: name for piece, name in pieces}})
    tokenizer.save_pretrained(part)
    config.save_pretrained(part)
    write_json(part / "preprocessor_config.json", preprocessor(config))
    generation = source / "generation_config.json"
    said = original | (read_json(generation) if generation.exists() else {})
    ids = {key: said[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if said.get(key) is not None}
    write_json(part / "generation_config.json", {"do_sample": False, **ids})


def write_json(path: Path, content: dict) -> None:
    atomic_write_text(path, json.dumps(content, indent=1) + "\n")
