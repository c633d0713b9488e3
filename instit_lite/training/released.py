"""Continuous SFT on the published data. In: hub ids or folders, a profile. Out: a report, then an adapter.

Paper section 4: INST-IT Dataset mixed with LLaVA-NeXT-Data, images and videos jointly. Its counts of the mix do not
add up (paper-facts B.4): the share of general data is theirs by parts, 765 to 243, and nothing is repeated within a
pass.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..dataset.dialogues import Dialogue, dialogues_of, table7_line, turns_of
from ..dataset.llava_next import general_dialogues
from ..dataset.mixing import PAPER_SHARE, largest_mix, mix
from ..dataset.quarantine import Quarantine
from ..dataset.released import FILES, HUB_ID, Released
from ..dataset.statistics import format_table
from ..errors import PreflightError, RecordError, UnreadableInput
from ..model.context import overflow_cure
from ..model.load import Base, load_base
from ..profiles import Profile, build_dir
from .collator import Sample
from .fit import ROOM, real_options
from .lengths import Length, context_of, length_of, length_table
from .preflight import marks_in, no_marks
from .processes import processes
from .recipe import VIDEO, DialogueSamples, Part, parts_of
from .sft import SftResult, run_sft


@dataclass(frozen=True)
class Source:
    """What to train on. `frames`: see `Released`. `line`: of Table 7, 0 (general data only) to 4 (all).
    `unmarked`: allow frames without the marks that their texts speak of, a control.
    """

    data: str | Path = HUB_ID
    general: str | Path | None = None
    frames: str = "marked"
    line: int = 4
    unmarked: bool = False


@dataclass
class Survey:
    """Dialogues counted and divided into parts, while they stream by.

    `marked`: whether INST-IT's pictures carry marks; general ones never do. `unmarked`: as in `Source`;
    `markless` counts what that lets pass.
    """

    base: Base
    root: Path
    most_frames: int
    quarantine: Quarantine
    marked: bool = True
    unmarked: bool = False
    lengths: list[Length] = field(default_factory=list)
    markless: int = 0

    def parts(self, dialogues: Iterable[Dialogue]) -> Iterator[Part]:
        """Yield the parts of dialogues that fit; the others are counted, and named in the quarantine."""
        context = context_of(self.base)
        for dialogue in dialogues:
            n_frames = len(dialogue["image"])
            if dialogue["kind"] in VIDEO and n_frames > self.most_frames:
                # not thinned out: <t> in its texts counts all frames
                reason = f"has {n_frames} frames, more than {self.most_frames}"
                self.quarantine.add(dialogue["id"], RecordError(reason, cure="use a profile with more frames"))
                continue
            if not self.has_marks(dialogue):
                continue
            try:
                length = length_of(self.base, dialogue, self.root)
            except UnreadableInput as problem:
                self.quarantine.add(dialogue["id"], problem)
                continue
            self.lengths.append(length)
            if length.positions > context:
                reason = f"needs {length.positions:,} positions, the model has {context:,}"
                pooled = n_frames if dialogue["kind"] in VIDEO else 0
                cure = overflow_cure(self.base.model, length.positions, pooled)
                self.quarantine.add(dialogue["id"], RecordError(reason, cure=cure))
                continue
            if length.text <= ROOM:  # as most are: no need to count again
                yield dialogue["kind"], tuple(dialogue["image"]), turns_of(dialogue)
            else:
                yield from parts_of(self.base, [dialogue], ROOM)

    def has_marks(self, dialogue: Dialogue) -> bool:
        """Whether a dialogue can train with its pictures; a general one that lacks marks is quarantined.

        Raises `PreflightError` for one of INST-IT's that lacks them, unless `unmarked` allows that.
        """
        general = dialogue["kind"] == "general"
        if not dialogue["image"] or (self.marked and not general):
            return True
        found = marks_in(turn["value"] for turn in dialogue["conversations"])
        if not found:
            return True
        problem = no_marks(f"{dialogue['id']} speaks of {found[0]}", self.root / dialogue["image"][0])
        if general:
            self.quarantine.add(dialogue["id"], problem)
            return False
        if not self.unmarked:
            raise problem
        self.markless += 1
        return True


class LenientSamples(DialogueSamples):
    """Samples of which a few may be damaged: one that cannot be read is quarantined, and the next takes its place."""

    def __init__(self, root: str | Path, parts: list[Part], quarantine: Quarantine, marked: bool = True) -> None:
        super().__init__(root, parts, marked)
        self.quarantine, self.bad = quarantine, set[int]()

    def __getitem__(self, index: int) -> Sample:
        for place in chain(range(index, len(self)), range(index)):
            if place not in self.bad:
                try:
                    return super().__getitem__(place)
                except UnreadableInput as problem:
                    self.quarantine.add(f"sample {place}", problem)
                except ValueError as problem:  # frames of one clip that differ in size
                    where = Path(self.root, self.parts[place][1][0])
                    self.quarantine.add(f"sample {place}", UnreadableInput(f"{problem}", path=where.parent))
                self.bad.add(place)
        raise PreflightError("not one sample can be read", path=self.root, cure="see the quarantine file")


def samples_of_released(
    base: Base, profile: Profile, source: Source, n: int, seed: int, quarantine: Quarantine,
    say: Callable[[str], None] = print,
) -> LenientSamples:  # fmt: skip
    """Read, count and mix: at most `n` samples, about 76 % of them general; says the report.

    Records stream by one at a time; kept are the plain texts and paths of the parts.
    """
    share = 0.0 if source.general is None else 1.0 if source.line == 0 else PAPER_SHARE
    released = Released(source.data, source.frames, quarantine=quarantine)
    survey = Survey(base, released.folder, profile.n_frames, quarantine, released.marked, source.unmarked)
    most = {"video": profile.n_clips if source.line else 0, "image": profile.n_images if source.line == 4 else 0}
    own: list[Part] = []
    for kind in FILES:
        records, silent = released.records(kind, most[kind]), not processes().main
        for record in tqdm(records, desc=f"{kind}s", mininterval=2, leave=False, disable=silent):
            try:
                made = table7_line(dialogues_of([record]), source.line)
            except RecordError as problem:  # a placeholder in its texts
                quarantine.add(f"{kind} {record[f'{kind}_id']}", problem)
                continue
            own += survey.parts(made)
    general: list[Part] = []
    if source.general is not None:
        wanted, kept = min(profile.n_general, round(n * share) + 1), re.sub(r"\W+", "-", str(source.general))
        folder = build_dir("general", kept.strip("-"))
        rows = general_dialogues(source.general, wanted, seed, folder, quarantine, released.repairs)
        general = list(survey.parts(rows))
    if not own and not general:
        raise RecordError(f"nothing to train on; {quarantine}", path=released.folder, cure="mend that first")
    mixed = mix(own, general, share, seed, min(n, largest_mix(len(own), len(general), share)))
    say(format_table(length_table(survey.lengths, context_of(base))))
    say("mended: " + (", ".join(f"{what} ({count})" for what, count in released.repairs.most_common()) or "nothing"))
    say(str(quarantine))
    kinds = Counter(part[0] for part in mixed).most_common()
    if survey.markless:
        say(f"a control: {survey.markless} dialogues speak of marks that their pictures do not carry")
    say(f"samples: {len(mixed)} of {len(own)} + {len(general)} general; " + ", ".join(f"{k} {c}" for k, c in kinds))
    return LenientSamples(released.folder, mixed, quarantine, released.marked)


def train_on_released(
    profile: Profile, source: Source, out: str | Path, *, seed: int = 0, steps: int | None = None,
    report_only: bool = False, tensorboard: bool = False, say: Callable[[str], None] = print, **options: Any,
) -> SftResult | None:  # fmt: skip
    """Continuous SFT on the published data, resumable as any run; `report_only` stops before the training.

    `options` go to `load_base`: `context`, because 32 frames of 144 tokens exceed Vicuna's own 4,096 positions; `pool`,
    because 32 of 196 exceed the paper's 6,144; `fit`.
    """
    steps, team = steps or profile.sft_steps, processes()
    weightless = report_only and profile.model != "micro"
    say, place = team.only_main(say), {"device_map": "meta"} if weightless else team.place
    base = load_base(profile.model, **options, **place)
    name = "quarantine.jsonl" if team.main else f"quarantine-{team.index}.jsonl"  # each meets other pictures
    quarantine = Quarantine(Path(out) / name)
    samples = samples_of_released(base, profile, source, steps * profile.sft_batch, seed, quarantine, say)
    if report_only:
        return None
    own = real_options(base, profile, say) | {"unmarked": source.unmarked, "tensorboard": tensorboard}
    done = run_sft(base, samples, profile, out, say=say, seed=seed, steps=steps, **own)
    say(str(quarantine))
    return done
