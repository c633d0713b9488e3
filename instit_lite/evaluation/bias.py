"""Looking for bias. In: looks and places of instances, answers of a model. Out: shares and differences with intervals.

Many groups are compared at once, and of twenty intervals at 95 % one errs by chance: `holm` corrects for that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest, t

from ..annotation.claims_in_text import ids_in
from ..errors import ReplyError
from ..scenes.facts import InstanceFacts
from ..scenes.language import parse_frame_caption
from ..scenes.world import COLOURS, PLACES, SHAPES, SIZES
from .item import SPLITS, BenchItem, first_seed
from .pictures import draw
from .statistics import LEVEL, Interval, cluster_sums, clustered_interval, sign_flip_test

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES, "colour": tuple(COLOURS), "size": tuple(SIZES), "place": PLACES,
}  # fmt: skip
FEW = 8  # questions below which a group is not compared: its spread is not known


@dataclass(frozen=True)
class Finding:
    """One value of an attribute, or one answer: what was found, and how likely so much is by chance.

    `n`: instances or questions behind it; `expected`: what no bias would give; `corrected`: `p` after `holm`.
    """

    attribute: str
    value: str
    n: int
    found: Interval
    expected: float
    p: float
    corrected: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether it stands after the correction, at 95 %."""
        return self.corrected < 1 - LEVEL


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: the chance that any of so many comparisons looks so by luck, in the order given."""
    order, corrected, worst = np.argsort(ps), [1.0] * len(ps), 0.0
    for rank, k in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[k]))
        corrected[k] = float(worst)
    return corrected


def corrected(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings, corrected for how many they are."""
    findings = list(findings)
    return [replace(f, corrected=c) for f, c in zip(findings, holm([f.p for f in findings]))]


def instances_told(records: Iterable[dict]) -> list[InstanceFacts]:
    """Every instance of the records once, as its first frame tells it, where that is in the micro-language."""
    found = []
    for record in records:
        own: dict[int, InstanceFacts] = {}
        for frame in record.get("frame_level_caption", [record]):
            try:
                told = parse_frame_caption(frame.get("image_level", frame.get("image_level_caption", "")))
            except ReplyError:
                continue
            for f in told:
                own.setdefault(f.mark_id, f)
        found += own.values()
    return found


def share_findings(told: Sequence[InstanceFacts]) -> list[Finding]:
    """The share of each shape, colour, size and place, against an even one; instances are taken as independent."""
    rows, n = [], len(told)
    for attribute, values in ATTRIBUTES.items():
        counts = Counter(getattr(f, attribute) for f in told)
        for value in values:
            test = binomtest(counts[value], n, 1 / len(values))
            low, high = test.proportion_ci(LEVEL, "wilson")
            found = Interval(counts[value] / n, low, high)
            rows.append(Finding(attribute, value, n, found, 1 / len(values), test.pvalue))
    return corrected(rows)


def asked_about(items: Iterable[BenchItem], seed: int) -> list[InstanceFacts | None]:
    """The instance that a question of bench `seed` is about, in the first frame that has it; None for pairs."""
    found = []
    for item in items:
        ids = ids_in(item.question) or ids_in(item.answer)
        first = first_seed(seed, SPLITS.index(item.split))
        drawn = draw(item.split, first + int(item.clip_id[len(item.split) :]), len(item.frames))
        seen = [f for frame in drawn.facts if len(ids) == 1 and (f := frame.get(ids[0]))]
        found.append(seen[0] if seen else None)
    return found


def accuracy_findings(
    told: Sequence[InstanceFacts | None], right: Sequence[float], clips: Sequence[Hashable], kinds: Sequence[str]
) -> list[Finding]:
    """Accuracy where the instance has a value, minus that of all other values; `expected` is 0.

    Each question counts by how much better or worse it did than its kind usually does, for kinds differ in difficulty.
    """
    use = [k for k, f in enumerate(told) if f is not None]
    mean = {kind: np.mean([right[k] for k in use if kinds[k] == kind]) for kind in {kinds[k] for k in use}}
    rest = np.array([right[k] - mean[kinds[k]] for k in use])
    names, rows = [clips[k] for k in use], []
    for attribute, values in ATTRIBUTES.items():
        own = np.array([getattr(told[k], attribute) for k in use])
        for value in values:
            if FEW <= (own == value).sum() <= len(own) - FEW:
                found, p = group_difference(rest, own == value, names)
                rows.append(Finding(attribute, value, int((own == value).sum()), found, 0.0, p))
    return corrected(rows)


def group_difference(values: np.ndarray, inside: np.ndarray, clips: Sequence[Hashable]) -> tuple[Interval, float]:
    """Mean of `values` [n] inside a group minus outside: its interval clustered by clip, a p-value of no difference.

    The p-value takes the spread around the common mean, as it would be without a difference: the spread within a small
    group is underestimated, and many comparisons would find too much.
    """
    means = values[inside].mean(), values[~inside].mean()
    mean, weights = float(means[0] - means[1]), np.where(inside, 1 / inside.sum(), -1 / (~inside).sum())
    own, common = (cluster_sums(weights * (values - m), clips) for m in (np.where(inside, *means), values.mean()))
    g = len(own)
    error, null = (float(np.sqrt(g / max(1, g - 1) * (sums**2).sum())) for sums in (own, common))
    if g < 2 or null < 1e-12:
        return Interval(mean, -1.0, 1.0), 1.0
    reach = float(t.ppf(0.5 + LEVEL / 2, g - 1)) * error
    return Interval(mean, mean - reach, mean + reach), float(2 * t.sf(abs(mean) / null, g - 1))


def preference_findings(
    items: Sequence[BenchItem], said: Sequence[str], kinds: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """How much oftener an answer is given than it is true, as a share of its kind's questions; `expected` is 0."""
    rows = []
    for kind, answers in kinds.items():
        use = [k for k, item in enumerate(items) if item.kind == kind]
        clips = [items[k].clip_id for k in use]
        for answer in answers if use else ():
            change = [(said[k] == answer) - float(items[k].answer == answer) for k in use]
            found = clustered_interval(change, clips, limits=(-1.0, 1.0))
            rows.append(Finding(kind, answer, len(use), found, 0.0, sign_flip_test(change, clips)))
    return corrected(rows)


def confusions(items: Sequence[BenchItem], said: Sequence[str], kind: str, answers: Sequence[str]) -> np.ndarray:
    """How often each answer was given, int [true, said]; the last column counts anything else."""
    table = np.zeros((len(answers), len(answers) + 1), int)
    place: dict[str, int] = defaultdict(lambda: len(answers), {a: k for k, a in enumerate(answers)})
    for item, answer in zip(items, said):
        if item.kind == kind and item.answer in answers:
            table[place[item.answer], place[answer]] += 1
    return table
