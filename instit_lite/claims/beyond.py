"""Beyond the paper, measured. In: tuned models. Out: what a second round of training brings or costs, with intervals.

A tuned model annotates new clips and trains on its own words: all of them, those that the audit left, or the truth in
their place. A fourth round, on dots in place of numbers, is as long. `python -m instit_lite.claims.beyond --help`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import ConcatDataset

from ..annotation.schema import ClipAnnotation
from ..dataset.build import CHOICE_SHARE, SEED_STEP, first_scene
from ..dataset.choices import add_choices
from ..dataset.stills import build_general
from ..errors import end_with
from ..evaluation.bench import build_bench
from ..evaluation.item import BenchItem
from ..evaluation.pictures import draw
from ..evaluation.pointing import pointer_benches, pointer_samples
from ..evaluation.report import answer_and_keep
from ..evaluation.score import marks_of
from ..marks.images import write_jpeg
from ..model.adapter import LORA_FILE, adapter_folder, read_card
from ..model.load import Base, load_base
from ..model.merge import merge_adapter
from ..profiles import PROFILES, Profile, atomic_write_text, build_dir, get_profile
from ..scenes.seeds import BENCH_SEED, BENCH_SPAN
from ..training.recipe import samples_of
from ..training.sft import run_sft
from .annotator import Asked, Told, annotate, dialogues_of, doubts, truthful, units, without
from .origin import made_here
from .room import read_json
from .verdict import Estimate, difference

BENCH = BENCH_SEED + 2 * BENCH_SPAN  # bench 0 is the notebooks', bench 1 the claims'
SPLITS = ("image", "video", "general")
RATE = 4e-4  # a third of the recipe's: a second round starts from a trained model
ROUNDS = ("unfiltered", "filtered", "truthful")
BEFORE, POINTED = "before", "pointed"
Say = Callable[[str], None]


def sizes(profile: Profile) -> dict[str, int]:
    """How much is annotated anew, and how long a second round is: a quarter or less of the first."""
    return {"clips": max(3, profile.n_clips // 4), "pictures": max(3, profile.n_images // 5),
            "general": max(3, profile.n_general // 4), "steps": max(2, profile.sft_steps // 10)}  # fmt: skip


def new_seeds(seed: int) -> dict[str, int]:
    """First scene seeds of what is annotated: in the part of a build's seeds that no build uses."""
    first = first_scene(seed) + 3 * SEED_STEP
    return {name: first + k * SEED_STEP // 4 for k, name in enumerate(("clips", "pictures", "general", "pointers"))}


def annotated(base: Base, profile: Profile, seed: int, out: Path, say: Say = print) -> list[Told]:
    """Let the model annotate the new scenes; its words and the marked frames are kept in `out`."""
    first, n, path = new_seeds(seed), sizes(profile), out / "said.json"
    scenes = [draw("video", first["clips"] + i, profile.n_frames) for i in range(n["clips"])]
    scenes += [draw("image", first["pictures"] + i, 1) for i in range(n["pictures"])]
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    said = {Asked(*row[:-1]): row[-1] for row in rows}
    say(f"annotating {len(scenes)} clips and pictures; {len(said)} answers are there")
    told = annotate(base, [drawn for drawn in scenes if drawn.ids], profile.eval_batch, said)
    for number, one in enumerate(told):
        for frame, own in zip(one.frames, one.annotation.frames):
            write_jpeg(out / folder_of(number) / own.frame_name, frame)
    atomic_write_text(path, json.dumps([[*ask, answer] for ask, answer in said.items()]) + "\n")
    return told


def folder_of(number: int) -> str:
    """Where the marked frames of a clip lie."""
    return f"marked/{number:06d}"


def counted(told: Sequence[Told]) -> list[dict]:
    """What the model wrote, by kind: how much, how much of it right, kept by the audit, and kept and right."""
    rows: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(4, int))
    for one in told:
        doubted = doubts(one)
        for unit, kind, right in units(one):
            kept = unit not in doubted
            rows[kind] += (1, right, kept, kept and right)
    names = ("n", "right", "kept", "kept_right")
    return [{"kind": kind, **dict(zip(names, map(int, row)))} for kind, row in sorted(rows.items())]


def texts_of(name: str, one: Told) -> ClipAnnotation:
    """The annotation that a round trains on."""
    if name == "filtered":
        return without(one.annotation, doubts(one))
    return truthful(one) if name == "truthful" else one.annotation


