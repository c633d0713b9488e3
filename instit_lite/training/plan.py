"""Will it fit, and how long will it take? In: a model's name, a clip's shape, a card. Out: a plan, or what to change.

Nothing is downloaded or allocated: the model is counted on the meta device, tokens by the collator's own packing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from ..errors import PreflightError
from ..model.cards import CARDS, Card
from ..model.context import PAPER_CONTEXT, check_frames
from ..model.flops import step_flops
from ..model.freeze import papers_frozen
from ..model.memory import LAYER, LOGITS, Counted, Work, count, memory_lines, peak_of
from ..model.qlora import QLora, attach_qlora
from ..model.shapes import meta_model
from .collator import Encoded, pack
from .packing import IGNORE, Branch

START = {"llama": 36, "qwen2": 15}  # tokens of the templates before the frames, by language model
# Checkpoint every n-th layer (0: none), and keep the rest of it in host memory: from the fastest to the leanest.
DEPTHS = ((0, False), (4, False), (2, False), (1, False), (1, True))
GIB, CLIPS = 2**30, 21_418  # the paper's videos


@dataclass(frozen=True)
class Request:
    """What is to be trained.

    The paper's: `frames` (at most 32), `context` ("6K"), `qas` (15.6 a video), `frozen_layers` (None: its
    12), `pool`. Ours: `rank`, `batch` (clips per optimiser step), `at_once` (of these; None: as many as
    fit; `instit-lite train` takes one), `packing` (the paper's is multi_turn). Assumed: `qa_tokens`, of a
    question with its answer, and `answer_tokens` of them.
    """

    model: str
    frames: int = 32
    context: int = PAPER_CONTEXT
    pool: str = "bilinear"
    rank: int = 16
    frozen_layers: int | None = None
    packing: str = "shared_prefix"
    qas: int = 16
    qa_tokens: int = 90
    answer_tokens: int = 60
    batch: int = 16
    at_once: int | None = None

    def __post_init__(self) -> None:
        if self.at_once is not None and (self.at_once < 1 or self.batch % self.at_once):
            reason = f"a batch of {self.batch} cannot be taken {self.at_once} at a time"
            raise PreflightError(reason, cure="choose a number that divides `batch`")
        if min(self.frames, self.rank, self.qas, self.batch) < 1 or not 0 < self.answer_tokens < self.qa_tokens:
            cure = "give at least one of each, and fewer answer tokens than tokens of question and answer"
            raise PreflightError("frames, rank, questions, batch or their tokens make no training", cure=cure)


@dataclass(frozen=True)
class Plan:
    """How to train: `clips` at a time, which are `work`; checkpointing and offload; bytes by part at the peak."""

    clips: int
    work: Work
    every: int
    offload: bool
    lines: dict[str, int]

    @property
    def peak(self) -> int:
        return peak_of(self.lines)

    @property
    def depth(self) -> str:
        """What is checkpointed, in words."""
        light = f"1 layer in {self.every} checkpointed" if self.every else "no checkpointing"
        return light + (", in host memory" if self.offload else "")


def work_of(sample: Encoded, packing: str, views: int = 0) -> Work:
    """Count what a sample becomes in a batch; `views`: its pictures, where it carries no pixels."""
    rows, views = pack(sample, packing), views if sample.pixels is None else len(sample.pixels)
    answers = sum(int((row.labels != IGNORE).sum()) for row in rows)
    return Work(len(rows), max(map(len, rows)), answers, views * len(rows))


def joined(works: Sequence[Work]) -> Work:
    """What samples become together: rows padded to the longest."""
    rows, answers, views = (sum(getattr(w, name) for w in works) for name in ("rows", "answers", "views"))
    return Work(rows, max(w.length for w in works), answers, views)


def count_request(request: Request, card: Card) -> Counted:
    """Count the model of a request as training would have it on a card; refuse clips beyond its context."""
    base = meta_model(request.model, dtype=card.dtype, pool=request.pool, context=request.context)
    turns = request.qas if request.packing == "multi_turn" else 1
    check_frames(base, request.frames, START[base.config.text_config.model_type] + turns * request.qa_tokens)
    return count(attach_qlora(base, QLora(request.rank, frozen_layers=request.frozen_layers)))


def clip_work(counted: Counted, request: Request) -> Work:
    """Count one clip, packed by the collator."""
    prefix = [0] * (START[counted.config.text_config.model_type] + request.frames * counted.pooled)
    branch = Branch((0,) * request.qa_tokens, request.qa_tokens - request.answer_tokens)
    return work_of(Encoded(prefix, [branch] * request.qas, None, "video"), request.packing, request.frames)


def choose(counted: Counted, request: Request, card: Card) -> Plan:
    """Take the least checkpointing with which a clip fits, then as many clips as fit; the leanest where none does."""
    clip, first = clip_work(counted, request), request.at_once or 1

    def plan(clips: int, every: int, offload: bool) -> Plan:
        work = joined([clip] * clips)
        return Plan(clips, work, every, offload, memory_lines(counted, work, width=2, every=every, offload=offload))

    depth = next((depth for depth in DEPTHS if plan(first, *depth).peak <= card.usable), DEPTHS[-1])
    sizes = [n for n in range(1, request.batch + 1) if request.batch % n == 0]
    if request.at_once:
        sizes = [request.at_once]
    plans = [plan(n, *depth) for n in sizes]
    return max([p for p in plans if p.peak <= card.usable] or plans[:1], key=lambda p: p.clips)


def with_frames(request: Request, card: Card) -> tuple[Request, Plan]:
    """Lower a request's frames until it fits; one frame where none does."""
    counted = count_request(replace(request, frames=1), card)
    for n in range(request.frames, 0, -1):
        fewer = replace(request, frames=n)
        plan = choose(counted, fewer, card)
        if plan.peak <= card.usable:
            break
    return fewer, plan


def nearest(request: Request, card: Card) -> list[str]:
    """Name the single changes that make a request fit a card, or all of them together, with their peaks."""
    layers = count_request(replace(request, frames=1), card).config.vision_config.num_hidden_layers
    leaner = {"rank": min(8, request.rank), "qas": max(1, request.qas // 4), "pool": "average",
              "packing": "shared_prefix", "frozen_layers": layers}  # fmt: skip
    found = [with_frames(request, card)]
    for change in (replace(request, **{name: value}) for name, value in leaner.items()):
        found.append((change, choose(count_request(change, card), change, card)))
    fits = [(change, plan) for change, plan in found if plan.peak <= card.usable and change != request]
    fits = fits or [with_frames(replace(request, **leaner), card)]
    return [f"{changes(request, change)}: {plan.peak / GIB:.1f} GiB" for change, plan in fits]


def changes(before: Request, after: Request) -> str:
    """Name the fields in which two requests differ, as they are after."""
    pairs = [(f.name, getattr(after, f.name)) for f in fields(after)]
    return ", ".join(f"{name}={value}" for name, value in pairs if value != getattr(before, name))


def like(card: Card) -> list[str]:
    """The names of the known cards whose memory comes nearest to a card's."""
    apart = {name: abs(known.gib - card.gib) for name, known in CARDS.items()}
    return [name for name, gap in apart.items() if gap <= max(2, min(apart.values()))]


def plan_text(request: Request, card: Card, mfu: float = 0.4, clips: int = CLIPS) -> str:
    """Plan a request and write it out: verdict, settings, tokens, memory, arithmetic, time.

    `mfu`: the share of a card's peak that training reaches, assumed. Raises `PreflightError` for clips beyond the
    context, `ModelError` for a model that is not there.
    """
    counted = count_request(request, card)
    plan = choose(counted, request, card)
    fits, clip = plan.peak <= card.usable, clip_work(counted, request)
    flops, dtype = sum(step_flops(counted, plan.work, plan.every).values()) / plan.clips, str(card.dtype)
    layers, start = counted.config.vision_config.num_hidden_layers, START[counted.config.text_config.model_type]
    frozen = papers_frozen(layers) if request.frozen_layers is None else min(layers, request.frozen_layers)
    call = f"activation_checkpointing_enable(every_n_layers={plan.every}, offload={plan.offload})"
    how = f"{call} before run_sft; `instit-lite train` does so itself"
    out = [
        f"{request.model}, {request.frames} frames, {card.name} ({card.gib:g} GiB, capability "
        f"{'.'.join(map(str, card.capability))}): {'yes' if fits else 'NO'}, {plan.peak / GIB:.2f} GiB at the peak, "
        f"{card.usable / GIB:.2f} usable",
        f'load    load_base(..., dtype={dtype}, context={request.context}, pool="{request.pool}")',
        f"train   rank {request.rank}, first {frozen} of {layers} encoder layers frozen ({counted.later} train), "
        f"{request.packing}, batch={request.batch}, accumulate={request.batch // plan.clips}: {plan.clips} at a time",
        f"layers  {how if plan.every else plan.depth}",
        f"tokens  {start} + {request.frames} x {counted.pooled} before {request.qas} x "
        f"{request.qa_tokens} of questions and answers (assumed): {clip.rows} row(s) of {clip.length:,} a clip, "
        f"{clip.answers:,} supervised",
        "memory  GiB",
    ]  # fmt: skip
    smaller = LAYER if plan.lines[LAYER] < plan.lines[LOGITS] else LOGITS
    for name, size in plan.lines.items():
        out.append(f"  {size / GIB:8.3f}  {name}{', at another time: not added' if name == smaller else ''}")
    out.append(f"work    {flops / 1e12:,.2f} TFLOP a clip, {flops * request.batch / 1e12:,.2f} a step")
    if card.tflops:
        hours = clips * flops / (card.tflops * 1e12 * mfu) / 3600
        out += [f"time    {hours:,.1f} h for {clips:,} clips of {request.frames} frames at {mfu:.0%} of "
                f"{card.tflops:g} TFLOP/s (assumed); INST-IT's clips have 7.3 frames on average"]  # fmt: skip
    else:
        alike = ", ".join(like(card))
        out.append(f"time    not known for a card without a name: choose one that is like it, {alike}")
    if not fits:
        out.append("what would fit, or come nearest\n  " + "\n  ".join(nearest(request, card)))
    return "\n".join(out)
