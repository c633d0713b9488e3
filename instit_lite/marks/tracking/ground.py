"""Learn the still background and cut out what differs. In: a `Canvas`. Out: the background, foreground masks.

The median over time is not enough: who stands in one place for most of the clip becomes part of it. Here the
background is completed from the outside in, block by block, with the look that fits the part already known
and whose colours are at home in the still part of the picture (after Colombari et al., "Exemplar-based
background model initialization", 2005). Places never uncovered are `hidden` and judged by colour alone.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...errors import NoInstances
from .camera import Canvas

BLOCK = 8  # pixels
SAMPLES = 64  # frames that the background is learned from
CHANGE = 14.0  # grey levels (root mean square over channels) between two looks of the same place
STEADY = 0.5  # share of the clip from which a look that stays the same to the noise is the background
UNREST = 0.7  # share of the picture that may move
RARE = 0.08  # share below which a look is not the background: that was never uncovered
SURE, LIKELY = 8.0, 4.5  # deviations, in units of the noise, that start and continue a thing
EIGHT = np.ones((3, 3), bool)
NEIGHBOURS = [(y, x) for y in (-BLOCK // 2, 0, BLOCK // 2) for x in (-BLOCK // 2, 0, BLOCK // 2)]


@dataclass(frozen=True, eq=False)
class Ground:
    """`colour` float32 [h, w, 3]; `noise` float32 [h, w]; `hidden` bool [h, w], never uncovered; `foreign`
    float [4096], the share of a colour code's pixels that the background does not explain; `reach`, by how
    many pixels the background itself may stir."""

    colour: np.ndarray
    noise: np.ndarray
    hidden: np.ndarray
    foreign: np.ndarray
    reach: int


def codes(picture: np.ndarray) -> np.ndarray:
    """Name each colour's cell, int32 [...], in a grid of 16 x 16 x 16, from colours 0 to 255 [..., 3]."""
    cell = picture.astype(np.int32) >> 4
    return cell[..., 0] * 256 + cell[..., 1] * 16 + cell[..., 2]


def count(cells: np.ndarray) -> np.ndarray:
    """Count how often each colour code occurs, float [4096], slightly blurred over colours."""
    counts = np.bincount(cells.ravel(), minlength=4096).reshape(16, 16, 16).astype(float)
    return ndimage.gaussian_filter(counts, 0.7, mode="nearest").ravel()


def learn_ground(canvas: Canvas) -> Ground:
    """Learn a clip's background; raise `NoInstances` where most of the picture never comes to rest."""
    last = len(canvas.frames) - 1
    picks = np.unique(np.linspace(0, last, min(SAMPLES, last + 1)).round().astype(int))
    looks = canvas.frames[picks].astype(np.float32)
    looks[~canvas.seen[picks]] = np.nan
    ever = canvas.seen[picks].any(0)
    colour = np.zeros(looks.shape[1:], np.float32)
    colour[ever] = np.nanmedian(looks[:, ever], axis=0)
    away = np.sqrt(((looks - colour) ** 2).mean(-1))
    seen = np.isfinite(away)
    moving = (np.nan_to_num(away) > CHANGE).sum(0) > 0.05 * np.maximum(seen.sum(0), 1)
    moving = ndimage.binary_dilation(ndimage.binary_opening(moving), iterations=3) & ever
    alike = 1 + 2 * np.nanmedian(away[:, ever & ~moving]) if (ever & ~moving).any() else CHANGE
    moving &= share_like(looks, colour, alike) < STEADY
    if moving.sum() > UNREST * ever.sum():
        reason = "most of the picture keeps changing, and motion shows only against a still background"
        raise NoInstances(reason, cure="give masks or boxes, or a clip from a fixed camera")
    choices = {b: gather(looks[:, *window(b)]) for b in blocks_of(moving)}
    home = count(codes(colour[~moving & ever]))
    usual = count(codes(looks[seen & moving])) / len(picks)
    foreign = usual / max(moving.sum(), 1)
    foreign = foreign / (foreign + home / max(home.sum(), 1) + 1e-6)
    for _ in range(2):  # what the first round uncovers tells the second which colours the background has
        colour = complete(colour, moving, choices, foreign)
        hidden = moving & (share_like(looks, colour, alike) < RARE)
        foreign = np.clip(1 - count(codes(colour[moving & ~hidden])) / (usual + 1e-3), 0, 1)
    reach = 3 if canvas.drift else 1
    return Ground(colour, learn_noise(looks, colour, moving, canvas.drift > 0), hidden, foreign, reach)


def share_like(looks: np.ndarray, colour: np.ndarray, alike: float) -> np.ndarray:
    """Return each pixel's share of looks that are within `alike` grey levels of `colour`, float [h, w]."""
    away = np.sqrt(((looks - colour) ** 2).mean(-1))
    share = (np.nan_to_num(away, nan=np.inf) < alike).sum(0) / np.maximum(np.isfinite(away).sum(0), 1)
    return ndimage.median_filter(share, 5)


