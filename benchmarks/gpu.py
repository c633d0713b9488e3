"""Peak memory and speed of the true 7B shapes on one GPU. In: nothing but this checkout. Out: JSON lines, a table, bars.

    python benchmarks/gpu.py            # both models, minutes each; no network, weights are random
    python benchmarks/gpu.py --toy      # the same code at toy shapes on a CPU, seconds

Four lines a model: one sequence of 6,144 tokens with LoRA r=16, the tower frozen, checkpointed and under a memory cap;
the same with the paper's freezing (12 layers of the tower, section 4); the same without checkpointing, for speed; and
an INST-IT-shaped epoch against one question per sample in TRL, tuned, or in the kit's own trainer where there is no TRL.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

import _results
from _arms import ANSWER_TOKENS, QA_TOKENS, START, Arm, Running, has_trl, made_clip, sequences
from _shapes import build, shape
from instit_lite.model.freeze import freeze_first_layers
from instit_lite.model.qlora import QLora, attach_qlora, freeze_unused_layers
from instit_lite.model.visual import inner_model, tokens_per_frame
from instit_lite.profiles import build_dir
from instit_lite.training.collator import Encoded

GIB = 2**30
LENGTH = 6144
POOLS = {"vicuna": [("bilinear", 32)], "qwen2": [("bilinear", 31), ("average", 32)]}  # 32 x 196 do not fit
CAPS = {"vicuna": 10.0, "qwen2": 12.0}  # GiB, the bars for peak reserved memory
TOKENS_S, FASTER, PLAN_OFF = 11_000, 6.0, 0.15
FAST_CARDS = ("H100", "H200", "B200", "GB200")  # for which the bar of tokens per second is meant
FRAMES, QAS, CLIPS = 7, 16, 4
COLUMNS = ("model", "line", "tokens", "at a time", "cap GiB", "peak GiB", "plan GiB", "plan off %", "tokens/s",
           "answers/s", "ratio")  # fmt: skip


def filled_clip(model: nn.Module, frames: int, length: int) -> Encoded:
    """Make a clip of exactly `length` tokens: questions of the usual size after the frames, the last one shorter."""
    room = length - START - frames * tokens_per_frame(model, pooled=True)
    sizes = [QA_TOKENS] * (room // QA_TOKENS)
    return made_clip(model, frames, [*sizes, rest] if (rest := room % QA_TOKENS) > 1 else sizes)


def set_cap(cap: float | None) -> None:
    """Let this process reserve `cap` GiB of the GPU, or all of it, and begin to measure afresh."""
    gc.collect()
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory / GIB
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, cap / total) if cap else 1.0)
        torch.cuda.reset_peak_memory_stats()


def measure(model: nn.Module, clips: Sequence[Encoded], arm: Arm, steps: int, cap: float | None = None) -> dict:
    """Train for one step, then `steps` timed ones; a result without figures is one that ran out of memory."""
    set_cap(cap)
    found = {"line": arm.name, "at a time": arm.at_once, "cap GiB": cap, "checkpoint": arm.checkpoint,
             "trl": arm.trl, "plan GiB": None if arm.trl else planned(model, clips, arm)}  # fmt: skip
    try:
        running = Running(model, clips, arm)
        running.steps(1)
        seconds = statistics.median(running.steps(steps))
        found |= {"tokens": running.tokens, "seconds": seconds, "tokens/s": running.tokens / seconds,
                  "answers/s": running.answers / seconds}  # fmt: skip
        if torch.cuda.is_available():
            found["peak GiB"] = torch.cuda.max_memory_reserved() / GIB
    except torch.OutOfMemoryError:
        found["line"] += ": out of memory"
    model.zero_grad(set_to_none=True)
    if found.get("peak GiB") and found["plan GiB"]:
        found["plan off %"] = 100 * (found["peak GiB"] / found["plan GiB"] - 1)
    return found


def planned(model: nn.Module, clips: Sequence[Encoded], arm: Arm) -> float | None:
    """What the kit's memory plan says that torch will reserve, in GiB; None where this checkout has no plan."""
    try:
        from instit_lite.model.memory import OUTSIDE, Work, count, memory_lines, peak_of
    except ImportError:
        return None
    rows, gpu = sequences(clips, arm.packing)[: arm.at_once], torch.cuda.is_available()
    length = max(len(row.prefix) + sum(len(b.ids) for b in row.branches) for row in rows)
    answers = sum(len(b.ids) - b.answer_start for row in rows for b in row.branches)
    work = Work(len(rows), length, answers, sum(len(row.pixels) for row in rows))
    lines = memory_lines(count(model), work, width=2 if gpu else 4, every=int(arm.checkpoint), gpu=gpu)
    return (peak_of(lines) - lines.get(OUTSIDE, 0)) / GIB


