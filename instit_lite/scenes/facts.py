"""What is true in a scene. In: a `Scene` and the moments that were sampled. Out: exact facts per frame.

Facts are what a perfect annotator could see: hidden things are not described, only known to be hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .render import SHAPE_DISTANCE, distance_field
from .world import Scene, Thing, place_of, size_of

VISIBLE_MIN = 0.25  # a thing counts as visible from this share of its area on
MOVED = 0.05  # a shift between two frames that counts as motion, as a fraction of the side
GROWN = 1.12
FACT_SIDE = 96


@dataclass(frozen=True)
class InstanceFacts:
    """One visible thing in one frame; `visible` is the share of its area that can be seen."""

    mark_id: int
    shape: str
    colour: str
    size: str
    place: str
    x: float
    y: float
    radius: float
    visible: float


@dataclass(frozen=True)
class FrameFacts:
    """One frame: its 1-based timestamp, the visible things by mark id, the ids that something covers."""

    timestamp: int
    instances: tuple[InstanceFacts, ...]
    hidden: tuple[int, ...] = ()

    def get(self, mark_id: int) -> InstanceFacts | None:
        """Return the facts of one id, or None where it is not visible."""
        return next((f for f in self.instances if f.mark_id == mark_id), None)


@dataclass(frozen=True)
class Change:
    """What one thing did between two frames. `detail` is a direction, a colour or nothing."""

    mark_id: int
    kind: str  # "moves", "enters", "leaves", "hides", "appears", "grows", "shrinks", "turns"
    detail: str = ""


def scene_facts(scene: Scene, times: Sequence[float]) -> list[FrameFacts]:
    """Return the facts of the frames sampled at the clocks `times`, timestamps counting from 1."""
    return [frame_facts(scene, u, t) for t, u in enumerate(times, start=1)]


def frame_facts(scene: Scene, u: float, timestamp: int = 1) -> FrameFacts:
    """Return the facts of one frame at clock `u`."""
    instances, hidden = [], []
    shares = visible_shares(scene, u)
    for thing, (share, inside) in zip(scene.things, shares):
        if share >= VISIBLE_MIN:
            instances.append(instance_facts(thing, u, share))
        elif inside >= VISIBLE_MIN:
            hidden.append(thing.mark_id)
    return FrameFacts(timestamp, tuple(sorted(instances, key=lambda f: f.mark_id)), tuple(sorted(hidden)))


def instance_facts(thing: Thing, u: float, share: float) -> InstanceFacts:
    s = thing.state(u)
    return InstanceFacts(
        thing.mark_id, thing.shape, s.colour, size_of(s.radius), place_of(s.x, s.y), s.x, s.y, s.radius, share
    )


def visible_shares(scene: Scene, u: float) -> list[tuple[float, float]]:
    """Per thing: the share of its area that is seen, and the share that lies inside the frame."""
    covered = np.zeros((FACT_SIDE, FACT_SIDE), bool)
    shares: list[tuple[float, float]] = [(0.0, 0.0)] * len(scene.things)
    for i in sorted(range(len(scene.things)), key=lambda i: scene.things[i].depth):
        thing = scene.things[i]
        state = thing.state(u)
        window, distance = distance_field(thing.shape, state, FACT_SIDE)
        if window is None:
            continue
        inside = distance < 0
        whole = unit_area(thing.shape) * (state.radius * FACT_SIDE) ** 2
        seen = (inside & ~covered[window]).sum() / whole
        shares[i] = (min(1.0, float(seen)), min(1.0, float(inside.sum() / whole)))
        covered[window] |= inside
    return shares


@lru_cache
def unit_area(shape: str) -> float:
    """Area of a shape of radius 1, measured on a fine grid."""
    axis = np.linspace(-1.2, 1.2, 481)
    return float((SHAPE_DISTANCE[shape](axis[None], axis[:, None], 1.0) < 0).mean() * 2.4**2)


def changes(prev: FrameFacts, cur: FrameFacts) -> list[Change]:
    """Compare two frames' facts: what a viewer of both frames can say, by mark id."""
    found: list[Change] = []
    ids = sorted({f.mark_id for f in prev.instances} | {f.mark_id for f in cur.instances})
    for mark_id in ids:
        before, after = prev.get(mark_id), cur.get(mark_id)
        if before is None:
            found.append(Change(mark_id, "appears" if mark_id in prev.hidden else "enters"))
        elif after is None:
            found.append(Change(mark_id, "hides" if mark_id in cur.hidden else "leaves"))
        else:
            found.extend(compare(before, after))
    return found


def compare(before: InstanceFacts, after: InstanceFacts) -> list[Change]:
    """Compare one thing that is visible in both frames."""
    found = []
    way = direction(after.x - before.x, after.y - before.y)
    if way:
        found.append(Change(after.mark_id, "moves", way))
    if after.radius > before.radius * GROWN:
        found.append(Change(after.mark_id, "grows"))
    if after.radius * GROWN < before.radius:
        found.append(Change(after.mark_id, "shrinks"))
    if after.colour != before.colour:
        found.append(Change(after.mark_id, "turns", after.colour))
    return found


def direction(dx: float, dy: float) -> str:
    """Name the main direction of a shift, or "" where it is too small to count."""
    if max(abs(dx), abs(dy)) < MOVED:
        return ""
    if abs(dx) >= abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"
