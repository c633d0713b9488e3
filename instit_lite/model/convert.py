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
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration, PreTrainedConfig
from transformers import PreTrainedTokenizerBase as Tokenizer

from ..errors import ModelError
from ..profiles import atomic_write_text
from . import original as layout

CARD_FILE, INDEX_FILE = "conversion.json", "model.safetensors.index.json"
PLACEHOLDERS = ("<image>", "<video>")
TABLES = ("model.language_model.embed_tokens.weight", "lm_head.weight")  # one row a word
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
AGAIN = "download the checkpoint again"


@dataclass(frozen=True)
class Piece:
    """One tensor on its way: file and key; shape and type to write; its new name, None where it is left out."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str
    name: str | None = None

    @property
    def n_bytes(self) -> int:
        return prod(self.shape) * getattr(torch, self.dtype).itemsize


def convert_checkpoint(
    source: str | Path, target: str | Path, *, tower: str | Path | None = None, dtype: str | None = None,
    shard_bytes: int = 2**30, tell: Callable[[str], None] = print,
) -> Path:  # fmt: skip
    """Convert an original LLaVA checkpoint folder; returns `target`, ready for `from_pretrained`.

    `tower`: a CLIP or SigLIP folder; its config is then used, and its weights where the checkpoint has none (LLaVA's
    delayed loading). `dtype`: float32, bfloat16 or float16; None keeps each tensor's. `shard_bytes`: size of a
    written shard; with the largest tensor it bounds the memory used. `tell` hears of the progress.
    Raises `ModelError` that names folder, keys and cure. After a kill the same call goes on.
    """
    source, target, tower = Path(source), Path(target), Path(tower) if tower else None
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError("the target exists already", path=target, cure="name a folder that does not exist")
    original = layout.read_original(source)
    tokenizer, rows = read_tokenizer(source, original)
    ids = {word: tokenizer.convert_tokens_to_ids(word) for word in PLACEHOLDERS}
    config = layout.new_config(source, original, tower, ids, rows)
    config.dtype = dtype or original.get("dtype") or original.get("torch_dtype")
    pieces, dropped = match_keys(source, original["vocab_size"], tower, config)
    shards = in_shards([replace(p, dtype=dtype or p.dtype) for p in pieces], shard_bytes)
    part = target.with_name(f".{target.name}.part")
    card = {
        "format": 1, "source": source.name, "template": layout.LANGUAGE[original["architectures"][0]][1],
        "tower": str(original.get("mm_vision_tower")), "video": "2 x 2 bilinear after the projector, no newline",
        "vocabulary": [original["vocab_size"], rows], "dropped": dropped, "plan": plan_hash(shards, config),
    }  # fmt: skip
    if not (part / CARD_FILE).exists() or layout.read_json(part / CARD_FILE) != card:
        shutil.rmtree(part, ignore_errors=True)  # of another plan, or nothing
    missing = {name: shard for name, shard in shards.items() if not (part / name).exists()}
    check_room(target, size_of(*missing.values()))
    write_json(part / CARD_FILE, card)
    tell(f"{len(pieces)} tensors, {len(shards)} shards, {len(shards) - len(missing)} of them written before")
    write_shards(part, missing, tell)
    tokenizer.save_pretrained(part)
    config.save_pretrained(part)
    write_json(part / "preprocessor_config.json", layout.preprocessor(config))
    write_json(part / "generation_config.json", greedy(source, original))
    weight_map = {piece.name: name for name, shard in shards.items() for piece in shard}
    write_json(part / INDEX_FILE, {"metadata": {"total_size": size_of(*shards.values())}, "weight_map": weight_map})
    os.replace(part, target)
    return target


def read_tokenizer(source: Path, original: dict) -> tuple[Tokenizer, int]:
    """Read the tokenizer, add `<image>` and `<video>` (the original marks places by id -200), count the tables' rows.

    Qwen2's tables have free rows for the two words. Vicuna's have none and grow to a multiple of 64.
    """
    text = layout.text_config(original)
    rows = text.vocab_size
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, config=text)
        why = f"{len(tokenizer)} words for {rows} rows"  # without its files, a tokenizer is built empty
    except (OSError, ValueError, ImportError, KeyError, TypeError) as problem:
        tokenizer, why = (), str(problem).strip().split("\n")[0]
    if len(tokenizer) < rows // 2:
        cure = "copy its tokenizer files here; tokenizer.model alone needs `pip install sentencepiece protobuf`"
        raise ModelError(f"no fitting tokenizer ({why})", path=source, cure=cure)
    tokenizer.add_tokens([w for w in PLACEHOLDERS if w not in tokenizer.get_vocab()], special_tokens=True)
    needed = max(tokenizer.get_vocab().values()) + 1
    return tokenizer, rows if needed <= rows else -(-needed // 64) * 64


def headers(folder: Path) -> list[Piece]:
    """List every tensor of a folder's safetensors; only headers are read."""
    index = folder / INDEX_FILE
    named = layout.read_json(index).get("weight_map", {}) if index.exists() else {}
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


