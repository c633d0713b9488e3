"""Explorers. In: a pure `draw(state) -> Figure`, controls, a few states. Out: live controls, a static twin.

The twin, small multiples of the given states, is what a headless run, a printed page and a screen without
widgets show. Errors never hide: headless they fail the cell, live they stand in red below the controls.
ipywidgets hear no clicks in a picture and name no slider: one constant script, `explorer.html`, writes the place of
a click into a hidden text and gives each slider its name.
"""

from __future__ import annotations

import html
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ipywidgets
from matplotlib.figure import Figure

from ..errors import InstitError
from .display import headless, publish
from .figures import data_at, figure_html

Draw = Callable[[dict], Figure]
Alt = str | Callable[[dict], str]
Click = Callable[[dict, float, float], dict]
SCRIPT = Path(__file__).with_name("explorer.html")


def explorer(
    draw: Draw, controls: Mapping[str, Sequence], static_states: Sequence[Mapping], *, alt: Alt,
    click: Click | None = None,
) -> None:  # fmt: skip
    """Let the reader move `controls` and see `draw` answer.

    `controls` maps a name to its values: a `range` becomes a slider, [False, True] a check box, any other
    sequence a drop-down. `draw` takes a dict with one value per control, returns a new figure and changes
    nothing else. `static_states` are those of the twin; a control left out there takes its first value. `alt`
    is a sentence, or a function from state to sentence. `click` takes the state and the place (x, y) of a click, in
    data units of the axis under it, and returns the controls that change; nothing may be reached by click alone.
    Raises `InstitError` for states that name unknown controls or values; whatever `draw` raises fails a headless cell.
    """
    if not controls or not static_states:
        raise InstitError("an explorer needs controls and static states")
    states = [_complete(state, controls) for state in static_states]
    alts = [_alt(alt, state) for state in states]
    pictures = [
        figure_html(draw(dict(state)), alt=text, caption=_label(state)) for state, text in zip(states, alts)
    ]
    said = " ".join(f"[{_label(state)}] {text}" for state, text in zip(states, alts))
    widget = _live(draw, controls, states[0], alt, click)
    publish(
        f'<div class="instit-twin">{"".join(pictures)}</div>',
        f"Static twin of an explorer ({', '.join(controls)}): {said}", widget,
    )
    if not headless():
        publish(SCRIPT.read_text(encoding="utf-8"), "Tab to a control, then use the arrow keys or Space.")


def _label(state: Mapping) -> str:
    return ", ".join(f"{name.replace('_', ' ')} = {value}" for name, value in state.items())


def _alt(alt: Alt, state: Mapping) -> str:
    return alt(dict(state)) if callable(alt) else alt


def _complete(state: Mapping, controls: Mapping[str, Sequence]) -> dict:
    for name, value in state.items():
        if name not in controls:
            raise InstitError(f"the state names {name!r}, and the controls are {', '.join(controls)}")
        if value not in controls[name]:
            raise InstitError(f"{value!r} is not among the values of the control {name!r}")
    return {name: state.get(name, values[0]) for name, values in controls.items()}


def _control(name: str, values: Sequence, value):
    common = {"description": name.replace("_", " "), "style": {"description_width": "initial"}}
    if isinstance(values, range):
        low, high, step = min(values), max(values), abs(values.step)
        return ipywidgets.IntSlider(value, low, high, step, continuous_update=False, **common)
    if list(values) == [False, True]:
        return ipywidgets.Checkbox(value, indent=False, layout={"width": "auto"}, **common)
    return ipywidgets.Dropdown(options=[(str(item), item) for item in values], value=value, **common)


def _live(
    draw: Draw, controls: Mapping[str, Sequence], first: dict, alt: Alt, click: Click | None
) -> ipywidgets.VBox:
    """Return the live widget; headless, move its first control once, and click, so that the real callbacks run."""
    parts = {name: _control(name, values, first[name]) for name, values in controls.items()}
    picture, place, shown = ipywidgets.HTML(), ipywidgets.Text(layout={"display": "none"}), []

    def state() -> dict:
        return {name: part.value for name, part in parts.items()}

    def update() -> None:
        shown[:] = [draw(state())]
        picture.value = figure_html(shown[0], alt=_alt(alt, state()))

    def clicked() -> None:
        across, down = map(float, place.value.split()[:2])
        for name, value in (click(state(), *at) if (at := data_at(shown[0], across, down)) else {}).items():
            parts[name].value = value

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            if headless():
                raise
            trace = html.escape(traceback.format_exc(limit=-3))
            picture.value = f'<pre style="color:#a00000" role="alert">{trace}</pre>'

    for part in parts.values():
        part.observe(lambda _change: guarded(update), names="value")
    place.observe(lambda _change: guarded(clicked), names="value")
    guarded(update)
    name = next(iter(controls))
    others = [value for value in controls[name] if value != first[name]]
    if headless() and others:
        parts[name].value = others[-1]
    if headless() and click:
        place.value = "0.5 0.5"
    bar = ipywidgets.Box([*parts.values()], layout={"flex_flow": "row wrap", "grid_gap": "0 16px"})
    root = ipywidgets.VBox([bar, picture, place])
    root.add_class("instit-explorer")
    place.add_class("instit-place")
    if click:
        picture.add_class("instit-clickable")
    return root
