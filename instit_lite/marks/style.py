"""How a mark looks. In: a style's name, a mark id, the frame's size. Out: a `Style`, box size, digits.

Two styles are in use in INST-IT, measured on its published frames: video frames and images differ. The
third, `micro`, is large print: a picture of 64 pixels leaves nothing of the others. `micro_dark` is its negative, to
test on marks of another look than a model was trained on.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InstitError

Colour = tuple[int, int, int]
SIZE_PER_CAP = 1.39  # font size whose capitals and digits are one pixel high
GOLDEN = 0.618034  # steps of the hue that keep neighbouring ids apart


@dataclass(frozen=True)
class Style:
    """Colours are RGB, alphas 0 to 1. Cap height = `cap` x (short side / `reference`) ** `power`, at least
    `least`. The box is the digits' width plus `pad_x` cap heights wide and `pad_y` cap heights high."""

    name: str
    ink: Colour
    box: Colour
    box_alpha: float
    cap: float
    reference: float
    power: float
    least: float
    pad_x: float
    pad_y: float
    contour_alpha: float
    saturation: float
    fill_alpha: float


STYLES = {
    # 18 pixels at 720 and 12 at 424: the published frames do not scale in proportion
    "video": Style("video", (0, 0, 0), (255, 255, 255), 0.75, 18, 720, 0.766, 9, 0.28, 1.28, 0.2, 0.12, 0.0),
    "image": Style("image", (255, 255, 255), (0, 0, 0), 0.8, 18, 640, 1.0, 10, 0.17, 1.44, 1.0, 0.75, 0.1),
    "micro": Style("micro", (0, 0, 0), (255, 255, 255), 0.92, 0.11, 1, 1.0, 4, 0.03, 1.27, 0.0, 0.0, 0.0),
    "micro_dark": Style("micro_dark", (255, 255, 255), (0, 0, 0), 0.92, 0.11, 1, 1.0, 4, 0.03, 1.27, 0.0, 0.0, 0.0),
}


def get_style(name: str) -> Style:
    """Return the style called `name`; raise `InstitError` for a name that does not exist."""
    if name not in STYLES:
        raise InstitError(f"there is no mark style {name!r}", cure=f"choose one of {', '.join(STYLES)}")
    return STYLES[name]


def cap_height(style: Style, shape: tuple[int, int]) -> float:
    """Return the digits' height in pixels for a frame of (height, width)."""
    return max(style.least, style.cap * (min(shape) / style.reference) ** style.power)


@lru_cache(maxsize=4096)
def box_size(style: Style, text: str, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) in pixels of the box around `text`, never more than the frame holds."""
    cap = cap_height(style, shape)
    width = digit_font(cap).getlength(text) + style.pad_x * cap
    return min(round(width), shape[1]), min(round(style.pad_y * cap), shape[0])


@lru_cache(maxsize=512)
def digit_font(cap: float) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font with digits `cap` pixels high; no font of the machine is used."""
    return ImageFont.load_default(round(cap * SIZE_PER_CAP, 1))


@lru_cache(maxsize=4096)
def glyphs(style: Style, text: str, shape: tuple[int, int]) -> np.ndarray:
    """Draw `text` in the middle of its box: ink coverage, uint8 [height, width], not to be written to."""
    size, font = box_size(style, text, shape), digit_font(cap_height(style, shape))
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    picture = Image.new("L", size)
    at = size[0] / 2 - (left + right) / 2, size[1] / 2 - (top + bottom) / 2
    ImageDraw.Draw(picture).text(at, text, 255, font=font, anchor="ls")
    ink = np.array(picture)
    ink.flags.writeable = False
    return ink


@lru_cache(maxsize=4096)
def patch(style: Style, text: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of the frame to keep, float32 [h, w, 1], and what box and digits add, [h, w, 3]."""
    ink = glyphs(style, text, shape)[..., None].astype(np.float32) / 255
    keep = (1 - ink) * (1 - style.box_alpha)
    box, digits = np.float32(style.box), np.float32(style.ink)
    return keep, (1 - ink) * style.box_alpha * box + ink * digits + 0.5


@lru_cache(maxsize=4096)
def id_colour(style: Style, mark_id: int) -> Colour:
    """Return the contour's colour: constant for a mark id, near-white where the style's saturation is low."""
    rgb = colorsys.hsv_to_rgb((0.05 + mark_id * GOLDEN) % 1, style.saturation, 0.98)
    return tuple(round(255 * v) for v in rgb)
