"""Pictures: alt text always, opaque PNGs, escaped text, closed figures."""

from __future__ import annotations

import base64
import io
import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from instit_lite.classroom import figures, road
from instit_lite.classroom.findings import WIDEST
from instit_lite.errors import InstitError

ALT = "line chart of loss over steps, falling"


@pytest.fixture
def published(monkeypatch):
    """Collect what is published instead of showing it."""
    bundles = []
    monkeypatch.setattr(figures, "publish", lambda html, plain: bundles.append((html, plain)))
    return bundles


def picture(html: str) -> Image.Image:
    data = re.search(r'src="data:image/png;base64,([^"]+)"', html)[1]
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_show_figure_publishes_alt_text_and_closes(published):
    fig, axis = plt.subplots()
    axis.plot([3, 2, 1])
    figures.show_figure(fig, alt=ALT, caption="Loss")
    html, plain = published[0]
    assert plain == ALT and f'alt="{ALT}"' in html and "<figcaption>Loss</figcaption>" in html
    assert not plt.fignum_exists(fig.number)
    assert picture(html).convert("RGBA").getpixel((1, 1)) == (255, 255, 255, 255)


@pytest.mark.parametrize("alt", ["", "   ", "figure", "a plot", None])
def test_alt_text_that_says_nothing_is_refused(alt, published):
    fig = plt.figure()
    with pytest.raises(InstitError, match="alt text"):
        figures.show_figure(fig, alt=alt)
    assert not published
    plt.close(fig)


def test_text_is_escaped(published):
    figures.show_image(np.zeros((4, 4), bool), alt='a "<script>" black square', caption="<b>x</b>")
    html, _ = published[0]
    assert "<script>" not in html and "<b>" not in html and "&quot;&lt;script&gt;&quot;" in html


def test_not_a_figure_is_refused():
    with pytest.raises(InstitError, match="Figure was expected"):
        figures.figure_html(plt.subplots()[1], alt=ALT)
    plt.close("all")


def test_show_image_keeps_the_pixels(published):
    array = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    figures.show_image(array, alt="noise in many colours")
    assert np.array_equal(np.asarray(picture(published[0][0])), array)


def test_tiny_image_is_enlarged_without_blur(published):
    array = np.eye(8, dtype=float)
    figures.show_image(array, alt="an identity matrix, white on black")
    shown = np.asarray(picture(published[0][0]))
    assert shown.shape[0] >= 192 and set(np.unique(shown)) == {0, 255}


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 2, 4), np.uint8), np.full((2, 2), 7.0), np.zeros((2, 2), np.int64)]
)
def test_what_is_no_image_is_refused(bad):
    with pytest.raises(InstitError):
        figures.to_rgb(bad)


def test_show_images_wraps_rows_and_checks_titles(published):
    black, white = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    figures.show_images([black, white, white], ["a", "b", "c"], columns=2, alt="three squares in two rows")
    with pytest.raises(InstitError, match="titles"):
        figures.show_images([black, white], ["a"], alt="two squares side by side")
    wide = picture(published[0][0])
    assert len(published) == 1 and 0.6 < wide.width / wide.height < 1.4


def test_style_is_legible_and_colour_is_not_alone():
    figures.use_style()
    keys = ("font.size", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    sizes = [plt.rcParams[key] for key in keys]
    assert min(sizes) >= 10
    styles = list(plt.rcParams["axes.prop_cycle"])
    assert len({style["color"] for style in styles}) == len(styles)
    assert len({str(style["linestyle"]) for style in styles}) == len(styles)


def test_the_road_shows_every_step_and_fits_the_page():
    fig, alt = road.draw_road()
    assert [axis.get_title(loc="left")[5:] for axis in fig.axes] == list(road.STEPS)
    assert all(step in alt for step in road.STEPS)
    assert picture(figures.figure_html(fig, alt=alt)).width * 96 / figures.DPI <= WIDEST


def test_one_thing_has_one_colour():
    assert len(set(figures.COLOUR_OF.values())) == len(figures.COLOUR_OF)


def test_intervals_as_bands_and_as_dots_have_the_look_of_their_name():
    spans = [SimpleNamespace(mean=m, low=m - 0.1, high=m + 0.2) for m in (0.3, 0.5)]
    fig, axis = plt.subplots()
    figures.band(axis, spans, "base")
    figures.dots(axis, spans, "after SFT", 0.2)
    line, dots = axis.lines[0], axis.containers[0]
    assert list(line.get_ydata()) == [0.3, 0.5] and line.get_color() == figures.COLOUR_OF["base"]
    assert np.allclose(dots[0].get_xdata(), [0.2, 1.2]) and dots[0].get_color() == figures.COLOUR_OF["after SFT"]
    ends = [segment[:, 1].tolist() for segment in dots[2][0].get_segments()]
    assert np.allclose(ends, [[0.2, 0.5], [0.4, 0.7]])
    assert line.get_marker() != dots[0].get_marker()
    plt.close(fig)
