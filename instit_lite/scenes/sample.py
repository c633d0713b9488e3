"""Write random scripts. In: a seed and knobs. Out: a `Scene`; the same seed gives the same scene."""

from __future__ import annotations

import numpy as np

from .world import COLOURS, SHAPES, SIZES, Background, Key, Knobs, Scene, Thing

CLOCK = np.linspace(0.06, 0.94, 6)  # where paths are checked for collisions
MOTIONS = ("still", "move", "stop", "enter", "leave", "approach", "recolour")
CHANCES = (0.16, 0.24, 0.1, 0.2, 0.16, 0.07, 0.07)
LOW, HIGH = 0.14, 0.86


def sample_scene(seed: int, knobs: Knobs = Knobs()) -> Scene:
    """Write the scene of `seed`: 1 to 5 things with distinct looks, random ids and random paths."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(knobs.n_things[0], knobs.n_things[1] + 1))
    ids = rng.permutation(np.arange(1, max(count, 5) + 1))[:count]
    looks = sample_looks(rng, count)
    things: list[Thing] = []
    for i in range(count):
        shape, colour, size = looks[i]
        things.append(sample_thing(rng, things, int(ids[i]), shape, colour, size, i, knobs))
    background = sample_background(rng)
    return Scene(seed, tuple(sorted(things, key=lambda t: t.mark_id)), background, knobs.blur)


def sample_looks(rng: np.random.Generator, count: int) -> list[tuple[str, str, str]]:
    """Draw (shape, colour, size) triples; no two things share both shape and colour."""
    looks: list[tuple[str, str, str]] = []
    while len(looks) < count:
        look = (str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS))), str(rng.choice(list(SIZES))))
        if all(look[:2] != other[:2] for other in looks):
            looks.append(look)
    return looks


def sample_thing(
    rng: np.random.Generator,
    others: list[Thing],
    mark_id: int,
    shape: str,
    colour: str,
    size: str,
    depth: int,
    knobs: Knobs,
) -> Thing:
    """Draw paths until one keeps clear of the things already there; the last try is taken as it is."""
    behind = bool(others) and knobs.motion and rng.random() < knobs.occlusion
    for _ in range(60):
        motion = str(rng.choice(MOTIONS, p=CHANCES)) if knobs.motion else "still"
        keys = pass_behind(rng, others) if behind else sample_path(rng, motion)
        keys = tuple(Key(k.u, k.x, k.y, k.scale * knobs.size) for k in keys)
        recolour = None
        if motion == "recolour" and not behind:
            taken = {t.colour for t in others if t.shape == shape} | {colour}
            recolour = (0.5, str(rng.choice([c for c in COLOURS if c not in taken])))
        thing = Thing(mark_id, shape, colour, size, keys, depth, recolour)
        if behind or clear_of(thing, others, knobs):
            break
    return thing


def sample_path(rng: np.random.Generator, motion: str) -> tuple[Key, ...]:
    """Draw the keys of one kind of motion; see `MOTIONS`."""
    x, y = away_from_lines(rng), away_from_lines(rng)
    if motion in ("still", "recolour"):
        return (Key(0, x, y),)
    if motion == "approach":
        return (Key(0, x, y), Key(0.15, x, y), Key(0.85, x, y, 1.75), Key(1, x, y, 1.75))
    across = rng.random() < 0.5
    far = rng.uniform(0.4, 0.65) * rng.choice([-1, 1])
    if motion in ("move", "stop"):
        start = rng.uniform(LOW, HIGH - abs(far)) if far > 0 else rng.uniform(LOW + abs(far), HIGH)
        a, b = (start, y) if across else (x, start), (start + far, y) if across else (x, start + far)
        return (Key(0, *a), Key(1 if motion == "move" else 0.55, *b))
    outside = 1.2 if far > 0 else -0.2
    edge = (outside, y) if across else (x, outside)
    when = rng.uniform(0.1, 0.75)
    if motion == "enter":
        return (Key(0, *edge), Key(when, *edge), Key(min(when + 0.2, 1), x, y))
    return (Key(0, x, y), Key(when, x, y), Key(min(when + 0.2, 1), *edge))


def away_from_lines(rng: np.random.Generator) -> float:
    """Draw a coordinate that is not within 0.03 of a line of the 3 x 3 grid, so that places are clear."""
    while True:
        value = rng.uniform(LOW, HIGH)
        if min(abs(value - 1 / 3), abs(value - 2 / 3)) > 0.03:
            return float(value)


def pass_behind(rng: np.random.Generator, others: list[Thing]) -> tuple[Key, ...]:
    """A straight path that crosses behind another thing in the middle of the clip."""
    front = others[int(rng.integers(len(others)))].state(0.5)
    reach = rng.uniform(0.3, 0.5) * rng.choice([-1, 1])
    return (Key(0, front.x - reach, front.y), Key(1, front.x + reach, front.y))


def clear_of(thing: Thing, others: list[Thing], knobs: Knobs) -> bool:
    """Tell whether `thing` keeps its distance from all others at every checked moment."""
    share = 1.0 - knobs.crowding
    for u in CLOCK if knobs.motion else (0.5,):
        a = thing.state(u)
        for other in others:
            b = other.state(u)
            if np.hypot(a.x - b.x, a.y - b.y) < share * (a.radius + b.radius):
                return False
    return True


def sample_background(rng: np.random.Generator) -> Background:
    """Draw a muted background: low saturation, so that no thing drowns in it."""
    def muted() -> tuple[int, int, int]:
        grey = rng.uniform(60, 215)
        return tuple(int(v) for v in np.clip(grey + rng.uniform(-18, 18, 3), 0, 255))

    kind = str(rng.choice(["plain", "gradient", "stripes", "clouds"]))
    return Background(kind, muted(), muted(), float(rng.uniform(0, np.pi)), float(rng.uniform(0, 5)))
