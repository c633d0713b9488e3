"""The one interface. In: questions with frames. Out: a text each, kept in a file as it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm.auto import tqdm

from ...dataset.quarantine import Quarantine
from ...errors import InstitError, PreflightError, RecordError, UnreadableInput
from ...profiles import atomic_write_text
from ..report import read_lines

LEFT_OUT = (UnreadableInput, RecordError, PreflightError)  # one question's fault; any other error ends the run


@dataclass(frozen=True, eq=False)
class Asked:
    """A question as a model sees it; `BenchItem` and `OutsideItem` have the same four, and more.

    `key`: no other question of the bench has it; `prompt`: all that is asked, options included; `split`: "video" for a
    clip, anything else is a picture; `frames`: uint8 [F, H, W, 3] RGB.
    """

    key: str
    prompt: str
    split: str
    frames: np.ndarray = field(repr=False)


class Model(Protocol):
    """What can be asked, `together` questions at once."""

    name: str
    together: int

    def identity(self) -> dict[str, str]:
        """What is stored with every score: enough to tell two models apart."""

    def answer(self, items: Sequence[Asked], *, blind: bool = False, max_new_tokens: int = 128) -> list[str]:
        """Answer greedily, in the order of `items`; `blind` shows no frames.

        An answer that the model did not end itself ends in `UNFINISHED`. Raises one of `LEFT_OUT` for a question that
        cannot be put to it.
        """


def answer_and_keep(
    model: Model, items: Sequence[Asked], path: str | Path, *, blind: bool = False, max_new_tokens: int = 128,
    quarantine: Quarantine | None = None, progress: bool = True,
) -> list[str | None]:  # fmt: skip
    """Answer each item; every answer is on disk before more are asked, and a killed run goes on where it stopped.

    None stands for an item that could not be asked, which goes to the quarantine. `path` has a JSON line each, with
    upstream's keys, behind one that names the run. Raises `InstitError` where it holds another run's answers.
    """
    path, run = Path(path), {**model.identity(), "blind": blind, "max_new_tokens": max_new_tokens}
    if not path.exists():
        atomic_write_text(path, json.dumps({"run": run}) + "\n")
    head, *lines = read_lines(path) or [{}]
    if head.get("run") != run:
        reason = f"holds the answers of another run: {head.get('run')}, not {run}"
        raise InstitError(reason, path=path, cure="give another file, or delete this one")
    known = {(line["question_id"], line["question"]): line["model_prediction"] for line in lines}
    left = [item for item in items if (item.key, item.prompt) not in known]
    for start in tqdm(range(0, len(left), model.together), disable=not progress, unit="batch"):
        batch = left[start : start + model.together]
        answered = ask(model, batch, blind, max_new_tokens, quarantine or Quarantine())
        torn = not path.read_bytes().endswith(b"\n")  # a kill may have cut the last line
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n" * torn + "".join(as_line(*pair) for pair in answered))
        known |= {(item.key, item.prompt): text for item, text in answered}
    return [known.get((item.key, item.prompt)) for item in items]


def ask(
    model: Model, items: Sequence[Asked], blind: bool, max_new_tokens: int, quarantine: Quarantine
) -> list[tuple[Asked, str]]:
    """Ask together, and one by one where that fails; return the items that were answered. Frames are read once."""
    try:
        shown = [Asked(item.key, item.prompt, item.split, item.frames) for item in items]
        return list(zip(items, model.answer(shown, blind=blind, max_new_tokens=max_new_tokens), strict=True))
    except LEFT_OUT as problem:
        if len(items) > 1:
            return [pair for item in items for pair in ask(model, [item], blind, max_new_tokens, quarantine)]
        quarantine.add(items[0].key, problem)
        return []


def as_line(item: Asked, text: str) -> str:
    """One answer under the keys of upstream's prediction files."""
    line = {"question_id": item.key, "question": item.prompt, "model_prediction": text,
            "ground_truth": str(getattr(item, "answer", "")), "split": item.split}  # fmt: skip
    return json.dumps(line, ensure_ascii=False) + "\n"