def match_keys(
    source: Path, vocabulary: int, tower: Path | None, config: PreTrainedConfig
) -> tuple[list[Piece], list[str]]:
    """Give every source tensor one place and every place one tensor, or raise; also return the keys left out.

    `vocabulary`: rows of the stored tables, which may grow.
    """
    with torch.device("meta"):
        model = LlavaOnevisionForConditionalGeneration(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    shapes |= {name: (vocabulary, shapes[name][1]) for name in TABLES}
    found = [replace(p, name=layout.new_name(p.key)) for p in headers(source)]
    own_tower = any(p.key.startswith("model.vision_tower.") for p in found)
    if tower and not own_tower:
        found += [replace(p, name=layout.new_tower_name(p.key, config)) for p in headers(tower)]
    if config.tie_word_embeddings:  # one table serves as both; a copy of it may be stored
        del shapes["lm_head.weight"]
        check_tied(source, [p for p in found if p.name in TABLES])
        found = [replace(p, name=None) if p.name == "lm_head.weight" else p for p in found]
    places: dict[str, list[Piece]] = {}
    for piece in found:
        if piece.name is not None:
            places.setdefault(piece.name, []).append(piece)
    pieces = [piece for many in places.values() for piece in many]
    unknown = [p.key for p in pieces if p.name not in shapes]
    refuse(unknown, "have no place in the new layout", source, "give an unchanged checkpoint and the tower it names")
    refuse([p.key for p in pieces if len(places[p.name]) > 1], "claim one place", source, AGAIN)
    cure = AGAIN if own_tower or tower else "give the folder of the vision tower with --tower"
    refuse(sorted(set(shapes) - set(places)), "of the new layout have no source", source, cure)
    wrong = [f"{p.key} {[*p.shape]}, not {[*shapes[p.name]]}" for p in pieces if p.shape != shapes[p.name]]
    refuse(wrong, "have the wrong shape", source, "let config.json, tower and weights be of one model")
    coded = [f"{p.key} {p.dtype}" for p in pieces if p.dtype not in DTYPES.values()]
    refuse(coded, "are not plain floats", source, "give a checkpoint that is not quantised")
    rows = config.text_config.vocab_size
    grown = [replace(p, shape=(rows, p.shape[1])) if p.name in TABLES else p for p in pieces]
    return grown, sorted(p.key for p in found if p.name is None)


def check_tied(source: Path, tables: list[Piece]) -> None:
    """Raise `ModelError` where two different tables are stored that the config calls one."""
    with ExitStack() as stack:
        both = [stack.enter_context(safe_open(p.file, "pt")).get_tensor(p.key) for p in tables]
        if len(both) == 2 and not torch.equal(*both):
            cure = "set tie_word_embeddings to false in its config.json"
            raise ModelError("lm_head.weight differs from embed_tokens, yet they are tied", path=source, cure=cure)


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


def plan_hash(shards: dict[str, list[Piece]], config: PreTrainedConfig) -> str:
    """Hash of what will be written and from what, so that a run never goes on with another plan's shards."""
    states = [p.file.stat() for shard in shards.values() for p in shard]
    text = json.dumps([[(s.st_size, s.st_mtime_ns) for s in states], repr(shards), config.to_dict()], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_room(target: Path, n_bytes: int) -> None:
    """Raise `ModelError` before anything is written, unless `n_bytes` and a little more are free."""
    here = next(folder for folder in target.absolute().parents if folder.exists())
    free, needed = shutil.disk_usage(here).free, n_bytes + 2**26
    if free < needed:
        reason = f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        raise ModelError(reason, path=here, cure="free some space or write to another disk")


def write_shards(part: Path, shards: dict[str, list[Piece]], tell: Callable[[str], None]) -> None:
    """Stream the tensors; a shard gets its name only when it is whole and on disk."""
    started, done, total = time.monotonic(), 0, size_of(*shards.values())
    for name, shard in shards.items():
        partial = part / f".{name}.tmp"
        try:
            with ExitStack() as stack:  # closed after each shard, which gives the mapped pages back
                opened = {f: stack.enter_context(safe_open(f, "pt")) for f in {piece.file for piece in shard}}
                tensors = {p.name: fitted(p, opened[p.file].get_tensor(p.key)) for p in shard}
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


def fitted(piece: Piece, tensor: torch.Tensor) -> torch.Tensor:
    """Cast a tensor, and add rows for new words; refuse values that are not finite.

    New rows are the mean of all: their logit is the mean logit, so greedy decoding never says `<image>`.
    """
    if piece.shape != tuple(tensor.shape):
        mean = tensor.mean(0, keepdim=True, dtype=torch.float32).to(tensor.dtype)
        tensor = torch.cat([tensor, mean.expand(piece.shape[0] - len(tensor), -1)])
    tensor = tensor.to(getattr(torch, piece.dtype)).contiguous()
    if not torch.isfinite(torch.stack(torch.aminmax(tensor))).all():
        cure = f"choose --dtype bfloat16 or float32; if that does not help, {AGAIN}"
        raise ModelError(f"{piece.key} is not finite as {piece.dtype}", path=piece.file, cure=cure)
    return tensor


def greedy(source: Path, original: dict) -> dict:
    """The generation config: the checkpoint's end and padding words, and no sampling, as a bench needs."""
    path = source / "generation_config.json"
    said = original | (layout.read_json(path) if path.exists() else {})
    ids = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {"do_sample": False} | {key: said[key] for key in ids if said.get(key) is not None}


def write_json(path: Path, content: dict) -> None:
    atomic_write_text(path, json.dumps(content, indent=1) + "\n")
