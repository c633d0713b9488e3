"""Explorers and predictions: a twin for every explorer, no swallowed error, no dead end."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import pytest

from instit_lite.classroom import predictions, widgets
from instit_lite.errors import InstitError
from instit_lite.profiles import build_dir

CONTROLS = {"height": range(1, 5), "grid": [False, True]}


def draw(state):
    fig, axis = plt.subplots(figsize=(2, 2))
    axis.bar([0], [state["height"]])
    axis.grid(state["grid"])
    return fig


def alt(state):
    return f"one bar of height {state['height']}"


@pytest.fixture
def shown(monkeypatch):
    """Collect what is published; headless unless the test says otherwise."""
    bundles = []
    monkeypatch.setenv("INSTIT_HEADLESS", "1")

    def keep(html, plain, widget=None):
        bundles.append((html, plain, widget))

    for module in (widgets, predictions):
        monkeypatch.setattr(module, "publish", keep)
    return bundles


def test_static_twin_has_one_picture_per_state(shown):
    widgets.explorer(draw, CONTROLS, [{"height": 1}, {"height": 3, "grid": True}], alt=alt)
    html, plain, _ = shown[0]
    assert html.count("<img ") == 2 and "height = 3, grid = True" in html
    assert 'alt="one bar of height 3"' in html and "one bar of height 1" in plain


def test_headless_runs_the_real_callback(shown):
    seen = []

    def watched(state):
        seen.append(dict(state))
        return draw(state)

    widgets.explorer(watched, CONTROLS, [{"height": 1}], alt=alt)
    assert {"height": 4, "grid": False} in seen


def test_headless_error_in_the_callback_surfaces(shown):
    def brittle(state):
        assert state["height"] < 4, "too high"
        return draw(state)

    with pytest.raises(AssertionError, match="too high"):
        widgets.explorer(brittle, CONTROLS, [{"height": 1}], alt=alt)
    assert not shown


def test_live_error_is_visible_and_escaped(shown, monkeypatch):
    monkeypatch.setenv("INSTIT_HEADLESS", "0")

    def brittle(state):
        if state["height"] == 2:
            raise ValueError("<script>no</script>")
        return draw(state)

    widgets.explorer(brittle, CONTROLS, [{"height": 1}], alt=alt)
    bar, picture, _ = shown[0][2].children
    slider, check = bar.children
    before = picture.value
    slider.value = 2
    assert "ValueError" in picture.value and "<script>" not in picture.value
    slider.value = 1
    assert picture.value == before
    check.value = True
    assert picture.value != before


@pytest.mark.parametrize("state", [{"width": 1}, {"height": 9}])
def test_states_must_fit_the_controls(state, shown):
    with pytest.raises(InstitError):
        widgets.explorer(draw, CONTROLS, [state], alt=alt)


def test_headless_guess_is_the_sample_and_is_not_kept(shown):
    predictions.predict("Which rises?", ["loss", "accuracy"], "rise", sample="accuracy")
    predictions.reveal("rise", "accuracy", "It learns.")
    assert "sample guess: accuracy" in shown[0][1] and "as predicted" in shown[1][1]
    assert not (build_dir() / "predictions.json").exists()


def test_live_guess_is_kept_and_shown(shown, monkeypatch):
    monkeypatch.setenv("INSTIT_HEADLESS", "0")
    predictions.predict("How many?", [4, 16, 64], "tokens")
    shown[0][2].children[1].value = "16"
    kept = json.loads((build_dir() / "predictions.json").read_text())
    assert kept["tokens"]["guess"] == "16"
    monkeypatch.setattr(predictions, "_guesses", {})
    predictions.reveal("tokens", 64, "<i>pooled</i>")
    assert "not as predicted" in shown[1][1] and "<i>" not in shown[1][0]
    (build_dir() / "predictions.json").unlink()


def test_reveal_without_a_guess_is_no_dead_end(shown):
    predictions.reveal("never asked", "64")
    assert "no guess was recorded" in shown[0][1]


def test_reveal_without_a_result_judges_no_guess(shown):
    predictions.predict("Which rises?", ["loss", "accuracy"], "unknown")
    predictions.reveal("unknown", None)
    assert "not measured" in shown[1][1] and "predicted" not in shown[1][1]


def test_options_must_differ(shown):
    with pytest.raises(InstitError):
        predictions.predict("?", ["a", "a"], "k")