def blocks_of(unknown: np.ndarray) -> list[tuple[int, int]]:
    """Return the corners of the half-overlapping blocks that touch what is unknown."""
    rows, columns = (np.unique(np.r_[0 : n - BLOCK + 1 : BLOCK // 2, n - BLOCK]) for n in unknown.shape)
    return [(int(y), int(x)) for y in rows for x in columns if unknown[window((y, x))].any()]


def complete(ground: np.ndarray, unknown: np.ndarray, choices: dict, foreign: np.ndarray) -> np.ndarray:
    """Fill the unknown part of a background, float [h, w, 3], first the blocks of which most is known."""
    ground, known = ground.copy(), ~unknown
    queue = [(-int(known[window(b)].sum()), b) for b in choices]
    heapq.heapify(queue)
    while queue:
        n_known, block = heapq.heappop(queue)
        place = window(block)
        if known[place].all() or -n_known != known[place].sum():
            continue  # done, or an outdated entry: a newer one is in the queue
        new = ~known[place]
        ground[place][new] = best_look(*choices[block], ground[place], new, foreign)[new]
        known[place] = True
        for step in NEIGHBOURS:
            other = block[0] + step[0], block[1] + step[1]
            if other in choices:
                heapq.heappush(queue, (-int(known[window(other)].sum()), other))
    return ground


def window(block: tuple[int, int]) -> tuple[slice, slice]:
    return slice(block[0], block[0] + BLOCK), slice(block[1], block[1] + BLOCK)


def gather(looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group a block's looks over time, float [K, BLOCK, BLOCK, 3], by likeness.

    Returns the groups' medians, float [G, BLOCK, BLOCK, 3], and shares of the frames, float [G].
    """
    seen = np.isfinite(looks).all((1, 2, 3))
    looks = looks[seen] if seen.any() else np.nan_to_num(looks)
    flat = looks.reshape(len(looks), -1)
    square = (flat**2).sum(1)
    near = (square[:, None] + square - 2 * flat @ flat.T) / flat.shape[1] < CHANGE**2
    free, medians, shares = np.ones(len(looks), bool), [], []
    while free.any():
        centre = ((near & free).sum(1) * free).argmax()
        group = near[centre] & free
        group[centre] = True
        free &= ~group
        medians.append(np.median(looks[group], axis=0))
        shares.append(group.mean() - (group.sum() == 1))  # seen once is suspect
    return np.stack(medians), np.array(shares)


def best_look(
    looks: np.ndarray, shares: np.ndarray, ground: np.ndarray, new: np.ndarray, foreign: np.ndarray
) -> np.ndarray:
    """Return the look of a block, float [BLOCK, BLOCK, 3], that is most likely its background.

    It fits what is known of `ground`, has few foreign colours where it is `new`, and is seen often.
    """
    misfit = np.sqrt(((looks - ground)[:, ~new] ** 2).mean((1, 2))) if not new.all() else 0.0
    return looks[np.argmin(misfit + 40 * foreign[codes(looks[:, new])].mean(1) - 8 * shares)]


def learn_noise(looks: np.ndarray, colour: np.ndarray, moving: np.ndarray, drifts: bool) -> np.ndarray:
    """Return how far the background usually is from its model, float32 [h, w], in grey levels.

    Where things move it is taken from the quiet rest, plus a part of the local contrast.
    """
    away = np.stack([deviation(look, colour) for look in looks])
    quiet = ~moving & np.isfinite(away).any(0)
    noise = np.full(moving.shape, 3.0, np.float32)
    noise[quiet] = np.nanpercentile(away[:, quiet], 50 if drifts else 25, axis=0) + 2
    usual = np.median(noise[quiet]) if quiet.any() else 3.0
    contrast = np.hypot(*np.gradient(colour.mean(-1)))
    noise = np.where(quiet, ndimage.maximum_filter(np.where(quiet, noise, 0), 3), usual + 0.3 * contrast)
    return np.maximum(noise, usual).astype(np.float32)


def deviation(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Colour distance of a picture to the background, float [h, w], averaged over neighbours."""
    square = ((picture - colour) ** 2).sum(-1, dtype=np.float32)
    return np.sqrt(ndimage.gaussian_filter(square, 0.7))


def strength_of(frame: np.ndarray, ground: Ground) -> np.ndarray:
    """Say how strongly each pixel differs from the background, float [h, w], in units of the noise.

    A pixel that looks like the background at most `reach` pixels away does not differ: leaves and cloth stir.
    """
    strength = deviation(frame, ground.colour) / ground.noise
    y, x = np.nonzero(strength > LIKELY)
    pixels, least = frame[y, x].astype(np.float32), np.full(len(y), np.inf, np.float32)
    height, width = strength.shape
    for dy in range(-ground.reach, ground.reach + 1):
        for dx in range(-ground.reach, ground.reach + 1):
            near = ground.colour[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
            least = np.minimum(least, ((pixels - near) ** 2).sum(1))
    strength[y, x] = np.minimum(strength[y, x], np.sqrt(least) / ground.noise[y, x])
    by_colour = 10 * ground.foreign[codes(frame[ground.hidden])]
    strength[ground.hidden] = np.maximum(strength[ground.hidden], by_colour)
    return strength


def cut_frame(frame: np.ndarray, seen: np.ndarray, ground: Ground) -> np.ndarray:
    """Return a frame's foreground, bool [h, w]: clear deviations, what touches them, small holes."""
    strength = strength_of(np.where(seen[..., None], frame, ground.colour), ground)
    pieces, _ = ndimage.label(strength > LIKELY, EIGHT)
    sure = np.unique(pieces[strength > SURE])
    mask = np.isin(pieces, sure[sure > 0])
    mask = ndimage.binary_closing(np.pad(mask, 4), iterations=2)[4:-4, 4:-4]
    holes, _ = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    small = np.bincount(holes.ravel()) < mask.size / 300
    small[0] = False
    return ndimage.binary_opening(mask | small[holes]) & seen
