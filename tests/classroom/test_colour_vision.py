"""Colours for everyone: marks, figures and the micro world under the three common deficiencies, in numbers.

Simulated as Machado, Oliveira and Fernandes (2009) do at full severity; distances are Euclidean in CIELAB, where
about 2 is just seen side by side. What passes here still has a second channel: a digit, a shape, a hatch, a dash.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from instit_lite.classroom.figures import PALETTE
from instit_lite.marks.style import STYLES, id_colour, patch
from instit_lite.scenes.world import COLOURS

EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(1)
LEAST_CONTRAST = 4.5  # of the web's accessibility rules, for text
LEAST_NEIGHBOURS, LEAST_APART = 20, 10  # distances: marks that stand beside each other, colours of one set
PAPERS = [(0, 0, 0), (255, 255, 255), (128, 128, 128), *COLOURS.values()]  # what a mark may stand on


def seen(rgb, eye: str) -> np.ndarray:
    """Linear light, 0 to 1, of sRGB colours [..., 3] as `eye` sees them."""
    value = np.asarray(rgb, float) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.clip(light @ np.transpose(EYES[eye]), 0, 1)


def lab(rgb, eye: str) -> np.ndarray:
    ratio = seen(rgb, eye) @ TO_XYZ.T / WHITE
    x, y, z = np.moveaxis(np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def distance(one, other, eye: str) -> float:
    return float(np.linalg.norm(lab(one, eye) - lab(other, eye)))


def contrast(one, other, eye: str) -> float:
    bright, dark = sorted((float(seen(rgb, eye) @ TO_XYZ[1]) for rgb in (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_the_yardsticks_measure():
    assert contrast((0, 0, 0), (255, 255, 255), "normal") == pytest.approx(21, abs=0.01)
    assert distance((0, 0, 0), (255, 255, 255), "normal") == pytest.approx(100, abs=0.1)
    red, green = (200, 60, 60), (90, 110, 50)  # far apart, but not for everyone
    assert distance(red, green, "normal") > 50 and distance(red, green, "deuteranopia") < 25
    assert all(distance((90, 90, 90), (90, 90, 90), eye) == 0 for eye in EYES)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("style", STYLES)
def test_a_digit_is_read_on_its_box_whatever_lies_below(style, eye):
    keep, added = patch(STYLES[style], "8", (720, 720))
    for paper in PAPERS:
        drawn = keep * np.float32(paper) + added
        light = seen(drawn, eye) @ TO_XYZ[1]
        digit, box = (np.unravel_index(found, light.shape) for found in (light.argmin(), light.argmax()))
        assert contrast(drawn[digit], drawn[box], eye) >= LEAST_CONTRAST, f"{style} on {paper}"


@pytest.mark.parametrize("eye", EYES)
def test_contours_of_neighbouring_marks_differ(eye):
    """Only style `image` tells instances apart by colour too; the others' contours are near white or absent."""
    style = STYLES["image"]
    near = {i: distance(id_colour(style, i), id_colour(style, i + 1), eye) for i in range(1, 50)}
    assert min(near.values()) >= LEAST_NEIGHBOURS, min(near.items(), key=lambda item: item[1])


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", ["figures", "micro world"])
def test_colours_of_one_set_stay_apart(name, eye):
    colours = COLOURS if name == "micro world" else {
        key: tuple(bytes.fromhex(code[1:])) for key, code in PALETTE.items()
    }  # fmt: skip
    near = {pair: distance(*(colours[key] for key in pair), eye) for pair in combinations(colours, 2)}
    assert min(near.values()) >= LEAST_APART, min(near.items(), key=lambda item: item[1])
