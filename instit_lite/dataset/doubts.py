"""What there is to verify. In: a folder of annotations. Out: items, marked frames, what the audit doubts.

The folder is one that `instit-lite build` or `annotate` made, or INST-IT Dataset as published.
"""

from __future__ import annotations

from pathlib import Path

from ..annotation.audit import AuditFinding, audit
from ..annotation.schema import ClipAnnotation
from ..errors import RecordError
from ..marks.files import load_json
from ..marks.images import read_image
from ..marks.instances import from_scene
from ..marks.reader import read_clip
from ..scenes.video import load_scene_json
from .annotate import CARD
from .build import load_dataset
from .decisions import Item, items_of
from .masks import masks_of
from .records import is_video, load_records, read_image_record, read_list, read_video_record
from .released import Released, is_released, pictures_of

CHANGES = ("first change", "motion", "coming", "going", "missed change")  # audit kinds


class Annotations:
    """The first `clips` clips and pictures of a folder (None: all); `annotator` says who wrote their texts."""

    def __init__(self, folder: str | Path, clips: int | None = None) -> None:
        """Raises `RecordError` where the folder is none of the three kinds."""
        self.folder, self.annotator = Path(folder).resolve(), "INST-IT Dataset"
        self.beside = self.folder.with_name(f"{self.folder.name}.verification")  # of decisions, which outlive a rebuild
        self.own = (self.folder / CARD).exists()
        if not self.folder.is_dir():
            raise RecordError("there is no such folder", path=folder, cure="name one with annotations")
        if self.own:
            self.annotator = load_json(self.folder / CARD)["annotator"]
            kinds = [load_records(self.folder / "record.json")[0]]
        elif is_released(self.folder):
            released = Released(self.folder, masks=any(self.folder.glob("*_w_mask.json")))
            kinds = [[*released.records(kind, clips)] for kind in ("video", "image")]
        else:
            data = load_dataset(self.folder)
            self.annotator, kinds = data.annotator, [data.videos, data.images]
        records = [record for found in kinds for record in found[:clips]]
        self.records = {f"video {r['video_id']}" if is_video(r) else f"image {r['image_id']}": r for r in records}
        self.items = [item for clip in self.records for item in items_of(clip, self.annotation(clip))]
        self.known: dict[str, list[AuditFinding] | None] = {}

    def annotation(self, clip: str) -> ClipAnnotation:
        """A record as an annotation; a picture is a clip of one frame."""
        if is_video(self.records[clip]):
            return read_video_record(self.records[clip], [])
        return ClipAnnotation(frames=[read_image_record(self.records[clip], [])], video_level_caption=None,
                              question_answer_pairs=[], annotator="", model="")  # fmt: skip

    def pictures(self, clip: str) -> dict[int, Path]:
        """The paths of a clip's marked frames, relative to the folder, by timestamp."""
        times = [frame.timestamp for frame in self.annotation(clip).frames]
        paths = [Path(path) for path in pictures_of(self.records[clip])]
        return {t: Path("frames", path.name) if self.own else path for t, path in zip(times, paths, strict=True)}

    def doubts(self, item: Item) -> list[str] | None:
        """What the audit holds against an item; None where there are no masks to hold its clip against.

        What fits no text, such as an instance left out, stands with the description of its frame.
        """
        if item.clip not in self.known:
            self.known[item.clip] = self.audit(item.clip)
        findings = self.known[item.clip]
        return None if findings is None else [str(finding) for finding in findings if concerns(finding, item)]

    def audit(self, clip: str) -> list[AuditFinding] | None:
        """Hold a clip against the masks that the folder has; None where it has none."""
        record = self.records[clip]
        if self.own:
            return [AuditFinding(**row) for row in read_list(self.folder / "audit.json")]
        name = Path(record.get("video_path", "")).name
        scene = self.folder / "scenes" / f"{name}.json"
        if "segmentations" in record:
            paths = [*self.pictures(clip).values()]
            shape = read_image(self.folder / paths[0]).shape[:2]
            masks = [masks_of(record, path.name, shape) for path in paths]
        elif is_video(record) and scene.exists():
            film = read_clip(self.folder / "clips" / f"{name}.mp4", len(record["frame_level_caption"]))
            shape, masks = film.frames.shape[1:3], from_scene(load_scene_json(scene), film)
        else:
            return None
        return audit(self.annotation(clip), masks, shape)


def concerns(finding: AuditFinding, item: Item) -> bool:
    """Tell whether a finding is about this text."""
    if item.timestamp is None:  # what is about no frame goes with the summary
        where = finding.where or ("" if finding.timestamp else "the summary")
        return where in (f"the {item.kind}", f"{item.kind} {item.number}")
    texts = f"the texts of <{item.timestamp}>"
    here = finding.where == texts if finding.where else finding.timestamp == item.timestamp
    named = f"[{finding.mark_id}]" in item.told or f"<{finding.timestamp}>" in item.told
    change = finding.kind in CHANGES
    own = {"frame": not change, "change": change, "instance": finding.mark_id == item.mark_id and not change}
    return here and (own[item.kind] or bool(finding.where) and named)
