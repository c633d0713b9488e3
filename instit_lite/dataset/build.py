"""Build the mini dataset. In: a profile and a seed. Out: a folder of clips, marked frames, records and dialogues.

The whole annotation road at a small size: scenes are filmed to real mp4, read back, marked, annotated by the three
equations over real HTTP, written as INST-IT records and turned into dialogues. The annotator is *simulated*.

    clips/000001.mp4  scenes/000001.json  videos_vpt/000001/00001.jpg  images_vpt/000001.jpg  general/000001.jpg
    instit_video.json  instit_image.json  dialogues.json  general.json  dataset.json
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from ..annotation.client import Client
from ..annotation.equations import annotate_clip
from ..annotation.schema import SIMULATED_MODEL
from ..annotation.server import SimulatedServer, simulated_server
from ..annotation.simulated import ErrorModel
from ..errors import InstitError, RecordError
from ..marks.draw import mark_clip
from ..marks.images import write_jpeg
from ..marks.instances import from_scene
from ..marks.reader import read_clip
from ..profiles import Profile, atomic_write_text
from ..scenes.facts import scene_facts
from ..scenes.sample import sample_scene
from ..scenes.seeds import TRAIN_SEED
from ..scenes.video import film, save_scene_json
from ..scenes.world import Knobs
from .choices import add_choices
from .dialogues import Dialogue, dialogues_of, load_dialogues, save_dialogues
from .records import load_records, save_records, video_record
from .stills import build_general, build_image

CLIPS = Knobs(occlusion=0.2)
NATIVE_FRAMES = 16  # frames of a filmed clip, two seconds
SEED_STEP = 100_000  # seeds kept for each of the three parts
BUILDS = 20  # build seeds with scenes of their own; the next ones begin anew
CHOICE_SHARE = 0.3
MANIFEST = "dataset.json"
FORMAT = 5  # of what is built from the annotations: a dataset of another one is built anew
SIZES = ("n_clips", "n_images", "n_frames", "n_general")  # what a dataset depends on of a profile
Item = TypeVar("Item")


@dataclass(frozen=True)
class Dataset:
    """A built dataset: its folder, records, dialogues (INST-IT's and general ones), and how it was annotated.

    `asked` and `reused`: replies over the wire and from the ledger; `quarantined`: items left out, and why.
    """

    folder: Path
    videos: list[dict]
    images: list[dict]
    dialogues: list[Dialogue]
    general: list[Dialogue]
    annotator: str
    asked: int
    reused: int
    quarantined: list[str]


def first_scene(seed: int) -> int:
    """The first scene seed of a build; the scenes of every build lie below `BENCH_SEED`."""
    return TRAIN_SEED + 4 * SEED_STEP * (seed % BUILDS)


def build_micro(
    profile: Profile, seed: int, out: str | Path, *, errors: ErrorModel = ErrorModel(),
    say: Callable[[str], None] = print,
) -> Dataset:  # fmt: skip
    """Build the mini dataset of `profile` in the folder `out`, or load it where the same one is there already.

    A killed build goes on: what the annotator answered is in `out/ledger` and is not asked again. An item that
    fails is quarantined and named in the manifest. `errors` makes the simulated annotator careless.
    """
    out = Path(out)
    sizes = {name: getattr(profile, name) for name in SIZES}
    identity = {"sizes": sizes, "seed": seed, "errors": asdict(errors), "format": FORMAT}
    if read_manifest(out).get("identity") == identity:
        say(f"{out}: this dataset is built already")
        return load_dataset(out)
    out.mkdir(parents=True, exist_ok=True)
    quarantined: list[str] = []
    first = first_scene(seed)
    with (
        simulated_server(seed, errors) as server,
        Client.connect(server.base_url, SIMULATED_MODEL, out / "ledger") as client,
    ):
        videos = make_all(profile.n_clips, "clips", quarantined,
                          lambda i: build_clip(i, first + i, out, server, client, profile.n_frames))  # fmt: skip
        stills = make_all(profile.n_images, "images", quarantined,
                          lambda i: build_image(i, first + SEED_STEP + i, out, server, client))  # fmt: skip
        counts = {"asked": client.asked, "reused": client.reused, "annotator": SIMULATED_MODEL}
    general = make_all(profile.n_general, "general pictures", quarantined,
                       lambda i: build_general(i, first + 2 * SEED_STEP + i, out))  # fmt: skip
    images = [record for record, _ in stills]
    dialogues = dialogues_of([*videos, *images]) + [asked for _, asked in stills if asked]
    save_records(out / "instit_video.json", videos)
    save_records(out / "instit_image.json", images)
    save_dialogues(out / "dialogues.json", add_choices(dialogues, CHOICE_SHARE, seed))
    save_dialogues(out / "general.json", add_choices(general, CHOICE_SHARE, seed))
    manifest = {"identity": identity, **counts, "quarantined": quarantined}
    atomic_write_text(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return load_dataset(out)


def load_dataset(folder: str | Path) -> Dataset:
    """Load a built dataset; raises `RecordError` where the folder holds none, or not a whole one."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    if not manifest:
        raise RecordError("no built dataset here", path=folder, cure="run `instit-lite build`, or notebook 03")
    videos, images = (whole_records(folder / name) for name in ("instit_video.json", "instit_image.json"))
    return Dataset(
        folder, videos, images, load_dialogues(folder / "dialogues.json"), load_dialogues(folder / "general.json"),
        manifest["annotator"], manifest["asked"], manifest["reused"], manifest["quarantined"],
    )  # fmt: skip


def whole_records(path: Path) -> list[dict]:
    """Read records that the kit wrote itself: a damaged one means a damaged file."""
    records, quarantined = load_records(path)
    if quarantined:
        raise RecordError(f"{quarantined[0]}", path=path, cure="remove dataset.json beside it and build again")
    return records


def read_manifest(folder: Path) -> dict:
    """Return the manifest, written last; an empty one where there is none or it is damaged."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def make_all(count: int, what: str, quarantined: list[str], make: Callable[[int], Item]) -> list[Item]:
    """Make items 1 to `count` with a progress bar; an item that fails is quarantined and the rest goes on.

    A fatal error, such as an endpoint that is gone, is raised: the next run goes on from there.
    """
    made = []
    for i in tqdm(range(1, count + 1), desc=what, mininterval=2):
        try:
            made.append(make(i))
        except InstitError as problem:
            if problem.outcome == "fatal":
                raise
            quarantined.append(f"{what} {i}: {problem}")
    if count and not made:
        raise RecordError(f"all {count} {what} failed, the first so: {quarantined[0]}", cure="mend that first")
    return made


def build_clip(
    number: int, seed: int, out: Path, server: SimulatedServer, client: Client, n_frames: int
) -> dict:
    """Film, read back, mark and annotate one clip; return its INST-IT video record."""
    scene, name = sample_scene(seed, CLIPS), f"{number:06d}"
    path = out / "clips" / f"{name}.mp4"
    if not path.exists():
        film(scene, path, n_native=NATIVE_FRAMES)
    save_scene_json(scene, out / "scenes" / f"{name}.json")
    clip = read_clip(path, n_frames)
    marked = mark_clip(clip.frames, from_scene(scene, clip), style="micro")
    for frame, facts in zip(marked, scene_facts(scene, clip.clock)):
        server.know_frame(frame, facts)
    annotation = annotate_clip(client, marked)
    folder = f"videos_vpt/{name}"
    for frame, told in zip(marked, annotation.frames):
        write_jpeg(out / folder / told.frame_name, frame)
    return video_record(number, folder, annotation)