def capped(model: nn.Module, clips: Sequence[Encoded], arm: Arm, steps: int, cap: float) -> Iterator[dict]:
    """Measure under a cap, and without it too where the cap is too low."""
    yield (found := measure(model, clips, arm, steps, cap))
    if "seconds" not in found:
        yield measure(model, clips, arm, steps)


def fastest(model: nn.Module, clips: Sequence[Encoded], arms: Sequence[Arm], steps: int) -> dict:
    """Measure the same way at several sizes; return the fastest, or one that ran out of memory where all did."""
    found = [measure(model, clips, arm, steps) for arm in arms]
    return max(found, key=lambda each: each.get("answers/s", 0.0))


def lines_of(name: str, model: nn.Module, toy: bool, steps: int) -> Iterator[dict]:
    """Measure all lines of one model; the model is the frozen-tower one again at the end of each."""
    layers = len(inner_model(model).vision_tower.encoder.layers)
    for pool, frames in POOLS[name]:
        model.config.pool_mode = pool
        frames = 3 if toy else frames
        clips = [filled_clip(model, frames, 160 if toy else LENGTH)]
        shown = f"{frames} frames {pool}"
        lean = Arm(f"{shown}, frozen tower, checkpointing", checkpoint=True)
        yield from capped(model, clips, lean, steps, CAPS[name])
        freeze_first_layers(model)  # the paper's
        freeze_unused_layers(model)
        paper = replace(lean, name=f"{shown}, the paper's freezing, checkpointing")
        yield from capped(model, clips, paper, steps, CAPS[name])
        freeze_first_layers(model, layers)
        yield measure(model, clips, Arm(f"{shown}, frozen tower, no checkpointing"), steps)
    yield from epoch(model, toy, steps)


def epoch(model: nn.Module, toy: bool, steps: int) -> Iterator[dict]:
    """An INST-IT-shaped epoch: all questions of a clip together, against one per sample and multi-turn."""
    frames, qas, count = (2, 4, 2) if toy else (FRAMES, QAS, CLIPS)
    clips = [made_clip(model, frames, [QA_TOKENS] * qas, seed) for seed in range(count)]
    trl, who = has_trl(), "TRL" if has_trl() else "the kit's trainer (no TRL here)"
    baseline = Arm(f"epoch, one per sample, {who}", "one_per_sample", trl)
    ways = {
        "baseline": [replace(baseline, at_once=k, checkpoint=c) for c in (False, True) for k in (1, 4, 16) if k <= qas],
        "multi-turn": [Arm(f"epoch, multi-turn, {who}", "multi_turn", trl, at_once=k) for k in (1, 2)],
        "ours": [Arm("epoch, shared prefix", checkpoint=c, at_once=k) for c in (False, True) for k in (1, 2)],
    }
    found = {way: fastest(model, clips, arms, steps) for way, arms in ways.items()}
    for way, each in found.items():
        if "seconds" in each and "seconds" in found["baseline"]:
            each["ratio"] = found["baseline"]["seconds"] / each["seconds"]
        yield each | {"way": way}


