"""Follow each thing through all frames and share out the foreground. In: `Thing`s. Out: masks by thing.

A thing that was seen on its own is known by its shape and colours. With these it is searched in every frame,
also where it merges with others; the best path through all frames is found at once (Viterbi), so that one
doubtful frame does not derail it. Where things touch, every pixel goes to the thing whose shape and colour
explain it best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .blobs import Piece, mean_colour
from .ground import EIGHT, codes

STEP = 2  # pixels: the search looks at every second
PEAKS = 8  # places considered in a frame
ABSENT = 0.25  # score of not being there; where the thing is alone the score is about 1
SWITCH = 1.0  # cost of appearing or disappearing
ALONE, WHOLE = 0.1, 0.5  # shares of the clip for which a thing must be seen alone, or found as a whole
LIMIT = 2.0  # no pixel says more than this for or against a thing


@dataclass(frozen=True, eq=False)
class Thing:
    """What is known of a thing. `shape` float32 [2r+1, 2r+1], how often a pixel around its centre belongs to
    it; `colour` float32 [4096]; `pace` usual pixels a frame; `alone` its pieces on their own, by frame."""

    shape: np.ndarray
    colour: np.ndarray
    pace: float
    alone: dict[int, Piece]


def learn_thing(pieces: list[Piece]) -> Thing:
    """Learn a thing's shape and colours from its smaller pieces: larger ones may contain another."""
    pieces = sorted(pieces, key=lambda p: p.frame)
    usual = np.median([p.area for p in pieces])
    good = [p for p in pieces if usual / 2 <= p.area <= usual]
    reach = int(np.ceil(np.percentile([max(p.mask.shape) for p in good], 90) * 0.6)) + 2
    shape = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for piece in good:
        y, x = np.nonzero(piece.mask)
        y = (y + piece.corner[0] - piece.centre[0] + reach).round().astype(int)
        x = (x + piece.corner[1] - piece.centre[1] + reach).round().astype(int)
        inside = (y >= 0) & (x >= 0) & (y <= 2 * reach) & (x <= 2 * reach)
        shape[y[inside], x[inside]] += 1 / len(good)
    steps = [np.hypot(*(b.centre - a.centre)) for a, b in zip(pieces, pieces[1:]) if b.frame == a.frame + 1]
    pace = float(np.percentile(steps, 80)) if steps else 1.0
    return Thing(shape, mean_colour(good), pace, {p.frame: p for p in pieces})


def follow(frames: np.ndarray, masks: np.ndarray, things: list[Thing]) -> tuple[list[Thing], list[list]]:
    """Find the paths of all things, leaving out what is not believed to be one: folds, shadows, limbs.

    Frames uint8 [N, h, w, 3], foreground `masks` bool [N, h, w]. A thing is believed that is alone for a
    while, or that for half of the clip is found as a whole; once it is believed, a part of it is enough.
    Returns the things left and for each the places that `find_path` gives.
    """
    believed = []
    for k, thing in enumerate(things):
        alone = longest_run([t in thing.alone for t in range(len(frames))]) >= ALONE * len(frames)
        whole = [] if alone else find_path(frames, masks, things, k, outside=-LIMIT)
        if alone or longest_run([place is not None for place in whole]) >= WHOLE * len(frames):
            believed.append(thing)
    return believed, [find_path(frames, masks, believed, k) for k in range(len(believed))]


def longest_run(seen: list[bool]) -> int:
    """Count the frames of the longest time without a break."""
    runs, _ = ndimage.label(seen)
    return int(np.bincount(runs)[1:].max(initial=0))


def find_path(
    frames: np.ndarray, masks: np.ndarray, things: list[Thing], k: int, outside: float = 0.0
) -> list[np.ndarray | None]:
    """Return where thing `k` is in each frame, its centre (y, x) in pixels, or None where it is not seen.

    The score of a place is how much the colours under the thing's shape speak for it and against the others,
    in units of what it is where the thing is alone; a pixel that is not foreground speaks with `outside`.
    """
    from scipy.signal import fftconvolve  # takes a second to import, and most inputs come with their masks

    thing = things[k]
    others = [t.colour for t in things if t is not thing]
    rest = np.mean(others, axis=0) if others else np.full(4096, 1e-4, np.float32)
    evidence = np.clip(np.log((thing.colour + 1e-4) / (rest + 1e-4)), -LIMIT, LIMIT).astype(np.float32)
    speaks = evidence[codes(frames[:, ::STEP, ::STEP])]
    speaks = np.where(masks[:, ::STEP, ::STEP], speaks, outside).astype(np.float32)
    kernel = thing.shape[None, ::-STEP, ::-STEP]
    score = fftconvolve(speaks, kernel / kernel.sum(), mode="same", axes=(1, 2))
    clear = [score[t].max() for t in thing.alone]
    score /= max(float(np.median(clear)), 0.1)
    states = [peaks_of(picture, thing.alone.get(t)) for t, picture in enumerate(score)]
    return best_path(states, 2 * thing.pace + 2)


