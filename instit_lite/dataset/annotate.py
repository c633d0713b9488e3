"""Annotate one clip or picture of your own. In: a file, and where its instances are. Out: a folder with everything.

Marked frames and a marked mp4, the INST-IT record, the audit. Offline the annotation is *measured from masks*; with an
endpoint the three equations are asked, and every reply is kept beside the folder so that none is asked twice.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import supervision as sv
from tqdm import tqdm

from ..annotation.audit import AuditFinding, audit
from ..annotation.client import PAPER_MODEL, Client
from ..annotation.equations import annotate_clip, annotate_image, estimate_cost, name_annotator
from ..annotation.measured import measure_clip, measure_image
from ..annotation.schema import MEASURED, ClipAnnotation
from ..errors import InstitError, NoInstances, OutputError
from ..marks.clip import Clip
from ..marks.coco import from_coco, from_youtube_vis
from ..marks.detections import check_instances
from ..marks.draw import mark_clip
from ..marks.images import write_jpeg
from ..marks.instances import from_boxes, from_palette_png
from ..marks.reader import read_clip
from ..marks.style import get_style
from ..marks.tracker import find_moving
from ..profiles import atomic_write_text
from ..scenes.video import write_mp4
from .records import image_record, save_records, video_record

CARD, PART = "annotation.json", ".part-"  # of what is not whole yet


@dataclass(frozen=True)
class Request:
    """What to annotate and how. At most one of `boxes`, `masks`, `coco`, `youtube_vis`; none of them for a video
    means the motion tracker. `video` names the clip in a YouTube-VIS file of several. `salvage` takes what is left of
    a damaged video. `base_url`, `online` or a batch asks an endpoint instead of measuring the masks; `asking` has
    further settings of `Client.connect`, replies are kept in `ledger`, by default beside `out`.
    """

    source: Path
    out: Path
    frames: int = 32
    style: str = "video"
    boxes: Path | None = None
    masks: Path | None = None
    coco: Path | None = None
    youtube_vis: Path | None = None
    video: str | None = None
    salvage: bool = False
    max_instances: int = 6
    online: bool = False
    model: str = PAPER_MODEL
    base_url: str | None = None
    ledger: Path | None = None
    asking: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether an endpoint is asked, now or by a batch, and not the masks measured."""
        return bool(self.online or self.base_url or self.asking.get("batch"))

    @property
    def kept_in(self) -> Path:
        """The ledger."""
        return self.ledger or self.out.with_name(f"{self.out.name}.ledger")


@dataclass(frozen=True)
class Annotated:
    """What was written: number of frames, mark ids, who annotated, the audit's findings, warnings, the files."""

    n_frames: int
    mark_ids: list[int]
    annotator: str
    findings: list[AuditFinding]
    warnings: list[str]
    files: list[Path]


def annotate_file(request: Request, say: Callable[[str], None] = print) -> Annotated:
    """Do everything for one file; the folder `request.out` appears whole or not at all.

    Raises the typed errors of reading, marking and asking; `InstitError` where `out` holds something else;
    `OutputError` where it cannot be written.
    """
    out = Path(request.out)
    get_style(request.style)
    refuse_others(out, CARD)
    say(f"{request.source}: reading, finding instances (the motion tracker looks at all frames: up to a minute)")
    made_from = fingerprint(request)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        clip, found = instances_of(request)
        check_instances(found, clip.frames)
    said = dict.fromkeys(str(w.message).removeprefix(f"{request.source}: ") for w in caught)
    for line in said:
        say(f"warning: {line}")
    say(f"marking and annotating {len(clip.frames)} frame(s)")
    marked = mark_clip(clip.frames, found, request.style)
    annotation = describe(request, clip, found, marked, say)
    findings = audit(annotation, found, clip.frames.shape[1:3])
    card = {"made_from": made_from, "warnings": list(said), "salvaged": clip.damage}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=PART) as scratch:
            partial = Path(scratch) / out.name
            write_all(partial, clip, marked, annotation, findings, card)
            shutil.rmtree(out, ignore_errors=True)
            os.replace(partial, out)
    except OSError as problem:
        cure = "free some space, or choose another folder"
        raise OutputError(f"cannot be written ({problem.strerror})", path=out, cure=cure) from problem
    ids = sorted({int(i) for d in found for i in d.tracker_id})
    files = sorted(f for f in out.rglob("*") if f.is_file() and f.parent.name != "frames")
    return Annotated(len(marked), ids, annotation.annotator, findings, list(said), [out / "frames", *files])


