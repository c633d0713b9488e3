"""The claims as pictures. In: a ledger, whole or in part. Out: figures with their alt texts, a table.

Every function returns (figure, alt text). What was not measured is left out and named; where nothing is left, the
figure says so. A verdict has a colour and a shape of its own.
"""

from __future__ import annotations

import html

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..claims.readme_table import cell, paper_of
from ..claims.verdict import NOT_MEASURED, VERDICTS
from .figures import PALETTE, not_measured

Drawn = tuple[Figure, str]
LOOK = {  # verdict: marker, colour, what fills the marker
    "shown": ("o", PALETTE["green"], "full"),
    "same direction": ("^", PALETTE["blue"], "full"),
    "not at this scale": ("s", PALETTE["grey"], "none"),
    "contradicted": ("X", PALETTE["orange"], "full"),
    "not measured": ("|", PALETTE["grey"], "none"),
    "a kind of question": ("D", PALETTE["sky"], "full"),
}
MOST_PARTS = 6  # written out in the table
KIND = "a kind of question"
LEFT = "text-align:left; vertical-align:top"
SIGN = {"shown": "●", "same direction": "▲", "not at this scale": "□", "contradicted": "✖", "not measured": "–"}


def claim_of(ledger: dict, name: str) -> dict | None:
    """The row of a claim, None where the ledger has none."""
    return next((claim for claim in ledger["claims"] if claim["id"] == name), None)


def interval(part: dict) -> tuple[float, float, float] | None:
    """Mean and ends in points of accuracy, a ratio of costs in % of change; None where not measured."""
    if "ratio" in part:
        return tuple(100 * (v - 1) for v in part["ratio"])
    return tuple(100 * v for v in part["difference"]) if "difference" in part else None


def weakest_part(claim: dict) -> dict:
    """The part that the claim's verdict comes from."""
    return next(part for part in claim["parts"] if part["verdict"] == claim["verdict"])


def name_of(part: dict) -> str:
    """What was compared, and where."""
    kind = {"open": "OE", "choice": "MC"}.get(part.get("format"), "")
    return part["says"] if "what" in part else f"{part['says']}, {part['split']} {kind}"


def nothing(what: str) -> Drawn:
    """Say that there is nothing to draw."""
    fig, axis = plt.subplots(figsize=(7, 0.7))
    axis.axis("off")
    axis.text(0, 0.5, f"Not measured yet: {what}.", fontsize=11)
    return fig, f"A line of text instead of a figure. Not measured yet: {what}."


def draw_rows(axis: Axes, rows: list[tuple[str, dict]]) -> None:
    """One line per row from the top: where the claim puts the difference (shaded), its interval, its verdict."""
    found = [interval(part) for _, part in rows]
    reach = max([10.0, *(abs(v) for one in found if one for v in one)]) * 1.08
    for y, ((_, part), one) in enumerate(zip(rows, found)):
        low, high = ((100 * e if e is not None else side) for e, side in zip(part["expected"], (-reach, reach)))
        if "what" in part:
            low, high = low - 100, high - 100
        axis.barh(y, min(high, reach) - max(low, -reach), 0.8, max(low, -reach), color="#e4eef4", zorder=0)
        marker, colour, fill = LOOK[part["verdict"]]
        if one is None:
            not_measured(axis, 0, y)
            continue
        axis.plot(one[1:], [y, y], color=colour, linestyle="-", linewidth=1.8, marker="")
        axis.plot(one[0], y, marker=marker, color=colour, fillstyle=fill, markerfacecoloralt="white", markersize=8)
    axis.axvline(0, color="black", linewidth=0.8, linestyle="-")
    axis.set(xlim=(-reach, reach), ylim=(len(rows) - 0.4, -0.6))
    axis.set_xlabel("difference in points (of costs: change in %)")
    axis.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=9)
    axis.grid(False, axis="y")
    axis.grid(True, axis="x")


def legend_of(fig: Figure) -> None:
    """Name the verdicts' shapes."""
    handles = [
        plt.Line2D([], [], marker=m, color=c, fillstyle=f, linestyle="none", markersize=8, label=name)
        for name, (m, c, f) in LOOK.items() if name in VERDICTS and name != NOT_MEASURED
    ]  # fmt: skip
    handles.append(plt.Rectangle((0, 0), 1, 1, color="#e4eef4", label="where it is claimed to be"))
    fig.legend(handles=handles, loc="outside upper left", ncol=3, fontsize=9)


