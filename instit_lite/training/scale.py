"""What a real training costs, by arithmetic. In: cards, prices. Out: the tables of `docs/at-scale.md`.

    python -m instit_lite.training.scale --price a100=1.5       prints them; --write puts them into the page

Nothing here was measured. Memory is `plan`'s; hours are the FLOPs of samples of the mix (paper sections 3, 4)
over an assumed share of a card's peak; money is hours times an assumed price.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch

from ..dataset.mixing import PAPER_SHARE, largest_mix
from ..model.anyres import image_tokens
from ..model.cards import CARDS
from ..model.flops import step_flops
from ..model.memory import Counted, Work
from ..model.shapes import QWEN, VICUNA, meta_model
from ..profiles import atomic_write_text, get_profile, repo_root, with_block
from .plan import GIB, START, Plan, Request, choose, count_request, plan_text

PAGE = repo_root() / "docs" / "at-scale.md"
BEGIN = "<!-- costs: begin (written by `python -m instit_lite.training.scale --write`) -->"
END = "<!-- costs: end -->"
MFUS = (0.40, 0.15)  # share of a card's peak: what `plan` assumes, and about what the paper's own run reached
PRICES = {"t4": 0.40, "rtx4090": 0.50, "a100": 1.80, "h100": 3.00}  # dollars an hour, assumed, November 2026
SIZES = ("t4", "rtx4090", "a100")
BACKBONES = {VICUNA: "Vicuna-7B, CLIP", QWEN: "Qwen2-7B, SigLIP"}
GROUPS = (("t4", 1), ("rtx4090", 1), ("a100", 1), ("h100", 1), ("a100", 4), ("h100", 8))
TOKENS_A_WORD, ASKING, GENERAL_TEXT = 1.35, 30, 250  # assumed: of a question, of a general dialogue
FRAMES, QAS, QA_TOKENS = 7.31, 15.6, 90  # of a clip, by Table 9 and section 3; the last is assumed
INST_IT = {"videos_vpt.zip": 22.4, "images_vpt.zip": 5.59, "both json files": 0.42}  # GB, as the hub lists
N_GENERAL, GENERAL_GB = 779_289, 92  # rows of LLaVA-NeXT-Data, and all of it
PAPER_SAMPLES, PAPER_HOURS, PAPER_CARD = 920_000, 8 * 20, "h100"  # Table 2; appendix on training


@dataclass(frozen=True)
class Kind:
    """A kind of dialogue: how many there are, visual tokens and encoder views of one, its words of text."""

    count: int
    visual: float
    views: float
    words: float
    asked: float = ASKING

    @property
    def text(self) -> float:
        return self.words * TOKENS_A_WORD + self.asked


@cache
def kinds_of(name: str) -> dict[str, Kind]:
    """The published data as the kit reads it, by the counts and words of Tables 8 and 9.

    Pictures have the usual forms: frames 16:9, SA-1B 3:2, general ones 4:3. Questions of a clip fill two.
    """
    model = meta_model(name, dtype=torch.bfloat16, pool="bilinear", context=6144, tiles=4)
    counted = count_longest(name, None)
    wide, photo, general = (image_tokens(model, size) for size in ((720, 1280), (1000, 1500), (480, 640)))
    clip = FRAMES * counted.pooled
    captions = 836_524 / 207_662 * 24.3 + 106.5  # of all instances, and of the whole
    return {
        "video_qa": Kind(2 * 21_418, clip, FRAMES, 0, QAS / 2 * QA_TOKENS),
        "video_caption": Kind(21_372, clip, FRAMES, 342.2),
        "frame": Kind(156_561, wide, 5, captions, 2 * ASKING),
        "temporal_change": Kind(135_143, 2 * counted.grid, 2, 67.7),
        "image": Kind(51_101, photo, 5, captions, 2 * ASKING),
        "general": Kind(N_GENERAL, general, 5, GENERAL_TEXT / TOKENS_A_WORD, 0),
    }


def mix_of(kinds: Mapping[str, Kind]) -> dict[str, float]:
    """How many samples of each kind the largest mix has, with the paper's share of general data."""
    n_general = kinds["general"].count
    n_own = sum(kind.count for kind in kinds.values()) - n_general
    total = largest_mix(n_own, n_general, PAPER_SHARE)
    own = (1 - PAPER_SHARE) * total / n_own
    drawn = {name: own * kind.count for name, kind in kinds.items()}
    return drawn | {"general": total * PAPER_SHARE}


