"""Accuracies behind the claims as pictures. In: a ledger, whole or in part. Out: as of `claim_figures`.

Small dots are single trainings, lines and large markers their means; accuracies in %.
"""

from __future__ import annotations

import re
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..claims.declared import CURVES
from ..evaluation.difficulty import LEVELS
from .claim_figures import Drawn, claim_of, interval, nothing
from .figures import COLOUR_OF, PALETTE, not_measured

LINES = {  # arms of the paper's Table 7
    "general_only": "0: general\nonly", "groups1": "1: + instance\ncaptions", "groups2": "2: + temporal\nchanges",
    "groups3": "3: + video\nquestions", "main": "4: + image\npart",
}  # fmt: skip
SIDES = {  # from the base to the full recipe, with the controls between them
    "base": "base", "large": "larger base", "general_only": "general data only", "coarse": "coarse data only",
    "main@blind": "SFT, blind", "main@bare": "SFT, marks removed", "main@permuted": "SFT, ids permuted",
    "main@first_frame": "SFT, first frame marked", "main@other_style": "SFT, other mark style", "main": "SFT",
}  # fmt: skip
LOOK = {"image": (COLOUR_OF["image"], "o", "-"), "video": (COLOUR_OF["video"], "s", "--")}
AFTER, BEFORE, GUESS = (COLOUR_OF["after SFT"], "o", "-"), (COLOUR_OF["base"], "s", "--"), (COLOUR_OF["prior"], "", ":")
SIDE_LOOK = {  # the others are grey
    "base": (COLOUR_OF["base"], "s"), "main": (COLOUR_OF["after SFT"], "o"),
    "main@blind": (COLOUR_OF["blind"], "^"), "main@bare": (COLOUR_OF["no marks"], "D"),
}  # fmt: skip


def accuracies(ledger: dict, side: str, split: str, format: str = "open") -> np.ndarray | None:
    """Accuracy of "arm@view" (or of a baseline) on a split, one per seed; None where not measured."""
    arm, _, view = side.partition("@")
    wanted = (arm, view or "marked", split, format)
    found = [row for row in ledger["accuracies"] if (row["arm"], row["view"], row["split"], row["format"]) == wanted]
    return 100 * np.array(found[0]["kinds"]["all"]) if found else None


def line(axis: Axes, found: list[np.ndarray | None], look: tuple, label: str) -> str:
    """Draw means as a line and trainings as dots, x counts the points; return the means as text."""
    colour, marker, dash = look
    known = [(x, values) for x, values in enumerate(found) if values is not None]
    for x, values in known:
        if len(values) > 1:
            axis.plot([x] * len(values), values, ".", color=colour, markersize=4, linestyle="none", alpha=0.7)
    means = [np.nan if values is None else values.mean() for values in found]  # no line across what was not measured
    axis.plot(range(len(found)), means, marker=marker, color=colour, linestyle=dash, label=label)
    said = ", ".join("–" if values is None else f"{values.mean():.0f}" for values in found)
    return f"{label} {said if known else 'not measured'}"


def data_lines(ledger: dict) -> Drawn:
    """Claim C7 beside the paper's Table 7: accuracy by the groups of data trained on."""
    ours = {split: [accuracies(ledger, arm, split) for arm in LINES] for split in LOOK}
    if all(values is None for found in ours.values() for values in found):
        return nothing("claim C7")
    claim = claim_of(ledger, "C7")
    paper = [float(n) for n in re.findall(r"\d+\.\d", claim["paper"]["figure"])] if claim else []
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.9), sharey=True)
    said = [line(axes[0], found, LOOK[split], split) for split, found in ours.items()]
    for split in LOOK:
        prior = accuracies(ledger, "prior", split)
        if prior is not None:
            line(axes[0], [prior] * len(LINES), (COLOUR_OF[split], "", ":"), f"{split}, marks not read")
    for split, figures in zip(LOOK, (paper[:5], paper[5:])):
        line(axes[1], [np.array([v]) for v in figures], LOOK[split], split)
    axes[0].set(ylim=(0, 100), ylabel="accuracy in %")
    for axis, title in zip(axes, ("here: open-ended, exact match", "paper, Table 7: multiple choice")):
        axis.set_title(title, loc="left")
        axis.set_xticks(range(len(LINES)), LINES.values(), fontsize=8)
        axis.legend(ncol=2, fontsize=9)
    return fig, f"Two line charts of accuracy by lines 0 to 4 of Table 7. Here: {'; '.join(said)}. Beside: the paper."


