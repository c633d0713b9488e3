"""The command line. In: files and options. Out: the same results as the notebooks, without a notebook.

`instit-lite doctor | annotate | batch | build | plan | train | evaluate | outside | claims | convert |
merge | verify`; each says what it wrote.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from .claims.options import add_options
from .errors import InstitError, NotYetAnswered
from .evaluation.options import add_evaluate
from .profiles import PROFILES, build_dir, get_profile

if TYPE_CHECKING:
    from .dataset.annotate import Request


def doctor(args: argparse.Namespace) -> int:
    """Check this machine and print one line per check, with a cure where something is wrong."""
    from .classroom.doctor import Check, examine

    def tell(check: Check) -> None:
        cure = "" if check.ok else f". Cure: {check.cure}"
        print(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.found}{cure}", flush=True)

    return 0 if all(check.ok for check in examine(tell)) else 1


def request_of(args: argparse.Namespace) -> Request:
    """What `annotate` was asked for; all calls to an endpoint are kept in one ledger beside the output."""
    from .annotation.budget import Prices
    from .dataset.annotate import Request

    asking = {"batch": args.batch_out, "budget": args.budget, "concurrency": args.concurrency,
              "max_tokens": args.max_tokens, "jpeg": args.jpeg, "prices": args.prices and Prices(*args.prices)}  # fmt: skip
    given = {name: value for name, value in vars(args).items() if name in Request.__dataclass_fields__}
    if args.online or args.base_url or args.batch_out:
        given["ledger"] = args.ledger or args.out.with_name(f"{args.out.name}.ledger")
    return Request(**given, asking={name: value for name, value in asking.items() if value is not None})


def annotate(args: argparse.Namespace) -> int:
    """Mark and annotate a clip or picture, or a folder of them.

    A folder of frames is a clip; of anything else, a batch: each item gets a folder, what cannot be used a line in
    quarantine.jsonl, and the same command again goes on. Exit code 0: all annotated, 1: some quarantined, 2: stopped.
    """
    from .dataset.annotate import annotate_file
    from .dataset.batch import annotate_all, is_batch, requests_of

    request = request_of(args)
    if args.batch or is_batch(args.source):
        workers = 1 if request.ledger else args.workers  # one budget and one ledger; the client has its own concurrency
        done, kept, quarantined = annotate_all(requests_of(request), args.out, workers, args.limit)
        print(f"annotated: {done}, there before: {kept}, quarantined: {quarantined}\nwrote {args.out}")
        return 1 if quarantined else 0
    try:
        done = annotate_file(request)
    except NotYetAnswered as pending:
        print(f"{pending}")
        return 0
    print(f"frames: {done.n_frames}, marks: {done.mark_ids}, annotated by: {done.annotator}")
    print(f"audit: {len(done.findings)} findings" + "".join(f"\n  {f}" for f in done.findings[:10]))
    for file in done.files:
        print(f"wrote {file}")
    return 0


def batch(args: argparse.Namespace) -> int:
    """Merge the results of a batch API into the ledger, and write what is missing to FOLDER/again.

    FOLDER is what `annotate --batch-out` wrote; without result files, only what is missing is said.
    """
    from .annotation.batch import BatchFolder, merge_results
    from .annotation.budget import Prices
    from .annotation.ledger import Ledger

    folder = BatchFolder(args.folder)
    prices = Prices(*args.prices, 0) if args.prices else None
    counts = merge_results(folder, Ledger(args.ledger), args.results, prices)
    print(", ".join(f"{name}: {count}" for name, count in counts.items()) or "the folder holds no requests")
    for file in sorted(folder.again.glob("*.jsonl")):
        print(f"to be sent again: {file}")
    return 0


def build(args: argparse.Namespace) -> int:
    """Build the mini dataset of a profile."""
    from .dataset.build import build_micro

    out = args.out or build_dir("dataset", args.profile)
    build_micro(get_profile(args.profile), args.seed, out)
    print(f"wrote {out}")
    return 0


def plan(args: argparse.Namespace) -> int:
    """Say, before anything is downloaded, whether training fits a GPU, what it needs and how long it takes."""
    from .model.cards import card_of
    from .training.plan import Request, plan_text

    request = Request(**{name: value for name, value in vars(args).items() if name in Request.__dataclass_fields__})
    print(plan_text(request, card_of(args.card), args.mfu, args.clips))
    return 0


def train(args: argparse.Namespace) -> int:
    """Continuous SFT with QLoRA on a built dataset, or on the published ones: INST-IT Dataset, LLaVA-NeXT-Data."""
    from .dataset.released import is_released
    from .training.processes import processes

    data = args.data or build_dir("dataset", args.profile)
    out = args.out or build_dir("adapter", args.profile)
    if is_released(data):
        from .training.released import Source, train_on_released

        source = Source(data, args.general, args.frames, args.line, args.unmarked)
        profile = get_profile(args.profile)
        profile = replace(profile, model=args.model or profile.model)
        options = {"context": args.context, "pool": args.pool, "fit": args.fit}
        done = train_on_released(profile, source, out, seed=args.seed, steps=args.steps, report_only=args.report,
                                 tensorboard=args.tensorboard, **options)  # fmt: skip
    else:
        from .training.recipe import train_on_dataset

        done = train_on_dataset(get_profile(args.profile), data, out, seed=args.seed, steps=args.steps,
                                tensorboard=args.tensorboard)  # fmt: skip
    if done and processes().main:
        print(f"loss {done.losses[0]:.3f} -> {done.losses[-1]:.3f} in {done.seconds:.0f} s\nwrote {out}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Score the base, and an adapter beside it, on the micro bench; or files of predictions on Inst-It Bench."""
    from .evaluation.run import evaluate_adapter

    adapter = args.adapter or build_dir("adapter", args.profile)
    out = args.out or build_dir("results")
    profile = get_profile(args.profile)
    profile = replace(profile, model=args.model or profile.model)
    table = evaluate_adapter(profile, adapter, out, seed=args.seed)
    print(table)
    return 0


