"""Draw a scene. In: a `Scene`, a clock, a side in pixels. Out: a frame and the exact visible mask of each thing.

Shapes are signed distance functions, so edges are anti-aliased at any side and masks are exact.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from .world import COLOURS, Background, Scene, State

OUTLINE = 0.12  # width of the darker rim, as a share of the radius


def render(scene: Scene, u: float, side: int = 384) -> tuple[np.ndarray, np.ndarray]:
    """Draw the scene at clock `u`.

    Returns the frame, uint8 [side, side, 3] RGB, and the visible masks, bool [n_things, side, side] in the
    order of `scene.things`: a pixel belongs to the nearest thing that covers more than half of it.
    """
    frame = draw_background(scene.background, scene.seed, side).copy()
    masks = np.zeros((len(scene.things), side, side), bool)
    for i in sorted(range(len(scene.things)), key=lambda i: -scene.things[i].depth):
        state = scene.things[i].state(u)
        window, distance = distance_field(scene.things[i].shape, state, side)
        if window is None:
            continue
        cover = np.clip(0.5 - distance, 0, 1)[..., None]
        rim = np.clip(0.5 - (distance + OUTLINE * state.radius * side), 0, 1)[..., None]
        colour = np.asarray(COLOURS[state.colour], np.float32)
        fill = colour * (0.62 + 0.38 * rim)
        frame[window] = frame[window] * (1 - cover) + fill * cover
        masks[(slice(None), *window)] &= ~(distance < 0)
        masks[i][window] = distance < 0
    if scene.blur:
        frame = ndimage.gaussian_filter(frame, (scene.blur * side, scene.blur * side, 0))
    return np.clip(frame + 0.5, 0, 255).astype(np.uint8), masks


def distance_field(shape: str, state: State, side: int) -> tuple[tuple[slice, slice] | None, np.ndarray | None]:
    """Signed distance in pixels to the outline, negative inside, on the window that the thing can touch.

    Returns (None, None) where the thing lies outside the frame.
    """
    reach = state.radius * 1.06 + 1.5 / side
    x0, x1 = (int(np.clip(np.floor(v * side), 0, side)) for v in (state.x - reach, state.x + reach + 1 / side))
    y0, y1 = (int(np.clip(np.floor(v * side), 0, side)) for v in (state.y - reach, state.y + reach + 1 / side))
    if x0 >= x1 or y0 >= y1:
        return None, None
    x = (np.arange(x0, x1, dtype=np.float32) + 0.5)[None] - state.x * side
    y = (np.arange(y0, y1, dtype=np.float32) + 0.5)[:, None] - state.y * side
    return (slice(y0, y1), slice(x0, x1)), SHAPE_DISTANCE[shape](x, y, state.radius * side)


def circle(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    return np.hypot(x, y) - r


def square(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.87 * r


def triangle(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    slope = 0.5 * np.sqrt(3.0)
    return np.maximum(slope * np.abs(x) - 0.5 * (y - 0.1 * r), y - 0.1 * r) - 0.55 * r


def star(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    """Five points: fold the plane into one half of one point, then measure to its straight edge."""
    sector = np.pi / 5
    angle = np.arctan2(x, -y)
    folded = np.abs(np.mod(angle + sector, 2 * sector) - sector)
    length = np.hypot(x, y)
    px, py = length * np.sin(folded), length * np.cos(folded)
    tip, valley = np.array([0.0, r]), 0.46 * r * np.array([np.sin(sector), np.cos(sector)])
    edge = (valley - tip) / np.linalg.norm(valley - tip)
    return (px - tip[0]) * -edge[1] + (py - tip[1]) * edge[0]


SHAPE_DISTANCE = {"circle": circle, "square": square, "triangle": triangle, "star": star}


@lru_cache(maxsize=4)
def draw_background(background: Background, seed: int, side: int) -> np.ndarray:
    """Draw what lies behind the things: float32 [side, side, 3], the same in every frame of the scene."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    along = axis[None] * np.cos(background.angle) + axis[:, None] * np.sin(background.angle)
    rng = np.random.default_rng(seed)
    if background.kind == "plain":
        mix = np.zeros((side, side), np.float32)
    elif background.kind == "gradient":
        mix = along + 0.5
    elif background.kind == "stripes":
        mix = 0.25 + 0.25 * np.sin(along * 26)
    else:
        coarse = rng.random((6, 6)).astype(np.float32)
        mix = 0.6 * ndimage.zoom(coarse, side / 6, order=1, grid_mode=True, mode="nearest")[:side, :side]
    first, second = np.float32(background.first), np.float32(background.second)
    picture = first + (second - first) * np.clip(mix, 0, 1)[..., None]
    grain = rng.normal(0, background.grain, (side, side, 1)).astype(np.float32)
    return picture + grain
