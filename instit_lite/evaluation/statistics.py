"""How sure a figure is. In: values per item and the clip of each. Out: means with 95 % intervals.

Questions about one clip are not independent, so errors are clustered by clip (Miller 2024, arXiv 2411.00640).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, t

from ..errors import InstitError

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean with the ends of its interval, in the unit of the values."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return "–" if np.isnan(self.mean) else f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def clustered_interval(
    values: Sequence[float], clusters: Sequence[Hashable], level: float = LEVEL,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Interval:  # fmt: skip
    """Mean of `values` [n] with a cluster-robust interval; `clusters` [n] names the clip of each value.

    Standard error: sqrt(G / (G - 1) * sum over clips of (sum of residuals) ** 2) / n, with the t quantile of
    G - 1 degrees of freedom, cut off at `limits`, between which a value must lie. Raises `InstitError` for no values.

    Where all G clips say the same (all right, all wrong, one clip) that would claim certainty. Then Wilson's for no
    success in G trials is taken: with w = z² / (G + z²) another outcome may have a share up to w, so the mean may
    lie w of the way towards either limit: [0, w] where nothing is right, [1 - w, 1] where all is, and -w to w for
    a difference that is always 0.
    """
    y, (low, high) = np.asarray(values, float), limits
    if len(y) == 0 or len(y) != len(clusters):
        what = f"{len(y)} values of {len(clusters)} clips have no mean"
        raise InstitError(what, cure="give one clip per value")
    if y.min() < low or y.max() > high:
        raise InstitError(f"values reach beyond {low} to {high}", cure="give the limits of the values")
    mean = float(y.mean())
    sums = cluster_sums(y - mean, clusters)
    g, spread = len(sums), float((sums**2).sum())
    if g < 2 or spread < 1e-12:
        z2 = float(norm.ppf(0.5 + level / 2)) ** 2
        share = z2 / (g + z2)
        return Interval(mean, mean - share * (mean - low), mean + share * (high - mean))
    reach = float(t.ppf(0.5 + level / 2, g - 1)) * np.sqrt(g / (g - 1) * spread) / len(y)
    return Interval(mean, max(low, mean - reach), min(high, mean + reach))


def cluster_sums(values: np.ndarray, clusters: Sequence[Hashable]) -> np.ndarray:
    """The sum of the values of each clip."""
    names = clusters if isinstance(clusters, np.ndarray) else list(clusters)
    return np.bincount(np.unique(names, return_inverse=True)[1], values)


def paired_difference(
    before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable], level: float = LEVEL
) -> Interval:
    """Mean of `after - before` over the same items, clustered by clip.

    Pairing takes out how hard the items are, so it is narrower than the two intervals suggest.
    """
    if len(before) != len(after):
        what = f"{len(before)} and {len(after)} values are no pairs"
        raise InstitError(what, cure="score both runs on the same items")
    change = np.asarray(after, float) - np.asarray(before, float)
    return clustered_interval(change, clusters, level, limits=(-1.0, 1.0))


def sign_flip_test(changes: Sequence[float], clusters: Sequence[Hashable], n: int = 9999, seed: int = 0) -> float:
    """Two-sided p-value of "no change" for paired `changes` [n items]: how rare so large a sum is by chance.

    If two models are alike, a clip's changes could as well have the other sign. The signs of whole clips are drawn
    `n` times; the smallest value is 1 / (n + 1).
    """
    sums = cluster_sums(np.asarray(changes, float), clusters)
    sums = sums[sums != 0]
    signs = np.random.default_rng(seed).integers(0, 2, (n, len(sums)), dtype=np.int8) * 2 - 1
    return float((1 + np.sum(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9)) / (n + 1))
