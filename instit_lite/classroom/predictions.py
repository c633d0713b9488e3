"""Predict before you look. In: a question, its options, and later the truth. Out: the guess, kept and shown
beside it.

Guesses are kept in `build/predictions.json`. A headless run takes a sample guess and keeps nothing on disk; a
skipped guess never breaks the reveal.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

from ..errors import InstitError
from ..profiles import atomic_write_text, build_dir
from .display import headless, publish

_guesses: dict[str, str] = {}


def _kept() -> dict[str, dict]:
    try:
        kept = json.loads((build_dir() / "predictions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _record(key: str, question: str, options: list[str], guess: str) -> None:
    _guesses[key] = guess
    if not headless():
        entry = {"question": question, "options": options, "guess": guess}
        text = json.dumps(_kept() | {key: entry}, indent=1, ensure_ascii=False, sort_keys=True)
        atomic_write_text(build_dir() / "predictions.json", text + "\n")


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
    chosen = sample if headless() else _kept().get(key, {}).get("guess")
    items = "".join(f"<li>{html.escape(option)}</li>" for option in options)
    twin = f"<p><b>Predict:</b> {html.escape(question)}</p><ul>{items}</ul>"
    if headless():
        _record(key, question, options, sample)
        twin += f"<p>Sample guess: {html.escape(sample)}</p>"
        publish(twin, f"Predict: {question} {options}; sample guess: {sample}")
        return
    publish(twin, f"Predict: {question} {options}", _ask(question, options, key, chosen))


def _ask(question: str, options: list[str], key: str, chosen: str | None):
    import ipywidgets

    buttons = ipywidgets.RadioButtons(
        options=options, value=chosen if chosen in options else None, layout={"width": "max-content"}
    )
    buttons.observe(lambda change: _record(key, question, options, change["new"]), names="value")
    return ipywidgets.VBox([ipywidgets.HTML(f"<b>Predict:</b> {html.escape(question)}"), buttons])


def reveal(key: str, truth, note: str = "") -> None:
    """Show the guess kept under `key` beside `truth`, with one sentence of comment in `note`."""
    guess = _guesses.get(key) or _kept().get(key, {}).get("guess")
    truth = str(truth)
    if guess is None:
        verdict = "no guess was recorded"
    else:
        verdict = "as predicted" if guess == truth else "not as predicted"
    rows = (("guess", guess or "none"), ("result", truth), ("", verdict), ("note", note))
    cells = "".join(
        f"<tr><th>{label}</th><td>{html.escape(value)}</td></tr>" for label, value in rows if value
    )
    plain = f"guess: {guess or 'none'}; result: {truth}; {verdict}. {note}".strip()
    publish(f"<table>{cells}</table>", plain)
