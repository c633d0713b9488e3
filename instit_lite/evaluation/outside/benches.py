"""The six benches. In: a bench's rows. Out: `OutsideItem`s, and the scores of an answer.

Columns are those of the hub's files, prompts the short ones that LLaVA's line of models was tuned on; the paper does
not say which it used. RefCOCOg's wording is the kit's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...dataset.quarantine import Quarantine
from ...dataset.released import fetch
from ...errors import InstitError, RecordError, UnreadableInput
from .metrics import Scores, box_scores, chart_scores, choice_scores
from .sources import Source

LETTER_ONLY = "\nAnswer with the option's letter from the given choices directly."
ONE_WORD = "\nAnswer the question with a single word."
BOX_WANTED = (
    "Give the box around what this phrase describes, as [left, top, right, bottom], where each number lies between 0 "
    "and 1 and is a share of the picture's width or height: "
)


class OutsideItem(NamedTuple):
    """One question of an outside bench; see `Asked`.

    `clip_id`: the picture or video that it is about; `look`: reads the frames, uint8 [F, H, W, 3]; `answer`: what is
    true, in the bench's own form; `groups`: the parts of the bench that it counts in.
    """

    key: str
    prompt: str
    split: str
    clip_id: str
    look: Callable[[], np.ndarray]
    answer: Any
    options: dict[str, str] = {}
    groups: tuple[str, ...] = ()


def lettered(row: dict, options: list[str]) -> tuple[str, str, dict[str, str]]:
    """The prompt of a question with options, the right letter, and the options by letter; truths count from 0."""
    letters, answer = {chr(65 + i): str(option).strip() for i, option in enumerate(options)}, str(row["answer"])
    if not answer.isdigit() or int(answer) >= len(letters):
        raise RecordError(f"the answer {answer!r} is none of {len(letters)} options", cure="leave it out")
    lines = [str(row["question"]).strip(), *(f"{k}. {v}" for k, v in letters.items())]
    return "\n".join(lines) + LETTER_ONLY, chr(65 + int(answer)), letters


def ai2d(row: dict, source: Source, number: int) -> Iterator[OutsideItem]:
    (prompt, *truth), look = lettered(row, row["options"]), lambda: source.picture(row["image"])
    yield OutsideItem(f"ai2d-{number}", prompt, "image", str(number), look, *truth)


def egoschema(row: dict, source: Source, number: int) -> Iterator[OutsideItem]:
    name, options = str(row["video_idx"]), [re.sub(r"^[A-E]\. *", "", str(option)) for option in row["option"]]
    prompt, *truth = lettered(row, options)
    yield OutsideItem(f"egoschema-{number}", prompt, "video", name, lambda: source.video(name), *truth)


def nextqa(row: dict, source: Source, number: int) -> Iterator[OutsideItem]:
    name, (prompt, *truth) = str(row["video"]), lettered(row, [row[f"a{i}"] for i in range(5)])
    groups = (str(row["type"]),)
    yield OutsideItem(f"nextqa-{number}", prompt, "video", name, lambda: source.video(name), *truth, groups)


def chartqa(row: dict, source: Source, number: int) -> Iterator[OutsideItem]:
    prompt, groups, look = row["question"] + ONE_WORD, (str(row["type"]),), lambda: source.picture(row["image"])
    yield OutsideItem(f"chartqa-{number}", prompt, "image", str(number), look, str(row["answer"]), groups=groups)


def refcocog(row: dict, source: Source, number: int) -> Iterator[OutsideItem]:
    """One item for each phrase; the box (x, y, width, height, in pixels) becomes shares of the picture's sides."""
    look = lambda: source.picture(row["image"])  # noqa: E731
    (height, width), (x, y, w, h) = look().shape[1:3], map(float, row["bbox"])
    box = (x / width, y / height, (x + w) / width, (y + h) / height)
    for k, phrase in enumerate(row["answer"], start=1):
        key = f"refcocog-{row['question_id']}-{k}"
        yield OutsideItem(key, BOX_WANTED + phrase, "image", str(row["file_name"]), look, box)


