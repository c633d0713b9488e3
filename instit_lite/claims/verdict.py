"""Differences to verdicts. In: paired scores by seed and item, and what was expected. Out: an interval, a word.

Two things make a difference uncertain: which questions were asked and which seed was trained. Both are in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from ..errors import InstitError
from ..evaluation.statistics import LEVEL, clustered_interval

SHOWN, SAME, NOT_HERE, CONTRADICTED = "shown", "same direction", "not at this scale", "contradicted"
NOT_MEASURED = "not measured"
VERDICTS = (SHOWN, SAME, NOT_HERE, CONTRADICTED, NOT_MEASURED)  # from the best to the worst


@dataclass(frozen=True)
class Estimate:
    """A mean difference with its 95 % interval: over `n` questions about `clips` clips and over `seeds` trainings."""

    mean: float
    low: float
    high: float
    n: int
    clips: int
    seeds: int


def difference(scores: np.ndarray, clips: Sequence[Hashable], level: float = LEVEL) -> Estimate:
    """Mean of paired differences [seeds, items], each from -1 to 1, with an interval; `clips` names each item's clip.

    SE² = SE² of the seed-averaged items, clustered by clip as in `evaluation.statistics`, + the variance of the
    seeds' means / number of seeds. The t quantile has Satterthwaite's degrees of freedom. Where nothing differs at
    all, the interval is `clustered_interval`'s. One seed gives no seed part: the interval is then too narrow.
    """
    d = np.atleast_2d(np.asarray(scores, float))
    n_seeds, n = d.shape
    if n == 0 or n != len(clips):
        raise InstitError(f"{n} differences of {len(clips)} clips have no mean", cure="give one clip per item")
    mean, items, seeds = float(d.mean()), d.mean(0), d.mean(1)
    _, clip = np.unique(list(map(str, clips)), return_inverse=True)
    sums = np.bincount(clip, items - mean)
    g = len(sums)
    of_items = g / (g - 1) * float((sums**2).sum()) / n**2 if g > 1 else 0.0
    of_seeds = float(seeds.var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    if of_items + of_seeds < 1e-14:
        _, low, high = clustered_interval(items, list(clips), level, limits=(-1.0, 1.0))
        return Estimate(mean, low, high, n, g, n_seeds)
    spread = of_items**2 / max(1, g - 1) + of_seeds**2 / max(1, n_seeds - 1)
    reach = float(t.ppf(0.5 + level / 2, (of_items + of_seeds) ** 2 / spread)) * np.sqrt(of_items + of_seeds)
    return Estimate(mean, max(-1.0, mean - reach), min(1.0, mean + reach), n, g, n_seeds)


def ratio(left: Sequence[float], right: Sequence[float], level: float = LEVEL) -> Estimate:
    """Ratio of two measured costs, paired by repeat: the geometric mean with a t interval of its logarithm."""
    logs = np.log(np.asarray(left, float) / np.asarray(right, float))
    n = len(logs)
    error = float(logs.std(ddof=1)) / np.sqrt(n) if n > 1 else 0.0
    reach = float(t.ppf(0.5 + level / 2, n - 1)) * error if n > 1 else 0.0
    mean = float(logs.mean())
    return Estimate(*(float(np.exp(v)) for v in (mean, mean - reach, mean + reach)), n, n, n)


def verdict(found: Estimate, low: float, high: float) -> str:
    """Compare an interval with the region from `low` to `high` where the claim puts the true value.

    The whole interval inside: shown. Only the mean inside: same direction. The whole interval outside: contradicted.
    Otherwise the measurement cannot tell, and leans against it: not at this scale. "Better" is the region above 0.
    """
    if low < found.low and found.high < high:
        return SHOWN
    if low < found.mean < high:
        return SAME
    if found.high < low or high < found.low:
        return CONTRADICTED
    return NOT_HERE


def weakest(verdicts: Sequence[str]) -> str:
    """A claim holds as far as its weakest part."""
    return max(verdicts, key=VERDICTS.index, default=NOT_MEASURED)
