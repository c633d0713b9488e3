"""Follow the pieces of the foreground and say which are the same thing. In: masks. Out: pieces by thing.

Pieces are linked from frame to frame where place, size and colour agree, which gives chains. A chain breaks
where things meet or part, so chains are joined again by looks alone; two at once are never one thing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from .ground import EIGHT, codes, count

SPECK = 0.0006  # share of the frame below which a piece is noise
MOST = 10  # pieces looked at in a frame
GAP = 3  # frames for which a chain outlives its last piece
LINK = 1.6  # cost from which two pieces are not linked: 1 is a radius sum, an unlike colour or a doubled size
ALIKE = 0.6  # cost from which two chains are not the same thing
BRIEF = 5  # frames that a thing must be seen on its own
WORTH = 0.004  # share of the frame that a thing must fill: smaller ones cannot bear a mark


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of foreground. `centre` float [2] (y, x) in pixels; `mask` bool, cut to the piece's
    box, whose top left pixel is `corner`; `colour` float32 [4096], shares of the colour codes."""

    frame: int
    centre: np.ndarray
    area: int
    corner: tuple[int, int]
    mask: np.ndarray
    colour: np.ndarray

    @property
    def radius(self) -> float:
        return float(np.sqrt(self.area / np.pi))


def find_pieces(picture: np.ndarray, mask: np.ndarray, frame: int) -> list[Piece]:
    """Take a frame's foreground, bool [h, w], apart into its connected pieces, largest first."""
    labels, _ = ndimage.label(mask, EIGHT)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    pieces = []
    for label in np.argsort(-areas)[:MOST]:
        if areas[label] < max(SPECK * mask.size, 6):
            break
        y, x = np.nonzero(labels == label)
        cut = labels[y.min() : y.max() + 1, x.min() : x.max() + 1] == label
        colour = count(codes(picture[y, x])).astype(np.float32) / len(y)
        centre = np.array([y.mean(), x.mean()])
        pieces.append(Piece(frame, centre, len(y), (int(y.min()), int(x.min())), cut, colour))
    return pieces


def unlike(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two colour distributions, 0 (the same) to 1 (nothing in common)."""
    return float(1 - np.sqrt(a * b).sum() / np.sqrt(a.sum() * b.sum() + 1e-9))


def link(pieces: list[list[Piece]]) -> list[list[Piece]]:
    """Link the pieces of successive frames into chains, each frame by the cheapest assignment."""
    chains: list[list[Piece]] = []
    for t, found in enumerate(pieces):
        live = [chain for chain in chains if t - chain[-1].frame <= GAP]
        cost = np.array([[link_cost(chain, piece) for piece in found] for chain in live])
        taken = set()
        if cost.size:
            for i, j in zip(*linear_sum_assignment(cost)):
                if cost[i, j] < LINK:
                    live[i].append(found[j])
                    taken.add(j)
        chains += [[piece] for j, piece in enumerate(found) if j not in taken]
    return chains


def link_cost(chain: list[Piece], piece: Piece) -> float:
    """Cost of continuing a chain with a piece: distance from where it is expected, growth, colour."""
    last, steps = chain[-1], piece.frame - chain[-1].frame
    expected = last.centre
    if len(chain) > 1:
        expected = last.centre + (last.centre - chain[-2].centre) * steps / (last.frame - chain[-2].frame)
    away = min(np.hypot(*(piece.centre - expected)), np.hypot(*(piece.centre - last.centre)))
    growth = abs(np.log2(piece.area / last.area))
    return away / (last.radius + piece.radius) + growth + unlike(last.colour, piece.colour)


def gather_things(chains: list[list[Piece]], most: int, least: float) -> list[list[Piece]]:
    """Put chains together that show the same thing, the `most` that are seen most.

    A thing must usually fill `least` pixels and be seen on its own in `BRIEF` frames.
    """
    things: list[list[Piece]] = []
    for chain in sorted((c for c in chains if len(c) > 1), key=lambda c: -sum(p.radius for p in c)):
        like = min(things, key=lambda thing: same_cost(thing, chain), default=None)
        if like and same_cost(like, chain) < ALIKE:
            like.extend(chain)
        else:
            things.append(list(chain))
    things = [t for t in things if len(t) >= BRIEF and np.median([p.area for p in t]) >= least]
    return sorted(things, key=lambda t: -sum(p.radius for p in t))[:most]


def same_cost(thing: list[Piece], chain: list[Piece]) -> float:
    """How unlike a chain is to a thing: colour and size; infinite where both exist at once."""
    if {p.frame for p in thing} & {p.frame for p in chain}:
        return np.inf
    growth = abs(np.log2(np.median([p.area for p in thing]) / np.median([p.area for p in chain])))
    return unlike(mean_colour(thing), mean_colour(chain)) + 0.5 * growth


def mean_colour(pieces: list[Piece]) -> np.ndarray:
    return np.mean([p.colour for p in pieces], axis=0)