def outside(args: argparse.Namespace) -> int:
    """Score a model on an outside bench, from the hub or a folder with the same columns. After a kill, run it again."""
    from .dataset.statistics import format_table
    from .evaluation.models.opening import open_model
    from .evaluation.outside.run import run_bench

    out = args.out or build_dir("outside")
    online = {"online": args.online, "base_url": args.base_url, "ledger": out / "ledger.jsonl"}
    model = open_model(args.model, args.adapter, **online)
    how = {name: getattr(args, name) for name in ("source", "split", "frames", "limit", "blind", "grades")}
    print(format_table(run_bench(model, args.bench, out, **how)))
    return 0


def claims(args: argparse.Namespace) -> int:
    """Measure the paper's claims: train and answer what is missing, write the ledger."""
    from .claims.run import main as measure

    return measure(args)


def convert(args: argparse.Namespace) -> int:
    """Turn a published INST-IT checkpoint (original LLaVA layout) into one that transformers loads.

    Reads config.json, tokenizer and *.safetensors; TARGET appears whole or not at all. After a kill, run it again.
    """
    from .model.convert import convert_checkpoint

    done = convert_checkpoint(args.source, args.target, tower=args.tower, dtype=args.dtype)
    print(f"wrote {done}; load it with LlavaOnevisionForConditionalGeneration.from_pretrained")
    return 0


def merge(args: argparse.Namespace) -> int:
    """Merge an adapter into its base: a checkpoint folder that transformers loads without this kit.

    The base's language weights go through NF4 first, as in training. OUT appears whole or not at all; after a
    kill, run it again.
    """
    from .model.load import CLASSES
    from .model.merge import merge_adapter
    from .model.shapes import read_shape

    done = merge_adapter(args.adapter, args.out, base=args.base, full_precision=args.full_precision)
    kind = CLASSES[read_shape(str(done)).model_type].__name__
    print(f"wrote {done}; load it with {kind}.from_pretrained")
    return 0


