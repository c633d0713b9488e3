"""Take the camera's drift out. In: frames. Out: the same frames laid on one common canvas, and the way back.

A fixed camera is recognised as such and costs almost nothing. A drifting one is registered to the middle
frame by affine motions that trust only pixels which agree with them, so that moving things do not pull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...errors import NoInstances

EDGE = 2.0  # grey levels from pixel to pixel that make an edge to judge by
FEW = 0.02  # share of the frame: fewer edges tell nothing
MAX_GROWTH = 2.0  # a canvas of more than twice the frame's area is a pan, not a drift


@dataclass(frozen=True, eq=False)
class Canvas:
    """Registered `frames` uint8 [N, h, w, 3]; `seen` bool [N, h, w], where the camera looked; `motions` float
    [N, 2, 3], canvas pixel (y, x) to frame pixel; `drift` the largest shift of a corner in pixels."""

    frames: np.ndarray
    seen: np.ndarray
    motions: np.ndarray
    drift: float

    def to_frame(self, picture: np.ndarray, i: int, shape: tuple[int, int]) -> np.ndarray:
        """Bring a canvas picture, float [h, w], back to the pixels of frame `i`, float [*shape]."""
        if self.drift == 0:
            return picture
        matrix = np.linalg.inv(self.motions[i][:, :2])
        return ndimage.affine_transform(picture, matrix, -matrix @ self.motions[i][:, 2], shape, order=1)


def lay_out(frames: np.ndarray) -> Canvas:
    """Register frames, uint8 [N, h, w, 3]; raise `NoInstances` where the camera travels too far."""
    count, height, width = frames.shape[:3]
    identity = np.tile(np.eye(2, 3), (count, 1, 1))
    grey = [ndimage.gaussian_filter(f.mean(-1, dtype=np.float32), 1.2)[::2, ::2] for f in frames]
    motions = register(grey)
    if motions is None:
        return Canvas(frames, np.ones((count, height, width), bool), identity, 0.0)
    motions[:, :, 2] *= 2
    corners = np.array([[0, 0, 1], [0, width, 1], [height, 0, 1], [height, width, 1]], float)
    back = np.stack([np.linalg.inv(np.vstack([m, [0, 0, 1]]))[:2] for m in motions])
    places = np.einsum("nij,cj->nci", back, corners)
    low, high = np.floor(places.min((0, 1))).astype(int), np.ceil(places.max((0, 1))).astype(int)
    size = high - low
    if size.prod() > MAX_GROWTH * height * width:
        raise NoInstances("the camera moves too far for the motion tracker, which needs it (almost) fixed",
                          cure="give masks or boxes, or cut the clip to a steady part")  # fmt: skip
    motions[:, :, 2] += motions[:, :, :2] @ low
    canvas, seen = np.zeros((count, *size, 3), np.uint8), np.zeros((count, *size), bool)
    for i in range(count):
        canvas[i] = np.stack([warp(c, motions[i], tuple(size)) for c in np.moveaxis(frames[i], -1, 0)], -1)
        seen[i] = warp(np.ones((height, width), np.float32), motions[i], tuple(size)) > 0.999
    return Canvas(canvas, seen, motions, float(np.abs(places - corners[None, :, :2]).max()))


def warp(picture: np.ndarray, motion: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return ndimage.affine_transform(picture, motion[:, :2], motion[:, 2], shape, order=1)


def register(grey: list[np.ndarray]) -> np.ndarray | None:
    """Return each frame's motion against the middle frame, float [N, 2, 3]; None for a fixed camera."""
    probes = chain(grey, np.unique(np.linspace(0, len(grey) - 1, 9).round().astype(int)))
    fixed = grey[len(grey) // 2]
    if not any(camera_moved(fixed, grey[i], motion) for i, motion in probes.items()):
        return None
    motions = chain(grey, np.arange(len(grey)))
    return np.stack([motions[i] for i in range(len(grey))])


def chain(grey: list[np.ndarray], picks: np.ndarray) -> dict[int, np.ndarray]:
    """Align the frames `picks` to the middle frame, outwards, each from the motion of the one before."""
    middle = len(grey) // 2
    motions = {middle: np.eye(2, 3)}
    for side in (picks[picks > middle], picks[picks < middle][::-1]):
        guess = motions[middle]
        for i in side.tolist():
            motions[i] = guess = align(grey[middle], grey[i], guess)
    return motions


def camera_moved(fixed: np.ndarray, moving: np.ndarray, motion: np.ndarray) -> bool:
    """Tell whether registering explains most of the change at the edges of a frame, float [h, w]."""
    edges = np.hypot(*np.gradient(fixed)) > EDGE
    if edges.mean() < FEW:
        return False
    before, after = (np.median(np.abs(fixed - p)[edges]) for p in (moving, warp(moving, motion, fixed.shape)))
    return before > EDGE and after < 0.6 * before


def align(fixed: np.ndarray, moving: np.ndarray, motion: np.ndarray, rounds: int = 6) -> np.ndarray:
    """Refine the affine motion of `moving` onto `fixed`, float [h, w], by robust Gauss-Newton steps."""
    height, width = fixed.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    inside = np.ones_like(fixed)
    for _ in range(rounds):
        seen = warp(inside, motion, fixed.shape) > 0.999
        warped = np.where(seen, warp(moving, motion, fixed.shape), fixed)
        dy, dx = np.gradient(warped)
        miss = fixed - warped
        spread = 1.48 * np.median(np.abs(miss[seen])) + 0.5 if seen.any() else 1.0
        weight = seen * np.clip(1 - (miss / (4 * spread)) ** 2, 0, None) ** 2
        slopes = np.stack([dy * y, dy * x, dy, dx * y, dx * x, dx], -1).reshape(-1, 6)
        weighted = slopes * weight.reshape(-1, 1)
        scale = np.array([height, width, 1, height, width, 1.0])
        normal = weighted.T @ slopes / scale / scale[:, None] + 1e-3 * np.eye(6)
        step = (np.linalg.solve(normal, weighted.T @ miss.reshape(-1) / scale) / scale).reshape(2, 3)
        motion = (np.vstack([motion, [0, 0, 1]]) @ np.vstack([np.eye(2, 3) + step, [0, 0, 1]]))[:2]
        if np.abs(step @ [height, width, 1]).max() < 0.02:
            break
    return motion
