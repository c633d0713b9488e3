"""The options of `instit-lite evaluate | outside`. In: a parser. Out: the parser with them, without loading anything."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path

MODELS = "folder, hub id, kit:FOLDER, micro, api:NAME or gemini:NAME"
COMMANDS = {
    "ask": "Ask a model all questions of Inst-It Bench. After a kill, run it again: no answer is asked for twice.",
    "score": "Score files of predictions on Inst-It Bench, strictly and as upstream does.",
    "compare": "Compare two models' predictions on the same questions: paired, clustered by clip.",
    "probe": "Test a judge: empty answers, the truth, exchanged ids, padding, instructions in the answer.",
}


def add_evaluate(command: ArgumentParser) -> None:
    """Add the options of the micro bench, and the commands for Inst-It Bench."""
    command.add_argument("--adapter", type=Path, help="a folder made by `instit-lite train`")
    command.add_argument("--model", help="checkpoint folder or hub id (default: the profile's)")
    commands = command.add_subparsers(metavar="ask | score | compare | probe", title="on Inst-It Bench")
    subs = [commands.add_parser(name, help=said, description=said) for name, said in COMMANDS.items()]
    ask, score, compare, probe = subs
    ask.add_argument("--model", required=True, help=MODELS)
    ask.add_argument("--adapter", type=Path, help="a folder made by `instit-lite train`")
    ask.add_argument("--bench", help="hub id or folder, with its pictures (default: the hub's)")
    ask.add_argument("--limit", type=int, help="only the first so many questions")
    ask.add_argument("--blind", action="store_true", help="show no picture: what is known without looking")
    ask.add_argument("--circular", action="store_true", help="ask multiple choice with the options in all four places")
    ask.add_argument("--online", action="store_true", help="send frames to a remote service")
    ask.add_argument("--base-url", help="address of an OpenAI-compatible service")
    score.add_argument("files", type=Path, nargs="+", help="predictions in upstream's format, or a folder; named as in Table 2, it stands there")
    score.add_argument("--blind", type=Path, help="the same model's predictions without the pictures")
    compare.add_argument("a", type=Path, metavar="A", help="predictions of one model, a file or a folder")
    compare.add_argument("b", type=Path, metavar="B", help="those of the other")
    probe.add_argument("--n", type=int, default=50, help="questions of the bench (default 50)")
    for name, sub in zip(COMMANDS, subs):
        sub.set_defaults(action=on_bench, name=name)
        sub.add_argument("--out", type=Path, default=SUPPRESS, help="where to write (default: a folder in build/)")
    for sub in subs[1:]:
        sub.add_argument("--bench", help="Inst-It Bench, hub id or folder (default: what the files say of themselves)")
        sub.add_argument("--judge", default="rules", help="rules (offline), none, or a model's name (default rules)")
        sub.add_argument("--base-url", help="OpenAI-compatible endpoint of the judge; loopback needs no --online")
        sub.add_argument("--online", action="store_true", help="send questions and answers to a remote judge")


def on_bench(args: Namespace) -> int:
    """Run one of `COMMANDS`."""
    from . import commands

    return getattr(commands, args.name)(args)


def add_outside(command: ArgumentParser) -> None:
    command.add_argument("bench", help="ai2d, chartqa, refcocog, egoschema, nextqa or vip-bench")
    command.add_argument("--model", required=True, help=MODELS)
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