def peaks_of(score: np.ndarray, alone: Piece | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the candidate places of one frame, float [m, 2] in pixels, and their scores, float [m]."""
    y, x = np.nonzero((score == ndimage.maximum_filter(score, 5)) & (score > 0))
    best = np.argsort(-score[y, x])[:PEAKS]
    places, scores = np.stack([y[best], x[best]], 1) * float(STEP), score[y[best], x[best]]
    if alone is not None:
        places, scores = np.vstack([places, alone.centre]), np.append(scores, 1.0)
    return places, scores


def best_path(states: list[tuple[np.ndarray, np.ndarray]], pace: float) -> list[np.ndarray | None]:
    """Choose one candidate or none in each frame: scores high, steps within `pace` (Viterbi)."""
    places, total, back = np.zeros((0, 2)), np.array([0.0]), []
    for found, scores in states:  # the last state of each frame is "not there"
        move = np.full((len(places) + 1, len(found) + 1), -SWITCH)
        away = np.hypot(*(places[:, None] - found[None]).transpose(2, 0, 1))
        move[:-1, :-1] = -np.minimum(0.5 * np.maximum(away / pace - 1, 0) ** 2, 3 * SWITCH)
        move[-1, -1] = 0
        gain = total[:, None] + move
        back.append(gain.argmax(0))
        total, places = gain.max(0) + np.append(scores, ABSENT), found
    path, state = [], total.argmax()
    for (found, _), origin in zip(states[::-1], back[::-1]):
        path.append(found[state] if state < len(found) else None)
        state = origin[state]
    return path[::-1]


def share_out(
    frame: np.ndarray, mask: np.ndarray, things: list[Thing], places: list[np.ndarray | None]
) -> dict[int, np.ndarray]:
    """Give every foreground pixel of a frame to one thing: bool [h, w] by the thing's number, from 0."""
    present = [k for k, place in enumerate(places) if place is not None]
    if not present:
        return {}
    names = codes(frame)
    fit, near = [], []
    for k in present:
        soft = stamp(things[k].shape, places[k], mask.shape)
        colour = np.log(things[k].colour[names] + 1e-4)
        away = ndimage.distance_transform_edt(soft <= 0.05)
        fit.append(ndimage.gaussian_filter(colour, 1.0) + 1.5 * np.log(soft + 0.05) - away)
        near.append(away == 0)
    pieces, n_pieces = ndimage.label(mask, EIGHT)
    owner = np.where(mask, np.argmax(fit, axis=0), -1)
    for piece in range(1, n_pieces + 1):
        here = pieces == piece
        touched = [i for i in range(len(present)) if (near[i] & here).any()]
        if not touched:
            owner[here] = -1
        elif len(touched) == 1:
            owner[here] = touched[0]
    found = {k: tidy(owner == i) for i, k in enumerate(present)}
    order = sorted(found, key=lambda k: found[k].sum())
    for i, k in enumerate(order):  # the smaller thing keeps what tidying gave to both
        for larger in order[i + 1 :]:
            found[larger] &= ~found[k]
    return {k: m for k, m in found.items() if m.any()}


def stamp(shape: np.ndarray, place: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Lay a thing's shape at its place on an empty picture, float32 [h, w]."""
    reach = len(shape) // 2
    y, x = np.clip(np.round(place).astype(int), 0, np.array(size) - 1)
    picture = np.pad(np.zeros(size, np.float32), reach)
    picture[y : y + len(shape), x : x + len(shape)] = shape
    return picture[reach : reach + size[0], reach : reach + size[1]]


def tidy(mask: np.ndarray) -> np.ndarray:
    """Close gaps and small holes of a thing and drop crumbs under a tenth of its largest piece."""
    mask = ndimage.binary_closing(np.pad(mask, 4), iterations=2)[4:-4, 4:-4]
    mask = ndimage.binary_opening(mask)
    labels, _ = ndimage.label(mask, EIGHT)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return np.isin(labels, np.nonzero(areas >= max(0.1 * areas.max(), 4))[0]) & mask
