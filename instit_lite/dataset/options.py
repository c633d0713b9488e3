"""The options of `instit-lite annotate | batch | verify`. In: a parser. Out: the parser with them, nothing loaded."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .annotate import Request


def add_annotate(command: ArgumentParser) -> None:
    command.add_argument("source", type=Path, help="a video, a picture, a folder of frames, or a folder of clips")
    command.add_argument("--out", type=Path, required=True, help="folder to write; must not hold anything else")
    command.add_argument("--frames", type=int, default=32, help="sample at most this many frames (default 32)")
    command.add_argument("--style", default="video", help="mark style: video, image or micro (default video)")
    command.add_argument("--max-instances", type=int, default=6, help="for the motion tracker (default 6)")
    command.add_argument("--salvage", action="store_true", help="take what is left of a damaged video, and say so")
    given = command.add_mutually_exclusive_group()
    given.add_argument("--boxes", type=Path, help="JSON of boxes instead of the motion tracker")
    given.add_argument("--masks", type=Path, help="folder of palette PNG masks (DAVIS)")
    given.add_argument("--coco", type=Path, help="COCO JSON with this picture")
    given.add_argument("--youtube-vis", type=Path, help="YouTube-VIS JSON with this clip")
    many = command.add_argument_group("a batch", "Each of the four may be a folder with a file, or folder, per item.")
    many.add_argument("--batch", action="store_true", help="take every picture of a folder as an item of its own")
    many.add_argument("--workers", type=int, default=1, help="processes that annotate at once (default 1)")
    many.add_argument("--limit", type=float, default=600, help="seconds for an item (default 600)")
    command.add_argument("--online", action="store_true", help="send marked frames to a remote endpoint")
    command.add_argument("--model", default="gpt-4o-2024-08-06", help="model to ask when online")
    command.add_argument("--base-url", help="OpenAI-compatible endpoint; a loopback one needs no --online")
    asking = command.add_argument_group("only with an endpoint")
    asking.add_argument("--ledger", type=Path, help="keeps every reply (default: beside --out); many clips may share it")
    asking.add_argument("--budget", type=float, help="dollars, for all runs with this ledger; 0 only estimates")
    asking.add_argument("--prices", type=float, nargs=3, metavar=("IN", "OUT", "PICTURE"),
                        help="dollars for a million tokens in and out, tokens of a picture (known for gpt-4o)")  # fmt: skip
    asking.add_argument("--max-tokens", type=int, help="of a reply (default: the endpoint's; 4096 with --budget)")
    asking.add_argument("--concurrency", type=int, help="calls under way (default 4)")
    asking.add_argument("--jpeg", type=int, metavar="QUALITY", help="send JPEG, such as 90, and not lossless PNG")
    asking.add_argument("--batch-out", type=Path, help="write the calls as OpenAI Batch files there; send nothing")


def request_of(args: Namespace) -> Request:
    """What `annotate` was asked for."""
    from ..annotation.budget import Prices
    from .annotate import Request

    asking = {"batch": args.batch_out, "budget": args.budget, "concurrency": args.concurrency,
              "max_tokens": args.max_tokens, "jpeg": args.jpeg, "prices": args.prices and Prices(*args.prices)}  # fmt: skip
    given = {name: value for name, value in vars(args).items() if name in Request.__dataclass_fields__}
    return Request(**given, asking={name: value for name, value in asking.items() if value is not None})


def add_batch(command: ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="a folder made by `instit-lite annotate --batch-out`")
    command.add_argument("results", type=Path, nargs="*", help="result files, as the batch API gives them")
    command.add_argument("--ledger", type=Path, required=True, help="the ledger that `annotate` was given")
    command.add_argument("--prices", type=float, nargs=2, metavar=("IN", "OUT"), help="dollars for a million tokens")


def add_verify(command: ArgumentParser) -> None:
    command.add_argument("dataset", type=Path, help="a folder that build or annotate made, or INST-IT Dataset's")
    command.add_argument("--decisions", type=Path, help="folder of NAME.jsonl (default: DATASET.verification beside it)")
    command.add_argument("--clips", type=int, help="only the first clips, and as many pictures (default: all)")
    command.add_argument("--label-studio", type=Path, metavar="OUT", help="write tasks.json and config.xml there")
    command.add_argument("--prefix", default="/data/local-files/?d=", help="address before DATASET/FRAME in the tasks")