class OutsideBench(NamedTuple):
    """`where`: the folder of its rows on the hub; `score`: takes answer, truth and options; `longest`: new tokens;
    `paper`: figures of LLaVA-NeXT, INST-IT Vicuna and INST-IT Qwen2. ViP-Bench has files and grades of its own."""

    hub: str
    where: str
    split: str
    items: Callable[[dict, Source, int], Iterator[OutsideItem]] | None
    score: Callable[[str, Any, dict[str, str]], Scores] | None
    longest: int
    paper: str


BENCHES = {name: OutsideBench(*known) for name, known in {
    "ai2d": ("lmms-lab-encoder/ai2d", "data", "test", ai2d, choice_scores, 16, "66.6, 71.0, 78.7 (Table 3)"),
    "chartqa": ("lmms-lab-encoder/ChartQA", "data", "test", chartqa, chart_scores, 16, "54.8, 68.3, 72.8 (Table 3)"),
    "refcocog": ("lmms-lab-encoder/RefCOCOg", "data", "val", refcocog, box_scores, 64,
                 "52.2, 63.0, - (in the text, without the metric's name)"),
    "egoschema": ("lmms-eval/egoschema", "Subset", "test", egoschema, choice_scores, 16, "50.0, 57.8, 50.4 (Table 4)"),
    "nextqa": ("lmms-eval/NExTQA", "MC", "test", nextqa, choice_scores, 16, "58.4, 70.2, 73.0 (Table 4)"),
    "vip-bench": ("mucai/ViP-Bench", "", "bbox", None, None, 128,
                  "-, 45.1, 50.5 (bbox) and -, 48.2, 49.0 (human), graded by GPT-4 (Table 5)"),
}.items()}  # fmt: skip


def load_items(
    name: str, source: str | Path | None = None, *, split: str = "", most: int = 32, limit: int | None = None,
    quarantine: Quarantine | None = None,
) -> list[OutsideItem]:  # fmt: skip
    """Load up to `limit` questions of a bench from a hub id (None: the usual one) or a folder; bad rows are left out.

    `most`: frames of a video. Raises `InstitError` for an unknown bench, `RecordError` for missing files or columns.
    """
    if name not in BENCHES:
        raise InstitError(f"there is no bench {name!r}", cure=f"choose one of {', '.join(BENCHES)}")
    bench, found, left_out = BENCHES[name], [], quarantine or Quarantine()
    if bench.items is None:
        return vip_bench(source or bench.hub, split or bench.split)[:limit]
    files = Source(source or bench.hub, split or bench.split, bench.where, most)
    for number, row in enumerate(files.rows()):
        try:
            found += bench.items(row, files, number)
        except KeyError as problem:
            cure = "give a folder with the bench's own columns"
            raise RecordError(f"has no column {problem}, only {', '.join(row)}", path=files.folder, cure=cure) from None
        except (UnreadableInput, RecordError, TypeError, ValueError) as problem:
            left_out.add(f"{name} row {number}", RecordError(str(problem), path=files.folder))
        if limit and len(found) >= limit:
            break
    return found[:limit]


def vip_bench(source: str | Path, split: str) -> list[OutsideItem]:
    """ViP-Bench, whose questions and truths lie in two files beside its pictures; `split`: "bbox" or "human"."""
    meta = "vip-bench-meta-data.json"
    folder = fetch(source, [meta, f"{split}/*"])
    files = Source(folder / split / "images", "", "")
    try:
        truths = json.loads((folder / meta).read_text(encoding="utf-8"))
        rows = map(json.loads, (folder / split / "questions.jsonl").read_text(encoding="utf-8").splitlines())
        return [vip_item(row, truths[f"v1_{row['question_id']}"], files) for row in rows]
    except (OSError, ValueError, LookupError, TypeError) as problem:
        cure = f"give {BENCHES['vip-bench'].hub}, or a folder like it, and the split bbox or human"
        raise RecordError(f"ViP-Bench cannot be read ({problem!r})", path=folder, cure=cure) from problem


def vip_item(row: dict, truth: dict, files: Source) -> OutsideItem:
    prompt, groups = row["text"].replace("<image>", "").strip(), tuple(sorted(set(truth["capability"])))
    return OutsideItem(f"v1_{row['question_id']}", prompt, "image", row["image"], lambda: files.picture(row["image"]),
                       truth["answer"], groups=groups)  # fmt: skip
