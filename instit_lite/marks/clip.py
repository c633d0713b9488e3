"""What a clip is. In: when each frame begins. Out: `Clip`, and which frames a sample takes."""

from __future__ import annotations

from dataclasses import dataclass

from pathlib import Path

import numpy as np

from ..errors import UnreadableInput

LARGEST = 32 * 7680 * 4320  # pixels of a clip: the paper's most frames in 8K, 3.2 GB


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames sampled from a source, with what is needed to find them again.

    `frames` uint8 [T, H, W, 3] RGB, upright; `timestamps` float64 [T], seconds since the first frame;
    `indices` int64 [T], 0-based places in the source; `n_decoded` frames that the source really holds;
    `duration` seconds, 0 for a picture; `n_declared` frames that its header promises, or 0; `damage` says what
    is missing where a damaged source was salvaged.
    """

    frames: np.ndarray
    timestamps: np.ndarray
    indices: np.ndarray
    n_decoded: int
    duration: float
    source: str
    n_declared: int = 0
    damage: str = ""

    @property
    def clock(self) -> np.ndarray:
        """Middle of each frame on a clock from 0 to 1, float64 [T]: scenes are filmed by it."""
        return (self.indices + 0.5) / self.n_decoded


def bin_centres(starts: np.ndarray, duration: float, max_frames: int) -> np.ndarray:
    """Choose at most `max_frames` frames: those on screen at the centres of equal bins of time.

    `starts` float [N], ascending seconds, which a container may have rounded: a frame that begins within a
    fifth of a frame after a centre counts as on screen, so that rounding never decides. Returns int64
    [min(N, max_frames)], strictly ascending: where one long frame fills several bins, neighbours stand in.
    """
    n, k = len(starts), max_frames
    if n <= k:
        return np.arange(n)
    centres = (np.arange(k) + 0.5) / k * duration
    picks = np.searchsorted(starts, centres + 0.2 * np.median(np.diff(starts)), side="right") - 1
    steps = np.arange(k)
    picks = np.maximum.accumulate(picks - steps) + steps  # no frame twice ...
    return np.minimum(picks, n - k + steps)  # ... and none beyond the end


def room_for(count: int, shape: tuple[int, ...], path: str | Path) -> np.ndarray:
    """Return an array for `count` frames of `shape` [H, W, 3]; refuse what no laptop's memory holds."""
    height, width = shape[:2]
    if count * height * width > LARGEST:
        reason = f"needs {count * height * width * 3 / 1e9:.0f} GB of memory for {count} frames of {width}x{height}"
        raise UnreadableInput(reason, path=path, cure="take fewer frames, or scale it down")
    return np.empty((count, height, width, 3), np.uint8)