def work_of_kind(counted: Counted, kind: Kind) -> Work:
    """One sample of a kind, as a row of its own."""
    length = START[counted.config.text_config.model_type] + kind.visual + kind.text
    return Work(1, round(length), round(0.7 * kind.text), round(kind.views))


@cache
def mean_flops(name: str, every: int, full: bool = False) -> tuple[float, float]:
    """FLOPs of a sample of the mix, on average, and the number of samples; `full`: all weights train."""
    counted, kinds = count_longest(name, None), kinds_of(name)
    mix, flops = mix_of(kinds), 0.0
    for kind, count in mix.items():
        parts = step_flops(counted, work_of_kind(counted, kinds[kind]), every)
        extra = parts["language model, forward"] - parts["LoRA"] if full else 0.0
        flops += count * (sum(parts.values()) + extra)
    return flops / sum(mix.values()), sum(mix.values())


def hours(name: str, card: str, every: int, samples: float | None = None, mfu: float = MFUS[0]) -> float:
    """Hours of one card for so many samples of the mix; None: all of it once."""
    flops, whole = mean_flops(name, every)
    return flops * (samples or whole) / (CARDS[card].tflops * 1e12 * mfu) / 3600


def paper_mfu() -> float:
    """Which share of its cards' peak the paper's run reached, were its samples those of the mix here."""
    flops, _ = mean_flops(VICUNA, 0, full=True)
    return flops * PAPER_SAMPLES / (PAPER_HOURS * 3600 * CARDS[PAPER_CARD].tflops * 1e12)


def longest(name: str, frozen: int | None = None) -> Request:
    """The longest clip, one at a time, as `instit-lite train` takes it."""
    pool = "average" if name == QWEN else "bilinear"  # 32 bilinear SigLIP frames exceed 6,144 positions
    return Request(name, pool=pool, frozen_layers=frozen, at_once=1)


@cache
def count_longest(name: str, frozen: int | None) -> Counted:
    return count_request(longest(name, frozen), CARDS["a100"])  # both 16-bit types have the same size


def worst(name: str, card: str, frozen: int | None = None) -> Plan:
    """The plan of the longest clip on a card."""
    return choose(count_longest(name, frozen), longest(name, frozen), CARDS[card])


def memory_table() -> list[list[str]]:
    """Rows: card, backbone, what `train` sets there, peaks with the paper's freezing and a frozen encoder."""
    rows = []
    for key, name in ((key, name) for key in SIZES for name in (VICUNA, QWEN)):
        card, plans = CARDS[key], [worst(name, key, frozen) for frozen in (None, 99)]
        peaks = [f"{plan.peak / GIB:.1f}{'' if plan.peak <= card.usable else ' (no)'}" for plan in plans]
        kind = str(card.dtype).removeprefix("torch.")
        head = [f"{card.name}, {card.gib:g} GiB", BACKBONES[name], kind, depth(plans[0])]
        rows.append([*head, *peaks, f"{card.usable / GIB:.1f}"])
    return rows


def depth(plan: Plan) -> str:
    every = {0: "none", 1: "all"}.get(plan.every, f"1 in {plan.every}")
    return every + (", offloaded" if plan.offload else "")


def run_samples() -> int:
    """Samples of the run that profile gpu describes."""
    profile = get_profile("gpu")
    return profile.sft_steps * profile.sft_batch


def cost_table(prices: Mapping[str, float], mfus: Sequence[float] = MFUS) -> list[list[str]]:
    """Rows: cards, hours and money of the profile's run and of the whole mix, Vicuna-7B, at each share."""
    rows = []
    for key, n in GROUPS:
        every, row = worst(VICUNA, key).every, [f"{n} x {CARDS[key].name}" if n > 1 else CARDS[key].name]
        for samples in (run_samples(), None):
            spans = [hours(VICUNA, key, every, samples, mfu) / n for mfu in mfus]
            row += [span(spans), "$" + span([h * n * prices[key] for h in spans])]
        rows.append([*row, f"{n * prices[key]:.2f}"])
    return rows


