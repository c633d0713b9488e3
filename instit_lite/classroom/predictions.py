"""Predict before you look. In: a question, options, later the truth. Out: the guess, kept, shown beside it.

Guesses are kept in `build/predictions.json`. A headless run takes a sample guess and keeps nothing on disk; a
skipped guess never breaks the reveal.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

import ipywidgets

from ..errors import InstitError
from ..profiles import atomic_write_text, build_dir
from .display import headless, publish

_guesses: dict[str, str] = {}  # of this session, by key


def _kept() -> dict[str, dict]:
    path = build_dir() / "predictions.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def predict(question: str, options: Sequence, key: str, *, sample=None) -> None:
    """Ask for a guess and keep it under `key`.

    `options` are two or more different answers; `sample` is the guess a headless run takes (default: the
    first). Raises `InstitError` where the options cannot be told apart or `sample` is none of them.
    """
    options = [str(option) for option in options]
    if len(options) < 2 or len(set(options)) < len(options):
        raise InstitError(f"a prediction needs two or more different options, not {options}")
    sample = options[0] if sample is None else str(sample)
    if sample not in options:
        raise InstitError(f"the sample guess {sample!r} is not among {options}")
    title = f"<b>Predict:</b> {html.escape(question)}"
    items = "".join(f"<li>{html.escape(option)}</li>" for option in options)
    twin, plain = f"<p>{title}</p><ul>{items}</ul>", f"Predict: {question} {options}"
    if headless():
        _guesses[key] = sample
        publish(f"{twin}<p>Sample guess: {html.escape(sample)}</p>", f"{plain}; sample guess: {sample}")
        return

    def keep(change) -> None:
        _guesses[key] = change["new"]
        kept = _kept() | {key: {"question": question, "options": options, "guess": change["new"]}}
        text = json.dumps(kept, indent=1, ensure_ascii=False)
        atomic_write_text(build_dir() / "predictions.json", text + "\n")

    before = _kept().get(key, {}).get("guess")
    buttons = ipywidgets.RadioButtons(
        options=options, value=before if before in options else None, layout={"width": "max-content"}
    )
    buttons.observe(keep, names="value")
    publish(twin, plain, ipywidgets.VBox([ipywidgets.HTML(title), buttons]))


def reveal(key: str, truth, note: str = "") -> None:
    """Show the guess kept under `key` beside `truth`, None where it is not known; `note` is a sentence of comment."""
    guess = _guesses.get(key) or _kept().get(key, {}).get("guess")
    known, truth = truth is not None, "not measured" if truth is None else str(truth)
    if guess is None:
        verdict = "no guess was recorded"
    elif not known:
        verdict = "nothing to compare it with yet"
    else:
        verdict = "as predicted" if guess == truth else "not as predicted"
    rows = {"guess": guess or "none", "result": truth, "": verdict, "note": note}
    shown = [(name, html.escape(text)) for name, text in rows.items() if text]
    cells = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in shown)
    plain = f"guess: {guess or 'none'}; result: {truth}; {verdict}. {note}".strip()
    publish(f"<table>{cells}</table>", plain)