def difficulty_curves(ledger: dict) -> Drawn:
    """Claim C11: accuracy before and after SFT and of a guess without marks, by level of four difficulties."""
    looks = {"main": ("SFT", AFTER), "base": ("base", BEFORE), "prior": ("marks not read", GUESS)}
    fig, axes = plt.subplots(2, 2, figsize=(9, 6), sharey=True)
    said = []
    for axis, curve in zip(axes.flat, CURVES):
        names = [level.name for level in LEVELS[curve]]
        found = {arm: [accuracies(ledger, f"{arm}@{curve}-{i}", "image") for i in range(len(names))] for arm in looks}
        lines = [line(axis, found[arm], look, label) for arm, (label, look) in looks.items()]
        said.append(f"{curve}: {', '.join(lines)}")
        axis.set_title(curve, loc="left")
        axis.set_xticks(range(len(names)), [textwrap.fill(name, 11) for name in names], fontsize=9)
    if hardest_curve(ledger) is None:
        plt.close(fig)
        return nothing("claim C11")
    axes[0, 0].set(ylim=(0, 100))
    fig.supylabel("accuracy in %, image, open-ended", fontsize=11)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncol=3)
    return fig, f"Four line charts of image accuracy by difficulty, from easy to hard. {'; '.join(said)}."


def hardest_curve(ledger: dict) -> str | None:
    """The curve on which the trained model loses most from its first level to its last, if measured."""
    loss = {}
    for curve in CURVES:
        ends = [accuracies(ledger, f"main@{curve}-{i}", "image") for i in (0, len(LEVELS[curve]) - 1)]
        if ends[0] is not None and ends[1] is not None:
            loss[curve] = ends[0].mean() - ends[1].mean()
    return max(loss, key=loss.get) if loss else None


def cost_bars(ledger: dict) -> Drawn:
    """Claim C8: cost of pooled video as a share of unpooled."""
    claim = claim_of(ledger, "C8")
    found = [p for p in claim["parts"] if "ratio" in p] if claim else []
    if not found:
        return nothing("the costs of claim C8")
    units = {"tokens": ("visual tokens a clip", ""), "seconds": ("seconds a step", " s"),
             "memory": ("peak memory", " MB")}  # fmt: skip
    fig, axis = plt.subplots(figsize=(8, 0.9 + 0.65 * len(found)))
    said = []
    for y, part in enumerate(found):
        mean, low, high = (100 + v for v in interval(part))
        what, unit = units[part["what"]]
        axis.barh(y, mean, 0.55, color=PALETTE["sky"], edgecolor=PALETTE["blue"], hatch="//")
        axis.plot([low, high], [y, y], color="black", linestyle="-", linewidth=1.5)
        ours, theirs = (f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}" for cost in part["cost"])
        text = f"{ours}{unit} instead of {theirs}{unit}"
        axis.text(max(mean, high, 100) + 2, y, text, va="center", fontsize=10)
        said.append(f"{what}: {text}, {mean:.0f} %")
    axis.axvline(100, color="black", linestyle="--", linewidth=1)
    axis.set_yticks(range(len(found)), [units[p["what"]][0] for p in found])
    axis.set(xlim=(0, 170), ylim=(len(found) - 0.5, -0.5), xlabel="pooled, in % of unpooled (dashed line)")
    axis.grid(False)
    return fig, f"Bar chart of what pooling 2 x 2 leaves of the costs. {'; '.join(said)}."


def before_after(ledger: dict) -> Drawn:
    """Base, full recipe and controls on marked images and clips, open-ended, beside a guess without marks."""
    measured = {split: {name: accuracies(ledger, side, split) for side, name in SIDES.items()} for split in LOOK}
    if all(values is None for found in measured.values() for values in found.values()):
        return nothing("base, recipe and controls")
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.4), sharey=True)
    said = []
    for axis, (split, found) in zip(axes, measured.items()):
        for y, (side, values) in enumerate(zip(SIDES, found.values())):
            colour, marker = SIDE_LOOK.get(side, (PALETTE["grey"], "o"))
            if values is None:
                not_measured(axis, 50, y)
                continue
            axis.plot([0, values.mean()], [y, y], color=colour, linestyle="-", linewidth=1)
            axis.plot(values.mean(), y, marker=marker, color=colour, markersize=9)
            axis.plot(values, [y] * len(values), "|", color="black", markersize=9, linestyle="none")
        for name, dash in (("prior", "--"), ("majority", ":")):
            values = accuracies(ledger, name, split)
            if values is not None:
                label = {"prior": "marks not read", "majority": "most usual answer"}[name]
                axis.axvline(values.mean(), color="black", linestyle=dash, linewidth=1.5, label=label)
        axis.set(xlim=(0, 100), xlabel="accuracy in %, open-ended", ylim=(len(SIDES) - 0.5, -0.5))
        axis.set_title(split, loc="left")
        axis.set_yticks(range(len(SIDES)), SIDES.values())
        axis.grid(True, axis="x")
        known = ", ".join(f"{label} {v.mean():.0f}" for label, v in found.items() if v is not None)
        said.append(f"{split}: {known or 'not measured'}")
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        fig.legend(handles, labels, loc="outside upper right", ncol=2)
    return fig, f"Dot plot of accuracy from the base over the controls to the full recipe. {'. '.join(said)}."
