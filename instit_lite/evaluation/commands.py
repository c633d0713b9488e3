"""What `instit-lite evaluate ask | score | compare | probe` do. In: parsed options. Out: tables, printed and kept."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..dataset.quarantine import Quarantine
from ..profiles import build_dir
from .item import BenchItem
from .judge import Judge, judged, model_judge, rules_judge
from .judge_call import connect
from .models.paper import beside_paper, figures_of
from .predictions import Run, match, read_predictions
from .probes import probe_judge, questions_of
from .released import HUB_ID, load_bench, rotations, with_frames
from .report import format_table, save_result, score_rows
from .scoring import compare_runs, score_tables


def ask(args: Namespace) -> int:
    """Let a model answer the bench; its answers are kept as they come."""
    from .models.asked import answer_and_keep
    from .models.opening import open_model

    out = args.out or build_dir("answers")
    left_out = Quarantine(out / "quarantine.jsonl")
    items = load_bench(args.bench or HUB_ID, pictures=True, quarantine=left_out)[: args.limit]
    items = [item for item in items if item.format == "open"] + rotations(items) if args.circular else items
    online = {"online": args.online, "base_url": args.base_url, "ledger": out / "ledger.jsonl"}
    model = open_model(args.model, args.adapter, **online)
    path = out / f"{Path(model.name).name}{'-blind' * args.blind}.jsonl"
    answer_and_keep(model, items, path, blind=args.blind, quarantine=left_out, show=lambda item: with_frames(item).frames)
    print(f"{left_out}\nwrote {path}; score it with: instit-lite evaluate score {path}")
    return 0


def score(args: Namespace) -> int:
    """Score each file, or folder of files, as a run of its own; then all of them beside the paper's Table 2."""
    bench, measured = bench_of(args), {}
    with judge_of(args) as judge:
        blind = run_of(args.blind, bench, judge) if args.blind else None
        for path in args.files:
            run = run_of(path, bench, judge, out_of(args) / f"judged_{path.stem}.jsonl")
            for number, table in enumerate(score_tables(run, blind)):
                tell(table, out_of(args) / f"scores_{run.name}_{number}.json")
            said = [one.said for one in run.upright]
            measured[run.name] = figures_of(score_rows([one.item for one in run.upright], {run.name: said}), run.name)
    judged_by = "not scored" if args.judge == "none" else f"marks of the judge {args.judge!r}, not of GPT-4o as there"
    how = f"strictly, unread answers are wrong, and open-ended answers {judged_by}"
    tell(beside_paper(measured, how), out_of(args) / "table_2.json")
    return 0


def compare(args: Namespace) -> int:
    """Compare two runs."""
    bench = bench_of(args)
    with judge_of(args) as judge:
        a, b = (run_of(path, bench, judge) for path in (args.a, args.b))
    tell(compare_runs(a, b), out_of(args) / f"compare_{a.name}_{b.name}.json")
    return 0


def probe(args: Namespace) -> int:
    """Probe a judge; the exit code is 1 where a probe fails."""
    with judge_of(args) as judge:
        table = probe_judge(judge or rules_judge, questions_of(bench_of(args), args.n))
    tell(table, out_of(args) / "probes.json")
    return int(any(row[-1] != "holds" for row in table["rows"]))


@contextmanager
def judge_of(args: Namespace) -> Iterator[Judge | None]:
    """The judge that was asked for, None for "none"; replies of a model are kept in `judge.jsonl`."""
    if args.judge in ("rules", "none"):
        yield rules_judge if args.judge == "rules" else None
    else:
        with connect(args.base_url, args.judge, out_of(args) / "judge.jsonl", args.online) as client:
            yield model_judge(client)


def bench_of(args: Namespace) -> list[BenchItem] | None:
    """The bench that was named, None without one."""
    if args.bench is None:
        return None
    left_out = Quarantine(out_of(args) / "quarantine_bench.jsonl")
    bench = load_bench(args.bench, quarantine=left_out)
    print(f"{len(bench)} questions; {left_out}")
    return bench


def run_of(path: Path, bench: list[BenchItem] | None, judge: Judge | None, judged_to: Path | None = None) -> Run:
    """The predictions of a file or folder, under its name; judged where there is a judge."""
    left_out = Quarantine()
    run = match(read_predictions(path, left_out), bench, path.stem)
    print(f"{path}: {len(run.rows)} predictions; {left_out}")
    return judged(judge, run, judged_to) if judge else run


def out_of(args: Namespace) -> Path:
    return args.out or build_dir("results")


def tell(table: dict, path: Path) -> None:
    """Print a table and keep it where the report page looks."""
    print(f"{format_table(table)}\nwrote {save_result(table, path)}\n")