def samples_for(name: str, base: Base, profile: Profile, seed: int, told: Sequence[Told], out: Path) -> Sequence:
    """The samples of one round; general data are the same in all. Half of those of the pointed round have numbers."""
    n = sizes(profile)["steps"] * profile.sft_batch
    first, count = new_seeds(seed), sizes(profile)["general"]
    general = add_choices([build_general(i, first["general"] + i, out) for i in range(count)], CHOICE_SHARE, seed)
    source = "truthful" if name == POINTED else name
    own = [d for k, one in enumerate(told) for d in dialogues_of(k, one, texts_of(source, one), folder_of(k))]
    own = add_choices(own, CHOICE_SHARE, seed)
    if name != POINTED:
        return samples_of(base, own, general, out, n, seed)
    dots = pointer_samples(range(first["pointers"], first["pointers"] + n - n // 2))
    return ConcatDataset([dots, samples_of(base, own, general, out, n // 2, seed)])


def benches(profile: Profile) -> tuple[list[BenchItem], dict[str, list[BenchItem]]]:
    """The open questions of the fresh bench, and those by pointer."""
    items = [item for item in build_bench(profile, BENCH, splits=SPLITS) if item.format == "open"]
    return items, pointer_benches(profile, BENCH + BENCH_SPAN)


def right(base: Base, items: Sequence[BenchItem], path: Path, batch: int) -> str:
    """The answers' marks as a text of noughts and ones, in the order of the items."""
    said = answer_and_keep(base, items, path, batch=batch, progress=False)
    return "".join(str(int(mark)) for mark in marks_of(items, said))


def begin(out: Path, identity: dict) -> None:
    """Make a folder ready; what another model or other scenes left there is removed."""
    if read_json(out / "round.json") != identity:
        shutil.rmtree(out, ignore_errors=True)
        atomic_write_text(out / "round.json", json.dumps(identity) + "\n")


def measure_seed(profile: Profile, seed: int, adapter: str | Path, out: Path, bench: tuple, say: Say = print) -> dict:
    """All rounds that start from one tuned model; a killed run goes on. Returns counts and marks by model and bench."""
    begin(out, {"adapter": weights_of(adapter), "seed": seed, "frames": profile.n_frames, **sizes(profile)})
    if not (out / "merged").exists():
        merge_adapter(adapter_folder(adapter), out / "merged", tell=say)
    base = load_base(str(out / "merged"))
    told = annotated(base, profile, seed, out, say)
    marks = {}
    for name in (BEFORE, *ROUNDS, POINTED):
        model = base
        if name != BEFORE:
            samples = samples_for(name, base, profile, seed, told, out)
            own = {"seed": seed, "steps": sizes(profile)["steps"], "nf4": False, "lr": RATE}
            model = run_sft(base, samples, profile, out / name, say=say, **own).base
        say(f"asking: {name}")
        asked = {"bench": bench[0], **(bench[1] if name in (BEFORE, "truthful", POINTED) else {})}
        marks[name] = {
            what: right(model, items, out / f"answers_{name}_{what}.jsonl".replace(" ", "_"), profile.eval_batch)
            for what, items in asked.items()
        }
    return {"written": counted(told), "marks": marks}


def measure(profile: Profile, adapters: Sequence[str | Path], out: str | Path, say: Say = print) -> dict:
    """Measure from every tuned model, one a seed; returns what `kept_file` holds."""
    bench = benches(profile)
    items = {"bench": bench[0], "pointers": bench[1]["number"]}
    about = {"profile": profile.name, **made_here(), **sizes(profile), "batch": profile.sft_batch, "rate": RATE,
             "adapters": [weights_of(a) for a in adapters]}  # fmt: skip
    facts = {name: [[i.split, i.kind, i.clip_id] for i in own] for name, own in items.items()}
    seeds = [measure_seed(profile, seed, a, Path(out) / f"seed{seed}", bench, say) for seed, a in enumerate(adapters)]
    return about | {"items": facts, "seeds": seeds}


def weights_of(adapter: str | Path) -> str:
    """A hash of an adapter's weights; raises `ModelError` where the folder holds none, or a damaged one."""
    return read_card(adapter_folder(adapter))["files"][LORA_FILE]


def kept_file(profile: str) -> Path:
    """Where a measurement is kept in the repository."""
    return Path(__file__).with_name(f"beyond_{profile}.json")


def read_beyond(profile: Profile, adapter: str | Path, anew: bool = False, say: Say = print) -> dict:
    """The measurement that is kept in the repository; in profile smoke, or `anew`, it is made from one tuned model."""
    path = kept_file("micro")
    if path.exists() and profile.name != "smoke" and not anew:
        return json.loads(path.read_text(encoding="utf-8"))
    return measure(profile, [adapter], build_dir("beyond", profile.name), say)


def marks_of_model(found: dict, model: str, split: str = "", what: str = "bench") -> tuple[np.ndarray, list[str]]:
    """Marks [seeds, items] of one model, and the items' clips. `what`: "bench", with its `split`, or a way to point."""
    rows = found["items"]["bench" if what == "bench" else "pointers"]
    use = [k for k, row in enumerate(rows) if split in ("", row[0])]
    marks = [[int(one["marks"][model][what][k]) for k in use] for one in found["seeds"]]
    return np.array(marks), [rows[k][2] for k in use]


def change(found: dict, after: str, before: str, split: str = "", what: str = "bench", against: str = "") -> Estimate:
    """Accuracy of `after` minus that of `before` on the same items, over all seeds; see `verdict.difference`.

    `split`, `what`: see `marks_of_model`; `against`: the way to point of `before`, where it is another.
    """
    a, clips = marks_of_model(found, after, split, what)
    b, _ = marks_of_model(found, before, split, against or what)
    return difference(a - b, clips)


def accuracy(found: dict, model: str, split: str = "", what: str = "bench") -> float:
    """Share of right answers over all seeds; arguments as for `marks_of_model`."""
    return float(marks_of_model(found, model, split, what)[0].mean())


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m instit_lite.claims.beyond`."""
    parser = argparse.ArgumentParser(prog="python -m instit_lite.claims.beyond", description=__doc__)
    parser.add_argument("adapters", nargs="+", help="folders of tuned adapters of the micro base, one a seed")
    parser.add_argument("--profile", choices=list(PROFILES), default="micro")
    parser.add_argument("--out", help="where the rounds go (default: the build folder)")
    parser.add_argument("--keep", action="store_true", help="write the result into the package, for notebook 08")
    chosen = parser.parse_args(arguments)
    profile = get_profile(chosen.profile)
    out = Path(chosen.out or build_dir("beyond", profile.name))
    found = measure(profile, chosen.adapters, out)
    path = kept_file(profile.name) if chosen.keep else out / "beyond.json"
    atomic_write_text(path, json.dumps(found) + "\n")
    print(path)
    return 0


if __name__ == "__main__":
    end_with(main)
