"""Samples as the Trainer reads them. In: a sequence of samples. Out: encoded samples by index,
checked batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from ..model.load import Base
from .collator import Encoded, Sample, batch_of, encode, encode_branches, prefix_ids
from .order import BLANK
from .packing import IGNORE
from .preflight import check_batch, check_context, check_marks, check_sample, missing_marks

CACHE_BYTES = 512 * 2**20  # pixel values kept between epochs


class EncodedSamples(Dataset):
    """Encode and check each sample when it is first used; keep the result while there is room.

    `samples` may be lazy: anything with a length and an index. Raises `PreflightError` for a
    sample that cannot train. `unmarked`: let samples pass that speak of marks which their frames
    do not carry, and note them in `markless`. `first` is the index that was asked for first; set
    it to None to begin again. The index `BLANK` gives a short text without any label.
    """

    def __init__(self, base: Base, samples: Sequence[Sample], packing: str, unmarked: bool = False) -> None:
        self.base, self.samples, self.packing, self.unmarked = base, samples, packing, unmarked
        self.markless: set[int] = set()
        self.first: int | None = None
        branches = encode_branches(base, [("", "")], shared=False)
        self.blank = Encoded(prefix_ids(base, "text", 0), branches, None, "text")
        self.kept: dict[int, Encoded] = {}
        self.room = CACHE_BYTES

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Encoded:
        self.first = index if self.first is None else self.first
        if index == BLANK:
            return self.blank
        return self.kept[index] if index in self.kept else self.encode(index)

    def encode(self, index: int) -> Encoded:
        sample = self.samples[index]
        check_sample(sample, f"sample {index}")
        if not self.unmarked:
            check_marks(sample, f"sample {index}")
        elif missing_marks(sample):
            self.markless.add(index)
        encoded = encode(self.base, sample, self.packing)
        check_context(self.base.model, encoded, self.packing, f"sample {index}")
        size = 0 if encoded.pixels is None else encoded.pixels.nbytes
        if size <= self.room:
            self.room -= size
            self.kept[index] = encoded
        return encoded

    def collate(self, samples: list[Encoded]) -> dict[str, torch.Tensor]:
        """Join encoded samples to a checked batch."""
        batch = batch_of(samples, self.base.tokenizer.pad_token_id, self.packing)
        blanks = sum(sample is self.blank for sample in samples)  # always the last ones
        batch["labels"][len(batch["labels"]) - blanks :] = IGNORE
        check_batch(self.base.model, batch, blanks)
        return batch
