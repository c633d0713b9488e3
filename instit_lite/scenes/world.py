"""What exists in the micro world. In: nothing. Out: the words for things and the classes `Thing` and `Scene`.

Lengths are fractions of the frame's side, x to the right and y down; the clock `u` runs from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLOURS = {
    "red": (214, 39, 40),
    "green": (36, 150, 60),
    "blue": (38, 90, 210),
    "yellow": (240, 205, 40),
    "purple": (140, 60, 180),
    "cyan": (60, 200, 215),
}
SHAPES = ("circle", "square", "triangle", "star")
SIZES = {"small": 0.095, "large": 0.165}
SIZE_LIMIT = 0.13  # radius from which a thing is called large
PLACES = (
    "top left", "top", "top right",
    "left", "middle", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip


def place_of(x: float, y: float) -> str:
    """Name the cell of a 3 x 3 grid that holds the point (x, y), both in [0, 1]."""
    column, row = (int(np.clip(v * 3, 0, 2)) for v in (x, y))
    return PLACES[row * 3 + column]


def size_of(radius: float) -> str:
    """Name a radius given as a fraction of the frame's side."""
    return "large" if radius >= SIZE_LIMIT else "small"


@dataclass(frozen=True)
class Key:
    """One point of a path: at clock `u` the thing is at (x, y), its radius times `scale`."""

    u: float
    x: float
    y: float
    scale: float = 1.0


@dataclass(frozen=True)
class State:
    """A thing at one moment."""

    x: float
    y: float
    radius: float
    colour: str


@dataclass(frozen=True)
class Thing:
    """One shape and its script. `depth` orders occlusion: a larger depth is further away."""

    mark_id: int
    shape: str
    colour: str
    size: str
    keys: tuple[Key, ...]
    depth: int
    recolour: tuple[float, str] | None = None  # (clock, new colour)

    def state(self, u: float) -> State:
        """Return place, radius and colour at clock `u`; between keys all move in straight lines."""
        clock = [k.u for k in self.keys]
        x, y, scale = (
            float(np.interp(u, clock, [getattr(k, name) for k in self.keys])) for name in ("x", "y", "scale")
        )
        changed = self.recolour is not None and u >= self.recolour[0]
        return State(x, y, SIZES[self.size] * scale, self.recolour[1] if changed else self.colour)


@dataclass(frozen=True)
class Background:
    """What lies behind the things: two muted colours, a pattern between them, grain on top."""

    kind: str  # "plain", "gradient", "stripes" or "clouds"
    first: tuple[int, int, int]
    second: tuple[int, int, int]
    angle: float
    grain: float


@dataclass(frozen=True)
class Scene:
    """A whole script: the same scene renders to the same pixels on every run."""

    seed: int
    things: tuple[Thing, ...]
    background: Background
    blur: float = 0.0  # sigma as a fraction of the side


@dataclass(frozen=True)
class Knobs:
    """What makes scenes hard: how many things, how much they cover each other, how blurred and small."""

    n_things: tuple[int, int] = (2, 4)
    occlusion: float = 0.0  # chance that a moving thing is sent behind another
    blur: float = 0.0
    size: float = 1.0  # scales every radius
    crowding: float = 0.0  # 0 keeps things apart, 1 lets them sit on top of each other
    motion: bool = True
