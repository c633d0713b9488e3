"""What there is to verify. In: a folder of annotations. Out: its records, its marked frames, the audit's doubts.

The folder is one that `instit-lite build` or `annotate` made, or INST-IT Dataset as published.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..annotation.audit import AuditFinding, audit
from ..annotation.claims_in_text import ids_in, moments_in, place_claims
from ..annotation.schema import ClipAnnotation
from ..errors import RecordError
from ..marks.images import read_image
from ..marks.instances import from_scene
from ..marks.reader import read_clip
from ..scenes.video import load_scene_json
from .annotate import CARD
from .build import load_dataset
from .decisions import Item, items_of, name_of
from .masks import masks_of
from .records import is_video, load_records, read_image_record, read_video_record
from .released import Released, is_released, pictures_of

CHANGES = ("first change", "no change text", "motion", "coming", "going", "missed change")  # audit kinds


class Annotations:
    """The records of a folder, the first `clips` of each kind, and their items; `annotator` says who wrote them."""

    def __init__(self, folder: str | Path, clips: int | None = None) -> None:
        """Raises `RecordError` where the folder is none of the three kinds."""
        self.folder, self.annotator = Path(folder), "INST-IT Dataset"
        if not self.folder.is_dir():
            raise RecordError("there is no such folder", path=folder, cure="name one with annotations")
        if (self.folder / CARD).exists():
            self.annotator = json.loads((self.folder / CARD).read_text(encoding="utf-8"))["annotator"]
            kinds = [load_records(self.folder / "record.json")[0]]
        elif is_released(self.folder):
            released = Released(self.folder, masks=any(self.folder.glob("*_w_mask.json")))
            kinds = [[*released.records(kind, clips)] for kind in ("video", "image")]
        else:
            data = load_dataset(self.folder)
            self.annotator, kinds = data.annotator, [data.videos, data.images]
        self.records = {name_of(record): record for found in kinds for record in found[:clips]}
        self.items = [item for record in self.records.values() for item in items_of(record)]
        self.known: dict[str, dict[str, list[str]] | None] = {}

    def doubts(self, item: Item) -> list[str] | None:
        """What the audit holds against an item; None where the folder has no masks to hold its clip against."""
        if item.clip not in self.known:
            record = self.records[item.clip]
            findings = self.findings(record)
            self.known[item.clip] = None if findings is None else doubts_by_item(items_of(record), findings)
        found = self.known[item.clip]
        return None if found is None else found[item.key]

    def pictures(self, clip: str) -> list[Path]:
        """The paths of a clip's marked frames, relative to the folder."""
        paths = map(Path, pictures_of(self.records[clip]))
        return [Path("frames", path.name) for path in paths] if (self.folder / CARD).exists() else [*paths]

    def frames(self, clip: str) -> list[np.ndarray]:
        """Read a clip's marked frames, each uint8 [H, W, 3]."""
        return [read_image(self.folder / path) for path in self.pictures(clip)]

    def times(self, clip: str) -> list[int]:
        """The timestamps of a clip's frames."""
        frames = self.records[clip].get("frame_level_caption", [{"timestamp": 1}])
        return [frame["timestamp"] for frame in frames]

    def findings(self, record: dict) -> list[AuditFinding] | None:
        """Audit a record against the masks that the folder has; None where it has none."""
        kept = self.folder / "audit.json"
        if kept.exists():
            return [AuditFinding(**row) for row in json.loads(kept.read_text(encoding="utf-8"))]
        scene = self.folder / "scenes" / f"{Path(record.get('video_path', '')).name}.json"
        if "segmentations" in record:
            paths = self.pictures(name_of(record))
            shape = read_image(self.folder / paths[0]).shape[:2]
            masks = [masks_of(record, path.name, shape) for path in paths]
        elif is_video(record) and scene.exists():
            clip = read_clip(self.folder / "clips" / f"{scene.stem}.mp4", len(record["frame_level_caption"]))
            shape, masks = clip.frames.shape[1:3], from_scene(load_scene_json(scene), clip)
        else:
            return None
        return audit(annotation_of(record), masks, shape)


def annotation_of(record: dict) -> ClipAnnotation:
    """A record as an annotation; a picture is a clip of one frame."""
    if is_video(record):
        return read_video_record(record, [])
    return ClipAnnotation(frames=[read_image_record(record, [])], video_level_caption=None, question_answer_pairs=[],
                          annotator="", model="")  # fmt: skip


def doubts_by_item(items: Sequence[Item], findings: Sequence[AuditFinding]) -> dict[str, list[str]]:
    """Put each finding to the items that it speaks of, by their keys.

    One that no item fits, such as an instance left out, goes to the description of its frame, else to the first item.
    """
    found: dict[str, list[str]] = {item.key: [] for item in items}
    for finding in findings:
        frame = [item for item in items if item.kind == "frame" and item.timestamp == finding.timestamp]
        for item in [item for item in items if concerns(finding, item)] or frame[:1] or items[:1]:
            found[item.key].append(str(finding))
    return found


def concerns(finding: AuditFinding, item: Item) -> bool:
    """Tell whether a finding is about this text."""
    place = "the summary" if item.kind == "summary" else f"the texts of <{item.timestamp}>"
    if item.kind == "question":
        place = f"question {int(item.path[1]) + 1}"
    if finding.where:
        own = item.timestamp is None or finding.mark_id is not None and item.mark_id == finding.mark_id
        named = own or f"[{finding.mark_id}]" in item.told or f"<{finding.timestamp}>" in item.told
        return named and finding.where == place
    same = item.timestamp is not None and item.timestamp == finding.timestamp
    return same and item.mark_id in (None, finding.mark_id) and (item.kind == "change") == (finding.kind in CHANGES)
