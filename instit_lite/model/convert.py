"""Original LLaVA checkpoints to transformers. In: a folder as INST-IT published it. Out: one for `from_pretrained`.

Every source key goes to one new key and every new key is filled once, with the right shape, or nothing is written.
Weights then stream: see `shards`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration, PreTrainedConfig
from transformers import PreTrainedTokenizerBase as Tokenizer

from ..errors import ModelError
from . import original as layout
from .shards import AGAIN, Piece, check_new, check_places, headers, refuse, stored_as, write_checkpoint, write_json

CARD_FILE = "conversion.json"
PLACEHOLDERS = ("<image>", "<video>")
TABLES = ("model.language_model.embed_tokens.weight", "lm_head.weight")  # one row a word


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
    check_new(target)
    original = layout.read_original(source)
    tokenizer, rows = read_tokenizer(source, original)
    ids = {word: tokenizer.convert_tokens_to_ids(word) for word in PLACEHOLDERS}
    config = layout.new_config(source, original, tower, ids, rows)
    config.dtype = dtype or original.get("dtype") or original.get("torch_dtype")
    pieces, dropped = match_keys(source, original["vocab_size"], tower, config)
    pieces = [replace(p, dtype=dtype or p.dtype) for p in pieces]
    card = {
        "format": 1, "source": source.name, "template": layout.LANGUAGE[original["architectures"][0]][1],
        "tower": str(original.get("mm_vision_tower")), "video": "2 x 2 bilinear after the projector, no newline",
        "vocabulary": [original["vocab_size"], rows], "dropped": dropped,
    }  # fmt: skip

    def finish(part: Path) -> None:
        tokenizer.save_pretrained(part)
        config.save_pretrained(part)
        write_json(part / "preprocessor_config.json", layout.preprocessor(config))
        write_json(part / "generation_config.json", greedy(source, original))

    return write_checkpoint(target, CARD_FILE, card, pieces, shard_bytes, fitted, finish, tell)


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
    pieces = [piece for piece in found if piece.name is not None]
    unknown = [p.key for p in pieces if p.name not in shapes]
    refuse(unknown, "have no place in the new layout", source, "give an unchanged checkpoint and the tower it names")
    cure = AGAIN if own_tower or tower else "give the folder of the vision tower with --tower"
    check_places(pieces, shapes, source, cure)
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


def fitted(piece: Piece, tensor: torch.Tensor) -> torch.Tensor:
    """Cast a tensor, and add rows for new words; refuse values that are not finite.

    New rows are the mean of all: their logit is the mean logit, so greedy decoding never says `<image>`.
    """
    if piece.shape != tuple(tensor.shape):
        mean = tensor.mean(0, keepdim=True, dtype=torch.float32).to(tensor.dtype)
        tensor = torch.cat([tensor, mean.expand(piece.shape[0] - len(tensor), -1)])
    cure = f"choose --dtype bfloat16 or float32; if that does not help, {AGAIN}"
    return stored_as(piece, tensor, piece.file, cure)


def greedy(source: Path, original: dict) -> dict:
    """The generation config: the checkpoint's end and padding words, and no sampling, as a bench needs."""
    path = source / "generation_config.json"
    said = original | (layout.read_json(path) if path.exists() else {})
    ids = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {"do_sample": False} | {key: said[key] for key in ids if said.get(key) is not None}
