"""A bench's files. In: a hub id, or a folder with the same columns. Out: rows, pictures and videos as they are needed.

Rows lie in parquet shards as on the hub, or in one jsonl, json or csv file. Pictures are bytes in the rows, or paths;
videos are files anywhere below the folder, or in its zips.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Image as ImageColumn
from datasets import load_dataset
from PIL import Image

from ...dataset.released import fetch, unpack
from ...errors import RecordError, UnreadableInput
from ...marks.reader import read_clip, read_image

KINDS = {"-*.parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")


class Source:
    """The files of one split, in the folder `where`, or outside it; `most`: frames shown of a video."""

    def __init__(self, name: str | Path, split: str, where: str, most: int = 32) -> None:
        self.most, self.stems = most, (f"{where}/{split}", split)
        self.folder = fetch(name, [f"{where}/{split}-*", *["*.zip"] * (where != "data")])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in order; raises `RecordError` where files are missing, or one is damaged."""
        places = ((kind, sorted(self.folder.glob(stem + end))) for stem in self.stems for end, kind in KINDS.items())
        kind, files = next((place for place in places if place[1]), ("", []))
        if not files:
            reason, cure = f"holds no {self.stems[0]}-*.parquet", "give the bench's hub id, or a folder like it"
            raise RecordError(reason, path=self.folder, cure=cure)
        try:
            rows = load_dataset(kind, data_files=[*map(str, files)], split="train", streaming=True)
            if isinstance((rows.features or {}).get("image"), ImageColumn):
                rows = rows.cast_column("image", ImageColumn(decode=False))
            yield from rows
        except (OSError, ValueError) as problem:
            raise RecordError(f"cannot be read ({problem})", path=files[0], cure="copy it again") from problem

    def picture(self, value: Any) -> np.ndarray:
        """A row's picture, uint8 [1, H, W, 3]: a {"bytes", "path"}, or a path below the folder."""
        value = value if isinstance(value, dict) else {"path": value}
        if not value.get("bytes"):
            return read_image(self.folder / str(value["path"]))[None]
        try:
            return np.array(Image.open(io.BytesIO(value["bytes"])).convert("RGB"))[None]
        except Exception as problem:  # each of Pillow's formats raises errors of its own
            reason = f"a picture is damaged ({problem})"
            raise UnreadableInput(reason, path=self.folder, cure="copy its file again") from problem

    def video(self, name: str) -> np.ndarray:
        """At most `most` frames of a video by its name without a suffix, uint8 [F, H, W, 3]; `UnreadableInput`."""
        return read_clip(self.videos.get(name, self.folder / f"{name}.mp4"), self.most).frames

    @cached_property
    def videos(self) -> dict[str, Path]:
        """All videos below the folder by name; zips are unpacked once, beside themselves."""
        for archive in sorted(self.folder.glob("*.zip")):
            unpack(archive.with_suffix(""))
        return {f.stem: f for f in sorted(self.folder.rglob("*")) if f.suffix.lower() in VIDEOS}
