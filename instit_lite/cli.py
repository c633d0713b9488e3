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

from .claims.options import add_options
from .dataset.options import add_annotate, add_batch, add_verify, request_of
from .errors import InstitError, NotYetAnswered
from .evaluation.options import add_evaluate, add_outside
from .profiles import PROFILES, build_dir, get_profile
from .training.options import add_plan, add_train


def doctor(args: argparse.Namespace) -> int:
    """Check this machine and print one line per check, with a cure where something is wrong."""
    from .classroom.doctor import examine

    return 0 if all(check.ok for check in examine(lambda check: print(check, flush=True))) else 1


def annotate(args: argparse.Namespace) -> int:
    """Mark and annotate a clip or picture, or a folder of them.

    A folder of frames is a clip; of anything else, a batch: each item gets a folder, what cannot be used a line in
    quarantine.jsonl, and the same command again goes on. Exit code 0: all annotated, 1: some quarantined, 2: stopped.
    """
    from .dataset.annotate import annotate_file
    from .dataset.batch import annotate_all, is_batch, requests_of

    request = request_of(args)
    if args.batch or is_batch(args.source):
        workers = 1 if request.asks else args.workers  # one budget and one ledger; the client has its own concurrency
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