def bars(rows: Sequence[dict], card: str) -> list[tuple[str, bool | None]]:
    """Judge the rows of one model; None: not measured, or not a card that the bar is meant for."""
    name = rows[0]["model"]
    lean = [r for r in rows if "frozen tower, checkpointing" in r["line"] and r["cap GiB"] == CAPS[name]]
    peaks = [r.get("peak GiB", None if card else 0.0) for r in lean]
    fast = [r["tokens/s"] for r in rows if r.get("tokens") == LENGTH and "frozen tower" in r["line"]]
    ratio = next((r.get("ratio") for r in rows if r.get("way") == "ours"), None) if card else None
    off = [abs(r["plan off %"]) / 100 for r in rows if r.get("plan off %") is not None]
    fits = None if not card else all(p is not None and p <= CAPS[name] for p in peaks)
    return [
        (f"{name}: peak reserved <= {CAPS[name]:g} GiB", fits),
        (f"{name}: >= {TOKENS_S:,} tokens/s", max(fast) >= TOKENS_S if fast and fast_card(card) else None),
        (f"{name}: epoch >= {FASTER:g} x one per sample", None if ratio is None else ratio >= FASTER),
        (f"{name}: plan within {PLAN_OFF:.0%}", max(off) <= PLAN_OFF if off else None),
    ]


def fast_card(card: str) -> bool:
    return any(name in card for name in FAST_CARDS)


def run_model(name: str, toy: bool, steps: int) -> list[dict]:
    """Build one model and measure all its lines."""
    gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if gpu else ("cpu", torch.float32)
    set_cap(None)
    model = build(shape(name, toy), device, dtype, nf4=True)
    model = attach_qlora(model, QLora(rank=4 if toy else 16, frozen_layers=999))
    rows = []
    for row in lines_of(name, model, toy, steps):
        rows.append({"model": name} | row)
        print("  ".join(f"{c} {_results.cell(rows[-1][c])}" for c in COLUMNS if rows[-1].get(c) is not None), flush=True)
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure memory and speed of the 7B shapes on one GPU.")
    parser.add_argument("--toy", action="store_true", help="toy shapes, to see that it works; writes no RESULTS.md")
    parser.add_argument("--models", nargs="+", choices=sorted(POOLS), default=sorted(POOLS, reverse=True))
    parser.add_argument("--steps", type=int, help="timed steps (default 5, toy 1)")
    parser.add_argument("--out", type=Path, help="JSON lines (default build/results/gpu.jsonl)")
    parser.add_argument("--results", type=Path, help="append the table here (default benchmarks/RESULTS.md)")
    options = parser.parse_args(arguments)
    if not (options.toy or torch.cuda.is_available()):
        parser.error("no GPU here: only --toy runs without one")
    rows, verdicts = [], []
    card = torch.cuda.get_device_name() if torch.cuda.is_available() and not options.toy else ""
    head = {"date": str(datetime.date.today()), "machine": _results.machine(), "versions": _results.versions()}
    out = options.out or build_dir("results") / "gpu.jsonl"
    for name in options.models:
        own = run_model(name, options.toy, options.steps or (1 if options.toy else 5))
        verdicts += bars(own, card)
        rows += own
        with open(out, "a", encoding="utf-8") as opened:  # at once: a later model may run out of time
            opened.writelines(json.dumps(head | row) + "\n" for row in own)
    words = {True: "pass", False: "FAIL", None: "not judged"}
    told = "\n".join(f"- {words[verdict]}: {what}" for what, verdict in verdicts)
    print(told, flush=True)
    results = options.results or (None if options.toy else _results.RESULTS)
    if results:
        note = f"LoRA r=16 on NF4, random weights; {QA_TOKENS} tokens a question with its answer, {ANSWER_TOKENS} of "
        note += f"them answer; peak: reserved by torch.\n\n{told}"
        table = {"title": "7B shapes on one GPU", "columns": COLUMNS, "note": note,
                 "rows": [[row.get(column) for column in COLUMNS] for row in rows]}  # fmt: skip
        _results.append([table], "benchmarks/gpu.py" + (" --toy" if options.toy else ""), results)
    return 1 if False in [verdict for _, verdict in verdicts] else 0


if __name__ == "__main__":
    raise SystemExit(main())
