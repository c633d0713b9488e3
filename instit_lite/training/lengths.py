"""How long dialogues are, before anything is trained. In: dialogues, a base's tokenizer. Out: a table of tokens.

The paper trains at a context of "6K" with at most 32 frames (appendix on training); what does not fit would lose its
answers (`model.context`). Lengths are counted by the functions that make the training rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset.dialogues import Dialogue, turns_of
from ..marks.images import picture_size
from ..model.anyres import uses_anyres
from ..model.load import Base
from .collator import encode_branches, prefix_ids, visual_ids
from .recipe import shown_as

EDGES = (512, 1024, 2048, 4096)


@dataclass(frozen=True, slots=True)  # there are some 400,000 of them
class Length:
    """Tokens of one dialogue: of all its text, of its visual input, and the positions that its longest turn needs."""

    kind: str
    text: int
    visual: int
    positions: int


def length_of(base: Base, dialogue: Dialogue, root: str | Path) -> Length:
    """Count one dialogue; a picture's size is read only where AnyRes makes tokens depend on it.

    Raises `UnreadableInput` where that picture is missing or damaged.
    """
    pictures = dialogue["image"]
    shown, n = shown_as(dialogue["kind"], len(pictures)), len(pictures)
    size = picture_size(Path(root) / pictures[0]) if uses_anyres(base.model, shown, n) else None
    visual, prefix = len(visual_ids(base, shown, n, size)), len(prefix_ids(base, shown, n, size=size))
    turns = [len(branch.ids) for branch in encode_branches(base, turns_of(dialogue), n > 0)]
    return Length(dialogue["kind"], prefix - visual + sum(turns), visual, prefix + max(turns))


def context_of(base: Base) -> int:
    """The positions that a base has, as it was loaded."""
    return base.model.config.text_config.max_position_embeddings


def length_table(lengths: Iterable[Length], context: int) -> dict:
    """Sum lengths up by kind of dialogue: {"title", "columns", "rows", "note"}."""
    own: dict[str, list[Length]] = defaultdict(list)
    for length in lengths:
        own[length.kind].append(length)
    edges = [edge for edge in EDGES if edge < context] + [context]
    columns = ["kind", "dialogues", "text median", "text 95 %", "text most", "visual median", "visual most"]
    columns += [f"to {edge}" for edge in edges] + [f"over {context}"]
    if len(own) > 1:
        own["all"] = [length for found in own.values() for length in found]
    rows = []
    for kind, found in own.items():
        text, visual, positions = np.array([(f.text, f.visual, f.positions) for f in found]).T
        bins = np.bincount(np.searchsorted(edges, positions), minlength=len(edges) + 1)
        rows.append([kind, len(found), *np.percentile(text, [50, 95]).astype(int).tolist(), int(text.max()),
                     int(np.median(visual)), int(visual.max()), *bins.tolist()])  # fmt: skip
    note = "Text counts all turns. The last columns count dialogues by the positions of their longest turn, visual "
    note += "tokens included; what is over the context is left out."
    return {"title": "Tokens per dialogue", "columns": columns, "rows": rows, "note": note}
