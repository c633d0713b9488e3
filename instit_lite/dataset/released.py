"""The published INST-IT Dataset. In: its hub id, or a folder laid out like it. Out: records, streamed and mended.

    inst_it_dataset_video_21k[_w_mask].json  inst_it_dataset_image_51k[_w_mask].json
    videos_vpt[.zip]  videos_raw[.zip]  images_vpt[.zip]  images_raw[.zip]         ("vpt": with marks)

Paths in the records name one of the picture folders first; raw or marked frames differ in that part alone
(paper-facts D.2).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock
from huggingface_hub import snapshot_download

from ..errors import RecordError
from ..marks.files import leads_out
from .archive import unpack_zip
from .quarantine import Quarantine
from .reading import RecordReader
from .streaming import stream_list

HUB_ID = "Inst-IT/Inst-It-Dataset"
FILES = {"video": "inst_it_dataset_video_21k", "image": "inst_it_dataset_image_51k"}
FRAMES = {"marked": "vpt", "raw": "raw"}  # another word names a folder of its own, see `masks.redraw`


def is_hub_id(name: str | Path) -> bool:
    """Whether a name looks like a hub id and is no folder here."""
    return not Path(name).exists() and bool(re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)))


def is_released(name: str | Path) -> bool:
    """Whether a name means the published dataset: a hub id, or a folder with one of its json files."""
    return is_hub_id(name) or any(next(Path(name).glob(f"{stem}*.json"), None) for stem in FILES.values())


def fetch(name: str | Path, patterns: list[str]) -> Path:
    """The one way to the hub: return a folder as it is, and download what is a hub id, once."""
    if not is_hub_id(name):
        return Path(name)
    try:
        return Path(snapshot_download(str(name), repo_type="dataset", allow_patterns=patterns))
    except (OSError, ValueError) as problem:
        reason = f"neither a folder here nor to be had from the hub ({problem})"
        cure = "check the name and the connection, or give a folder"
        raise RecordError(reason, path=name, cure=cure) from problem


class Released:
    """The dataset in one of its two looks; `repairs` counts what was mended, `quarantine` what was left out, `marked`
    says whether its pictures carry marks.

    `frames`: "marked" as the paper trains, "raw" for a control without marks. `masks`: keep each record's
    `segmentations`, which only the `_w_mask` files have.
    """

    def __init__(
        self, source: str | Path, frames: str = "marked", masks: bool = False, quarantine: Quarantine | None = None
    ) -> None:
        self.look, self.masks = FRAMES.get(frames, frames), masks
        self.marked = self.look != FRAMES["raw"]
        tail = "_w_mask.json" if masks else ".json"
        wanted = [f"{stem}{tail}" for stem in FILES.values()] + [f"{kind}s_{self.look}.zip" for kind in FILES]
        self.folder = fetch(source, wanted)
        self.quarantine = quarantine or Quarantine()
        self.repairs: Counter[str] = Counter()

    def file(self, kind: str) -> Path:
        """The json file of a kind, "video" or "image": the plain one where masks are not asked for and it is there."""
        plain, full = (self.folder / f"{FILES[kind]}{tail}" for tail in (".json", "_w_mask.json"))
        return plain if plain.exists() and not self.masks else full

    def records(self, kind: str, most: int | None = None) -> Iterator[dict]:
        """Yield up to `most` records with paths of frames that exist; bad ones go to the quarantine.

        Raises `RecordError` where a whole file or folder is missing or damaged.
        """
        path, given = self.file(kind), 0
        if most == 0 or not self.has(kind):
            return
        unpack(self.folder / f"{kind}s_{self.look}")
        for number, raw in enumerate(stream_list(path)):
            reader = RecordReader(path, f"record {number}")
            try:
                record = self.read(reader, raw, kind)
            except RecordError as problem:
                self.quarantine.add(f"{kind} {reader.name}", problem)
                continue
            yield record
            given += 1
            if given == most:
                return

    def has(self, kind: str) -> bool:
        """Whether the kind is there at all; a folder may hold videos only, or images only, but not neither."""
        if not any(self.file(each).exists() for each in FILES):
            cure = f"give {HUB_ID}, or a folder with its json files and picture folders"
            raise RecordError(f"holds no {self.file(kind).name}", path=self.folder, cure=cure)
        return self.file(kind).exists()

    def read(self, reader: RecordReader, raw: Any, kind: str) -> dict:
        """Mend one record and lead its paths to the chosen frames; raises `RecordError`."""
        masks = raw.pop("segmentations", None) if isinstance(raw, dict) else None
        if kind == "video" and isinstance(raw, dict) and "video_level_caption" not in raw:
            raw["video_level_caption"] = None  # 46 clips have none (paper-facts A.9); how they say so is not known
            reader.mend("video_level_caption", "missing summary read as null")
        record = reader.record(raw, kind)
        record[f"{kind}_path"] = self.led(reader, record[f"{kind}_path"], kind)
        home = (self.folder / f"{kind}s_{self.look}").resolve()
        for path in pictures_of(record):
            cure = f"unpack {kind}s_{self.look}.zip again, or leave the record out"
            frame = (self.folder / path).resolve()
            if leads_out(path) or not frame.is_relative_to(home) or not frame.is_file():
                reason = f"{reader.name}: a frame is missing, or lies elsewhere"
                raise RecordError(reason, path=self.folder / path, cure=cure)
        for line in reader.repairs:
            what, times = re.fullmatch(r".*: (.*?)(?: \((\d+) times\))?", line, re.DOTALL).groups()
            self.repairs[re.sub(r" as \d+$", " mended", what)] += int(times or 1)
        return record | ({"segmentations": masks} if self.masks else {})

    def led(self, reader: RecordReader, path: str, kind: str) -> str:
        """Swap the first part of a path for the folder of the chosen frames."""
        parts = PurePosixPath(path).parts
        if len(parts) < 2:
            raise reader.fail(f"{kind}_path", f"is {path!r}, without a folder before the name")
        return str(PurePosixPath(f"{kind}s_{self.look}", *parts[1:]))


def pictures_of(record: dict) -> list[str]:
    """The paths of a record's frames, or of its one picture, relative to the dataset's folder."""
    if "image_path" in record:
        return [record["image_path"]]
    return [f"{record['video_path']}/{frame['frame_name']}" for frame in record["frame_level_caption"]]


def unpack(folder: Path) -> None:
    """Make sure that a picture folder is there: where only its zip is, one of several processes unpacks it."""
    if not folder.is_dir():
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():
                unpack_zip(folder.with_suffix(".zip"), folder)