def forest(ledger: dict) -> Drawn:
    """All claims, each by the part that its verdict comes from."""
    rows = [(f"{c['id']}  {c['title']}\n{name_of(p)}", p) for c in ledger["claims"] for p in [weakest_part(c)]]
    fig, axis = plt.subplots(figsize=(9, 1.2 + 0.46 * len(rows)))
    draw_rows(axis, rows)
    legend_of(fig)
    said = "; ".join(f"{c['id']} {c['title']}: {c['verdict']}" for c in ledger["claims"])
    return fig, f"Forest plot of the weakest part of each claim, with 95 % intervals. {said}."


def parts(ledger: dict, name: str, by_kind: bool = False) -> Drawn:
    """All parts of one claim, with `by_kind` also by kind of question."""
    claim = claim_of(ledger, name)
    if claim is None:
        return nothing(f"claim {name}")
    rows = []
    for part in claim["parts"]:
        rows.append((name_of(part), part))
        for kind in part.get("kinds", []) if by_kind else ():
            rows.append((f"{kind['kind']} (n={kind['n']})", {**kind, "expected": part["expected"], "verdict": KIND}))
    fig, axis = plt.subplots(figsize=(9, 1.5 + 0.3 * len(rows)))
    draw_rows(axis, rows)
    axis.set_title(f"{name} {claim['title']}: {claim['verdict']}", loc="left")
    return fig, parts_alt(ledger, name)


def parts_alt(ledger: dict, name: str) -> str:
    """The alt text of `parts`, for an explorer: nothing is drawn for it."""
    claim = claim_of(ledger, name)
    if claim is None:
        return f"Claim {name} is not in the ledger."
    said = "; ".join(f"{cell(p)}, {p['verdict']}" for p in claim["parts"])
    return f"Forest plot of claim {name} with 95 % intervals. {said}."




def table_html(ledger: dict) -> str:
    """The ledger as a table: the claim, the paper's figure, ours, the verdict, and what would change it."""
    names = ("", "claim", "paper", "here, in points of accuracy", "verdict", "would change it")
    head = "".join(f'<th scope="col" style="{LEFT}">{name}</th>' for name in names)
    rows = "".join(row_html(claim) for claim in ledger["claims"])
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def row_html(claim: dict) -> str:
    """One claim; where it has many parts, how many have which verdict."""
    parts, verdicts = claim["parts"], [part["verdict"] for part in claim["parts"]]
    here = [part_html(part) for part in parts]
    if len(parts) > MOST_PARTS:
        here = [html.escape(f"{SIGN[v]} {verdicts.count(v)} of {len(parts)} {v}") for v in dict.fromkeys(verdicts)]
    verdict = f"{SIGN[claim['verdict']]} {claim['verdict']}"
    name, claimed, paper, verdict, change = map(
        html.escape, (claim["id"], claim["statement"], paper_of(claim), verdict, claim["change"])
    )
    cells = [name, claimed, paper, "".join(f"<div>{line}</div>" for line in here), verdict, change]
    return "<tr>" + "".join(f'<td style="{LEFT}">{text}</td>' for text in cells) + "</tr>"


def part_html(part: dict) -> str:
    """One comparison: its own verdict as a sign, the difference, and what was compared."""
    found = interval(part)
    unit = " %" if "ratio" in part else ""
    figure = "{:+.1f}{unit} [{:+.1f}, {:+.1f}]".format(*found, unit=unit) if found else ""
    return (
        f'<span style="white-space:nowrap">{SIGN[part["verdict"]]} <b>{figure}</b></span> '
        f"{html.escape(name_of(part))}"
    )


def result_table(ledger: dict, said: str) -> dict:
    """The verdicts as the report page reads tables."""
    rows = [
        [claim["id"], claim["title"], f"{SIGN[claim['verdict']]} {claim['verdict']}", cell(weakest_part(claim))]
        for claim in ledger["claims"]
    ]
    columns = ["", "claim", "verdict", "its weakest part, difference in points with 95 % interval"]
    return {"title": "The paper's claims", "columns": columns, "rows": rows, "note": f"The ledger: {said}."}
