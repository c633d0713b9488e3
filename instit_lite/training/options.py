"""The options of `instit-lite train | plan`. In: a parser. Out: the parser with them, nothing loaded."""

from __future__ import annotations

from argparse import ArgumentParser


def add_train(command: ArgumentParser) -> None:
    command.add_argument("--data", help="a folder made by `instit-lite build`, or INST-IT Dataset: hub id or folder")
    command.add_argument("--steps", type=int, help="optimiser steps (default: the profile's)")
    command.add_argument("--tensorboard", action="store_true", help="curves for TensorBoard, where it is installed")
    published = command.add_argument_group("only with INST-IT Dataset")
    published.add_argument("--general", help="LLaVA-NeXT-Data: hub id or folder (default: no general data)")
    published.add_argument("--frames", default="marked", help="marked, raw, or a style drawn anew (default marked)")
    published.add_argument("--unmarked", action="store_true", help="allow frames without the marks that texts speak of")
    published.add_argument("--line", type=int, choices=range(5), default=4, help="of Table 7; 4 is all (default 4)")
    published.add_argument("--model", help="checkpoint folder or hub id (default: the profile's)")
    published.add_argument("--context", type=int, help="positions (default: the base's, at most the paper's 6144)")
    published.add_argument("--pool", choices=("bilinear", "average"), default="bilinear",
                           help="of video frames; bilinear (default) is INST-IT's, 32 SigLIP frames need average")  # fmt: skip
    published.add_argument("--fit", choices=("squash", "crop"), default="squash",
                           help="squash (default, ours) keeps all marks; crop is CLIP's, as INST-IT's scripts do")  # fmt: skip
    published.add_argument("--report", action="store_true", help="count tokens, name bad items, and do not train")


def add_plan(command: ArgumentParser) -> None:
    command.add_argument("model", help="llava-v1.6-vicuna-7b, llava-v1.6-qwen2-7b, or a checkpoint folder")
    command.add_argument("--card", default="24", help="t4, rtx3060, l4, rtx4090, a100, h100, h200, own, or GB (24)")
    command.add_argument("--frames", type=int, default=32, help="of a clip (the paper's most: 32)")
    command.add_argument("--context", type=int, default=6144, help='positions (the paper\'s "6K": 6144)')
    command.add_argument("--pool", choices=("bilinear", "average"), default="bilinear")
    command.add_argument("--rank", type=int, default=16, help="of LoRA (ours: 16)")
    command.add_argument("--frozen-layers", type=int, help="of the encoder (default the paper's: 12)")
    packings = ("shared_prefix", "multi_turn", "one_per_sample")
    command.add_argument("--packing", choices=packings, default=packings[0], help="ours; the paper's is multi_turn")
    command.add_argument("--qas", type=int, default=16, help="questions on a clip (the paper: 15.6)")
    command.add_argument("--qa-tokens", type=int, default=90, help="of question and answer (assumed: 90)")
    command.add_argument("--answer-tokens", type=int, default=60, help="of these, the answer's (assumed: 60)")
    command.add_argument("--batch", type=int, default=16, help="clips per optimiser step (ours: 16)")
    command.add_argument("--at-once", type=int, help="of these (default: as many as fit; `train` takes 1)")
    command.add_argument("--mfu", type=float, default=0.4, help="share of the card's peak reached (assumed: 0.4)")
    command.add_argument("--clips", type=int, default=21_418, help="of an epoch (the paper's videos)")
