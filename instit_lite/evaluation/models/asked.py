"""The one interface. In: questions with frames. Out: a text each, kept in a file as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm.auto import tqdm

from ...dataset.quarantine import Quarantine
from ...errors import InstitError, PreflightError, RecordError, UnreadableInput
from ...profiles import atomic_write_text, read_lines

LEFT_OUT = (UnreadableInput, RecordError, PreflightError)  # one question's fault; any other error ends the run


class Asked(NamedTuple):
    """A question as a model sees it; items of the benches have more.

    `prompt`: all that is asked; `split`: "video" for a clip, else a picture; `frames`: uint8 [F, H, W, 3] RGB.
    """

    key: str
    prompt: str
    split: str
    frames: np.ndarray


class Model(Protocol):
    """What can be asked, `together` questions at once."""

    name: str
    together: int

    def identity(self) -> dict[str, str]:
        """What is stored with every score: enough to tell two models apart."""

    def answer(self, items: Sequence[Asked], *, blind: bool = False, max_new_tokens: int = 128) -> list[str]:
        """Answer greedily, in order; `blind` shows no frames. What the model did not end itself ends in `UNFINISHED`.

        Raises one of `LEFT_OUT` for a question that cannot be put to it.
        """


def answer_and_keep(
    model: Model, items: Sequence[Asked], path: str | Path, *, blind: bool = False, max_new_tokens: int = 128,
    show: Callable[[Any], np.ndarray] = lambda item: item.frames, quarantine: Quarantine | None = None,
    progress: bool = True,
) -> list[str | None]:  # fmt: skip
    """Answer each item; every answer is on disk before more are asked, and a killed run goes on where it stopped.

    None stands for an item that could not be asked, which goes to the quarantine. `path` has a JSON line each, with
    upstream's keys, behind one that names the run; `show` reads an item's frames, once.
    Raises `InstitError` where `path` holds another run's answers.
    """
    path, run = Path(path), {**model.identity(), "blind": blind, "max_new_tokens": max_new_tokens}
    if not path.exists():
        atomic_write_text(path, json.dumps({"run": run}) + "\n")
    head, *lines = read_lines(path) or [{}]
    if head.get("run") != run:
        reason = f"holds the answers of another run: {head.get('run')}, not {run}"
        raise InstitError(reason, path=path, cure="give another file, or delete this one")
    known = {(line["key"], line["question"]): line["model_prediction"] for line in lines}
    left = [item for item in items if (item.key, item.prompt) not in known]
    for start in tqdm(range(0, len(left), model.together), disable=not progress, unit="batch"):
        batch = left[start : start + model.together]
        answered = ask(model, batch, show, quarantine or Quarantine(), blind=blind, max_new_tokens=max_new_tokens)
        torn = not path.read_bytes().endswith(b"\n")  # a kill may have cut the last line
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n" * torn + "".join(as_line(*pair) for pair in answered))
        known |= {(item.key, item.prompt): text for item, text in answered}
    return [known.get((item.key, item.prompt)) for item in items]


def ask(
    model: Model, items: Sequence[Any], show: Callable, quarantine: Quarantine, **how: Any
) -> list[tuple[Any, str]]:  # fmt: skip
    """Ask together, and one by one where that fails; return the items that were answered."""
    try:
        shown = [Asked(item.key, item.prompt, item.split, show(item)) for item in items]
        return list(zip(items, model.answer(shown, **how), strict=True))
    except LEFT_OUT as problem:
        if len(items) > 1:
            return [pair for item in items for pair in ask(model, [item], show, quarantine, **how)]
        quarantine.add(items[0].key, problem)
        return []


def as_line(item: Asked, text: str) -> str:
    """One answer under the keys of upstream's prediction files."""
    line = {"question_id": getattr(item, "question_id", item.key), "question": item.prompt, "model_prediction": text,
            "ground_truth": str(getattr(item, "answer", "")), "split": item.split, "key": item.key}  # fmt: skip
    form = {"format": item.format} if hasattr(item, "format") else {}  # upstream's files do not say it
    return json.dumps(line | form, ensure_ascii=False) + "\n"