def verify(args: argparse.Namespace) -> int:
    """Say how far reviewers are with a folder of annotations, and how well they agree; export it for Label Studio.

    They decide in a notebook, on the page `instit_lite.classroom.verification.verify(DATASET, reviewer="NAME")`.
    """
    from .dataset.decisions import VERDICTS, DecisionFile
    from .dataset.doubts import Annotations
    from .dataset.label_studio import export
    from .dataset.statistics import format_table
    from .evaluation.agreement import agreement_table

    found = Annotations(args.dataset, args.clips)
    folder, count = args.decisions or found.beside, len(found.items)
    reviewers = [DecisionFile(folder, path.stem) for path in sorted(folder.glob("*.jsonl"))]
    print(f"{args.dataset}: {len(found.records)} clips and pictures, {count} items, annotated by {found.annotator}")
    print(f"decisions in {folder}: {len(reviewers)} reviewers")
    for one in reviewers:
        made = [decision.verdict for item in found.items if (decision := one.of(item))]
        by = ", ".join(f"{made.count(verdict)} {verdict}" for verdict in VERDICTS)
        print(f"{one.reviewer}: {len(made)} of {count} items decided ({by}), {count - len(made)} open; "
              f"{len(one.last) - len(made)} decisions on other texts, {one.damaged} damaged lines")  # fmt: skip
    for pair in combinations(reviewers, 2):
        print(f"\n{format_table(agreement_table(found.items, *pair))}")
    for file in export(found, reviewers, args.label_studio, args.prefix) if args.label_studio else ():
        print(f"wrote {file}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line, so that tests can parse without running."""
    top = argparse.ArgumentParser(prog="instit-lite", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, action, profile: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=action.__doc__.split("\n")[0], description=action.__doc__)
        command.set_defaults(action=action)
        if profile:
            command.add_argument("--profile", choices=list(PROFILES), default="micro")
            command.add_argument("--seed", type=int, default=0)
            command.add_argument("--out", type=Path, help="where to write (default: a folder in build/)")
        return command

    add("doctor", doctor, profile=False)
    add_annotate(add("annotate", annotate, profile=False))
    add_batch(add("batch", batch, profile=False))
    add("build", build)
    add_plan(add("plan", plan, profile=False))
    add_train(add("train", train))
    add_evaluate(add("evaluate", evaluate))
    add_outside(add("outside", outside, profile=False))
    add_options(add("claims", claims, profile=False))
    add_convert(add("convert", convert, profile=False))
    add_merge(add("merge", merge, profile=False))
    add_verify(add("verify", verify, profile=False))
    return top


def add_outside(command: argparse.ArgumentParser) -> None:
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


def add_convert(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", type=Path, help="a downloaded checkpoint folder, original layout")
    command.add_argument("target", type=Path, help="folder to write; must not exist")
    command.add_argument("--tower", type=Path, help="CLIP or SigLIP folder, where the checkpoint lacks the tower")
    command.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], help="default: as stored")


def add_merge(command: argparse.ArgumentParser) -> None:
    command.add_argument("--adapter", type=Path, required=True, help="a folder made by `instit-lite train`")
    command.add_argument("--out", type=Path, required=True, help="folder to write; must not exist")
    command.add_argument("--base", help="checkpoint folder or hub id (default: the one that the adapter names)")
    command.add_argument("--full-precision", action="store_true",
                         help="into the weights before NF4: near to what was trained, but another model")  # fmt: skip


def add_verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("dataset", type=Path, help="a folder that build or annotate made, or INST-IT Dataset's")
    command.add_argument("--decisions", type=Path, help="folder of NAME.jsonl (default: DATASET.verification beside it)")
    command.add_argument("--clips", type=int, help="only the first clips, and as many pictures (default: all)")
    command.add_argument("--label-studio", type=Path, metavar="OUT", help="write tasks.json and config.xml there")
    command.add_argument("--prefix", default="/data/local-files/?d=", help="address before DATASET/FRAME in the tasks")


def add_train(command: argparse.ArgumentParser) -> None:
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


def add_annotate(command: argparse.ArgumentParser) -> None:
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


def add_batch(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="a folder made by `instit-lite annotate --batch-out`")
    command.add_argument("results", type=Path, nargs="*", help="result files, as the batch API gives them")
    command.add_argument("--ledger", type=Path, required=True, help="the ledger that `annotate` was given")
    command.add_argument("--prices", type=float, nargs=2, metavar=("IN", "OUT"), help="dollars for a million tokens")


def add_plan(command: argparse.ArgumentParser) -> None:
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


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a typed error becomes one line on stderr and exit code 2."""
    args = parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no UTF-8
    try:
        return args.action(args)
    except InstitError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
