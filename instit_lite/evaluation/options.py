"""The options of `instit-lite evaluate | outside`. In: a parser. Out: the parser with them, without loading anything."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path

FILES = {
    "score": "Score files of predictions on Inst-It Bench, strictly and as upstream does.",
    "compare": "Compare two models' predictions on the same questions: paired, clustered by clip.",
    "probe": "Test a judge: empty answers, the truth, exchanged ids, padding, instructions in the answer.",
}


def add_evaluate(command: ArgumentParser) -> None:
    """Add the options of the micro bench, and the commands that score files and need no model."""
    command.add_argument("--adapter", type=Path, help="a folder made by `instit-lite train`")
    command.add_argument("--model", help="checkpoint folder or hub id (default: the profile's)")
    commands = command.add_subparsers(metavar="score | compare | probe", title="on files, without a model")
    score, compare, probe = (commands.add_parser(name, help=FILES[name], description=FILES[name]) for name in FILES)
    score.add_argument("files", type=Path, nargs="+", help="predictions in upstream's format, or a folder of them")
    score.add_argument("--blind", type=Path, help="the same model's predictions without the pictures")
    compare.add_argument("a", type=Path, metavar="A", help="predictions of one model, a file or a folder")
    compare.add_argument("b", type=Path, metavar="B", help="those of the other")
    probe.add_argument("--n", type=int, default=50, help="questions of the bench (default 50)")
    for name, sub in zip(FILES, (score, compare, probe)):
        sub.set_defaults(action=on_files, name=name)
        sub.add_argument("--bench", help="Inst-It Bench, hub id or folder (default: what the files say of themselves)")
        sub.add_argument("--judge", default="rules", help="rules (offline), none, or a model's name (default rules)")
        sub.add_argument("--base-url", help="OpenAI-compatible endpoint of the judge; loopback needs no --online")
        sub.add_argument("--online", action="store_true", help="send questions and answers to a remote judge")
        sub.add_argument("--out", type=Path, default=SUPPRESS, help="where to write (default: a folder in build/)")


def on_files(args: Namespace) -> int:
    """Run one of the commands of `FILES`."""
    from . import commands

    return getattr(commands, args.name)(args)


def add_outside(command: ArgumentParser) -> None:
    command.add_argument("bench", help="ai2d, chartqa, refcocog, egoschema, nextqa or vip-bench")
    command.add_argument("--model", required=True, help="folder, hub id, kit:FOLDER, micro, api:NAME or gemini:NAME")
    command.add_argument("--adapter", type=Path, help="a folder made by `instit-lite train`")
    command.add_argument("--source", help="a folder with the bench's files, or a hub id (default: the usual one)")
    command.add_argument("--split", default="", help="default: the one that is scored; ViP-Bench: bbox or human")
    command.add_argument("--frames", type=int, default=32, help="of a video, at most (default 32)")
    command.add_argument("--limit", type=int, help="only the first so many questions")
    command.add_argument("--blind", action="store_true", help="show no picture: what is known without looking")
    command.add_argument("--grades", type=Path, help="ViP-Bench: the file that its own grading script wrote")
    command.add_argument("--online", action="store_true", help="send frames to a remote service")
    command.add_argument("--base-url", help="address of an OpenAI-compatible service")
    command.add_argument("--out", type=Path, help="where to write (default: build/outside)")