def refuse_others(out: Path, ours: str) -> None:
    """Refuse to write into a folder that holds files, but not the file `ours`, by which a former output is known."""
    reason = "holds other files"
    try:
        strange = out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / ours).exists())
    except OSError as problem:
        strange, reason = True, f"cannot be written to ({problem.strerror})"
    if strange:
        raise InstitError(reason, path=out, cure="name a new or empty folder with --out")


def fingerprint(request: Request) -> dict[str, Any]:
    """Return what an output depends on: the settings, and size and time of the files it is made from."""
    given = {key: getattr(request, key) for key in ("source", "boxes", "masks", "coco", "youtube_vis")}
    passed = {*given, "out", "base_url", "ledger", "asking", "salvage"}  # salvage changes nothing about a whole file
    settings = {key: value for key, value in asdict(request).items() if key not in passed}
    files = {key: stamp(path) for key, path in given.items() if path}
    return settings | files | {"asks": request.asks}


def stamp(path: str | Path) -> list[int]:
    """Return count, bytes and newest time (ns) of a file, or of the files in a folder; nothing of what is not there."""
    try:
        seen = [os.stat(file) for file in (Path(path).iterdir() if os.path.isdir(path) else [path])]
    except OSError:
        return []
    return [len(seen), sum(s.st_size for s in seen), max((s.st_mtime_ns for s in seen), default=0)]


def instances_of(request: Request) -> tuple[Clip, list[sv.Detections]]:
    """Read the clip, and find its instances where the request says they are."""
    clip = read_clip(request.source, request.frames, request.salvage)
    shape, still = clip.frames.shape[1:3], not clip.duration
    indices = None if still else clip.indices.tolist()
    if request.boxes:
        return clip, from_boxes(request.boxes, shape, indices)
    if request.masks:
        return clip, from_palette_png(request.masks, shape, indices)
    if request.coco:
        return clip, from_coco(request.coco, Path(request.source).name, shape, renumber=True)
    if request.youtube_vis:
        return clip, from_youtube_vis(request.youtube_vis, request.video, shape, indices, renumber=True)
    if still:
        raise NoInstances("a single picture has no motion to find instances by", path=request.source,
                          cure="give --boxes, --masks or --coco")  # fmt: skip
    return clip, find_moving(request.source, clip, request.max_instances)


def describe(
    request: Request, clip: Clip, found: list[sv.Detections], marked: np.ndarray, say: Callable[[str], None]
) -> ClipAnnotation:
    """Measure the masks, or ask an endpoint by equations (1) to (3)."""
    still = len(marked) == 1
    if not request.asks:
        if not still:
            return measure_clip(clip.frames, found, clip.timestamps)
        frame, annotator, model = measure_image(clip.frames[0], found[0]), MEASURED, ""
    else:
        with Client.connect(
            request.base_url, request.model, request.kept_in, online=request.online, **request.asking
        ) as client:  # fmt: skip
            if client.prices:
                say(estimate_cost(client, marked))
            if not still:
                with tqdm(total=len(marked) + 2, unit="call") as bar:
                    return annotate_clip(client, marked, bar.update)
            frame = annotate_image(client, marked[0], "00001.jpg")
            annotator, model = name_annotator(client), ", ".join(client.models)
    return ClipAnnotation(frames=[frame], video_level_caption=None, question_answer_pairs=[],
                          annotator=annotator, model=model)  # fmt: skip


def write_all(
    folder: Path, clip: Clip, marked: np.ndarray, annotation: ClipAnnotation, findings: list[AuditFinding],
    card: dict[str, Any],
) -> None:  # fmt: skip
    """Write marked frames, marked mp4, record, audit and card into `folder`; the card tells more than `card` holds."""
    for frame, told in zip(marked, annotation.frames):
        write_jpeg(folder / "frames" / told.frame_name, frame)
    if len(marked) > 1:
        fps = float(np.clip(len(marked) / clip.duration, 1, 30)) if clip.duration else 8.0
        write_mp4(folder / "marked.mp4", marked, fps)
        record = video_record(1, f"{folder.name}/frames", annotation)
    else:
        frame = annotation.frames[0]
        record = image_record(1, f"{folder.name}/frames/{frame.frame_name}", frame)
    save_records(folder / "record.json", [record])
    atomic_write_text(folder / "audit.json", json.dumps([asdict(f) for f in findings], indent=1) + "\n")
    card = {
        "source": Path(clip.source).name, **card, "annotator": annotation.annotator, "model": annotation.model,
        "frames": [{"timestamp": t, "index": int(i), "seconds": round(float(s), 3)}
                   for t, (i, s) in enumerate(zip(clip.indices, clip.timestamps), start=1)],
    }  # fmt: skip
    atomic_write_text(folder / CARD, json.dumps(card, indent=1) + "\n")