def disk_table() -> list[list[str]]:
    """Rows: what lies on the disk, and its GB with each backbone."""
    counted = [count_longest(name, None) for name in BACKBONES]
    parts = [(c.language, c.words, c.encoder, c.projector) for c in counted]
    whole = [2 * sum(part.parameters for part in of) / 1e9 for of in parts]
    adapter = [sum(part.trained for part in (c.lora, c.projector, c.encoder)) / 1e9 for c in counted]
    run, marked = run_samples(), sum(INST_IT.values())
    general = run * PAPER_SHARE * GENERAL_GB / N_GENERAL
    sizes = {
        "base checkpoint, 16 bits": whole,
        "INST-IT, marked: json and archives": [marked] * 2,
        "the same, unpacked beside them": [marked] * 2,
        f"general pictures of {run:,} samples": [general] * 2,
        "checkpoints of the run: two kept, a third being written": [9 * size for size in adapter],
        "adapter": adapter,
        "merged model": whole,
    }
    rows = [[what, *(f"{size:.1f}" for size in of)] for what, of in sizes.items()]
    return [*rows, ["together", *(f"{sum(of[i] for of in sizes.values()):.0f}" for i in range(len(counted)))]]


def span(values: Sequence[float]) -> str:
    return " to ".join(f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in values)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(prices: Mapping[str, float] = PRICES, mfus: Sequence[float] = MFUS) -> str:
    """What stands between the two comments of the page."""
    _, whole = mean_flops(VICUNA, 0)
    frozen = ["the paper's freezing", "encoder frozen"]
    memory = ["card", "base", "format", "layers checkpointed", *frozen, "usable"]
    spans = [f"hours, {run_samples():,} samples", "money", f"hours, the whole mix ({whole:,.0f})", "money"]
    cost = ["cards", *spans, "$ an hour"]
    shares = " and ".join(f"{mfu:.0%}" for mfu in mfus)
    return "\n\n".join([
        plan_shown(),
        "Predicted peak memory in GiB, 32 frames in a context of 6,144, LoRA rank 16, one sample at a time:",
        markdown(memory, memory_table()),
        f"Predicted hours and money for Vicuna-7B, at {shares} of the cards' 16-bit peak:",
        markdown(cost, cost_table(prices, mfus)),
        f"By the same arithmetic the paper's run (all weights, {PAPER_SAMPLES:,} samples, {PAPER_HOURS} H100 "
        f"hours) reached {paper_mfu():.0%}.",
        "Predicted disk in GB; nothing else of the run is large:",
        markdown(["what", *BACKBONES.values()], disk_table()),
    ])  # fmt: skip


def plan_shown() -> str:
    """What `plan` says of the smallest card, of memory only the lines of the paper's freezing."""
    said = plan_text(longest(VICUNA), CARDS["t4"]).split("\n")
    kept = [line for line in said if not line.startswith(("  ", "work")) or "later encoder layers" in line]
    return "\n".join([f"```text\n$ instit-lite plan {VICUNA} --card t4 --at-once 1", *kept, "```"])


def with_tables(text: str, new: str) -> str:
    """The page with other tables; see `with_block`."""
    return with_block(text, BEGIN, END, f"\n{new}\n", PAGE)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables with other prices and shares, or write the page's own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--price", action="append", default=[], metavar="CARD=DOLLARS", help="an hour")
    parser.add_argument("--mfu", type=float, nargs="+", default=MFUS, help="shares of the peak (0.4 0.15)")
    parser.add_argument("--write", action="store_true", help="write docs/at-scale.md, as assumed here")
    options = parser.parse_args(arguments)
    if options.write:
        atomic_write_text(PAGE, with_tables(PAGE.read_text(encoding="utf-8"), tables()))
        return 0
    named = dict(pair.split("=", 1) for pair in options.price if "=" in pair)
    if len(named) < len(options.price) or not named.keys() <= PRICES.keys():
        parser.error(f"a price is CARD=DOLLARS, and a card one of {', '.join(PRICES)}")
    print(tables(PRICES | {card: float(price) for card, price in named.items()}, options.mfu))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
