"""Explorers. In: a pure `draw(state) -> Figure`, controls, a few states. Out: live controls, a static twin.

The twin, small multiples of the given states, is what a headless run, a printed page and a screen without
widgets show. Errors never hide: headless they fail the cell, live they stand in red below the controls.
"""

from __future__ import annotations

import html
import traceback
from collections.abc import Callable, Mapping, Sequence

import ipywidgets
from matplotlib.figure import Figure

from ..errors import InstitError
from .display import headless, publish
from .figures import figure_html

Draw = Callable[[dict], Figure]
Alt = str | Callable[[dict], str]


def explorer(
    draw: Draw, controls: Mapping[str, Sequence], static_states: Sequence[Mapping], *, alt: Alt
) -> None:
    """Let the reader move `controls` and see `draw` answer.

    `controls` maps a name to its values: a `range` becomes a slider, [False, True] a check box, any other
    sequence a drop-down. `draw` takes a dict with one value per control, returns a new figure and changes
    nothing else. `static_states` are those of the twin; a control left out there takes its first value. `alt`
    is a sentence, or a function from state to sentence. Raises `InstitError` for states that name unknown
    controls or values; whatever `draw` raises fails a headless cell.
    """
    if not controls or not static_states:
        raise InstitError("an explorer needs controls and static states")
    states = [_complete(state, controls) for state in static_states]
    alts = [_alt(alt, state) for state in states]
    pictures = [
        figure_html(draw(dict(state)), alt=text, caption=_label(state)) for state, text in zip(states, alts)
    ]
    said = " ".join(f"[{_label(state)}] {text}" for state, text in zip(states, alts))
    widget = _live(draw, controls, states[0], alt)
    publish(
        f'<div class="instit-twin">{"".join(pictures)}</div>',
        f"Static twin of an explorer ({', '.join(controls)}): {said}", widget,
    )


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
        return ipywidgets.Checkbox(value, indent=False, **common)
    return ipywidgets.Dropdown(options=[(str(item), item) for item in values], value=value, **common)


def _live(draw: Draw, controls: Mapping[str, Sequence], first: dict, alt: Alt) -> ipywidgets.VBox:
    """Return the live widget; headless, move its first control once so that the real callback runs."""
    parts = {name: _control(name, values, first[name]) for name, values in controls.items()}
    picture = ipywidgets.HTML()

    def update(_change=None) -> None:
        state = {name: part.value for name, part in parts.items()}
        try:
            picture.value = figure_html(draw(state), alt=_alt(alt, state))
        except Exception:
            if headless():
                raise
            trace = html.escape(traceback.format_exc(limit=-3))
            picture.value = f'<pre style="color:#a00000" role="alert">{trace}</pre>'

    for part in parts.values():
        part.observe(update, names="value")
    name = next(iter(controls))
    others = [value for value in controls[name] if value != first[name]]
    if headless() and others:
        parts[name].value = others[-1]
    else:
        update()
    return ipywidgets.VBox([*parts.values(), picture])
