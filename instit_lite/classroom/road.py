"""The picture of the road. In: one scene and the ledger of claims. Out: what each step makes of it, in six panels.

`python -m instit_lite.classroom.road` renews `docs/road.png`.
"""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..claims.live import read_ledger
from ..dataset.stills import still_of
from ..errors import end_with
from ..marks.draw import draw_marks
from ..marks.instances import from_scene
from ..profiles import repo_root
from ..scenes.facts import changes, scene_facts
from ..scenes.language import phrase, summary
from ..scenes.sample import sample_scene
from ..scenes.seeds import TRAIN_SEED
from ..scenes.world import Knobs
from .claim_curves import accuracies
from .figures import COLOUR_OF, DPI, PALETTE

STEPS = ("Set-of-Marks", "Three equations", "Mini dataset", "Visual tokens", "QLoRA SFT", "Evaluation")
ALT = (
    "The road of INST-IT in six panels. 01 Set-of-Marks: a picture whose shapes carry numbers. 02 Three equations: "
    "texts on a frame, on the clip, and questions. 03 Mini dataset: a dialogue. 04 Visual tokens: a grid of 8 by 8, "
    "pooled to 4 by 4. 05 QLoRA SFT: frozen weights and two small trained matrices. 06 Evaluation: accuracy of base "
    "and tuned model."
)


def lines(axis: Axes, said: list[tuple[str, str]]) -> None:
    """Write texts one below the other, each under a small head."""
    y = 0.97
    for head, text in said:
        text = textwrap.fill(text, 36)
        axis.text(0, y, head, va="top", fontsize=10, color=PALETTE["blue"], weight="bold")
        axis.text(0, y - 0.1, text, va="top", fontsize=10, linespacing=1.15)
        y -= 0.17 + 0.09 * (text.count("\n") + 1)


def tokens(axis: Axes, picture: np.ndarray) -> None:
    """The mean colours of a picture on two grids: what a token sees before and after pooling."""
    for grid, left in ((8, 0), (4, 1.3)):
        side = len(picture) // grid
        means = picture[: side * grid, : side * grid].reshape(grid, side, grid, side, 3).mean((1, 3)) / 255
        axis.imshow(means, extent=(left, left + 1, 0, 1), interpolation="nearest")
        for edge in np.linspace(0, 1, grid + 1):
            axis.plot([left, left + 1], [edge, edge], color="white", linestyle="-", linewidth=0.8)
            axis.plot([left + edge, left + edge], [0, 1], color="white", linestyle="-", linewidth=0.8)
        axis.text(left + 0.5, -0.08, f"{grid} × {grid}", ha="center", va="top", fontsize=10)
    axis.annotate("", (1.27, 0.5), (1.03, 0.5), arrowprops={"arrowstyle": "-|>"})
    axis.set(xlim=(0, 2.3), ylim=(-0.3, 1))


def matrices(axis: Axes) -> None:
    """Frozen weights in four bits, and beside them what trains."""
    for x, y, width, height, kind in ((0, 0, 1, 1, "W"), (1.4, 0, 0.18, 1, "B"), (1.75, 0.82, 0.6, 0.18, "A")):
        frozen = kind == "W"
        look = {"facecolor": "#e6e6e6", "hatch": "//", "edgecolor": "white"} if frozen else {"facecolor": COLOUR_OF["after SFT"]}
        axis.add_patch(Rectangle((x, y), width, height, **look))
        axis.text(x + width / 2, y + height / 2, kind, ha="center", va="center", fontsize=12, color="black" if frozen else "white")
    axis.text(1.2, 0.5, "+", ha="center", va="center", fontsize=14)
    axis.text(0.5, -0.08, "frozen, NF4", ha="center", va="top", fontsize=10)
    axis.text(1.85, -0.08, "LoRA, trains", ha="center", va="top", fontsize=10)
    axis.set(xlim=(-0.05, 2.4), ylim=(-0.3, 1), aspect="equal")


def scores(axis: Axes, ledger: dict) -> None:
    """Accuracy on marked pictures of the base and of the tuned model, the mean of the trainings."""
    found = {"base": accuracies(ledger, "base", "image"), "after SFT": accuracies(ledger, "main", "image")}
    for y, (name, values) in enumerate(found.items()):
        axis.text(0, y - 0.42, name if values is not None else f"{name}: not measured", fontsize=10)
        if values is not None:
            axis.barh(y, values.mean(), 0.5, color=COLOUR_OF[name], hatch="" if y else "//", edgecolor="white")
            axis.text(values.mean() + 2, y, f"{values.mean():.0f} %", va="center", fontsize=10)
    axis.set(xlim=(0, 110), ylim=(1.6, -0.7))


def draw_road(seed: int = 0) -> tuple[Figure, str]:
    """Return the six panels on a scene of the micro world, and their alt text."""
    scene = sample_scene(TRAIN_SEED - 206 - seed, Knobs(n_things=(3, 4), occlusion=0.5))
    moments = [0.25, 0.5, 0.75, 1.0]
    still = still_of(scene, 1.0)
    marked, _ = draw_marks(still.frames[0], from_scene(scene, still, [1.0])[0], style="micro")
    frames = scene_facts(scene, moments)
    one = frames[-1].instances[-1]
    clip = textwrap.shorten(summary(frames, [changes(a, b) for a, b in zip(frames, frames[1:])]), 160, placeholder=" …")
    question = f"what colour is [{one.mark_id}]?"
    fig, axes = plt.subplots(2, 3, figsize=(9.5, 4.7))
    for number, (axis, name) in enumerate(zip(axes.flat, STEPS), start=1):
        axis.axis("off")
        axis.set_anchor("NW")
        axis.set_title(f"{number:02} · {name}", loc="left", fontsize=12, weight="bold")
    axes[0, 0].imshow(marked)
    lines(axes[0, 1], [("(1) a frame", f"[{one.mark_id}]: {phrase(one)}"), ("(2) the clip", clip), ("(3) questions", question)])
    lines(axes[0, 2], [("human", f"<image> {question}"), ("gpt", one.colour), ("human", f"what shape is [{one.mark_id}]?"), ("gpt", one.shape)])
    tokens(axes[1, 0], marked)
    matrices(axes[1, 1])
    scores(axes[1, 2], read_ledger("micro")[0])
    return fig, ALT


def main() -> int:
    """Command line: write the picture that the README shows."""
    draw_road()[0].savefig(repo_root() / "docs" / "road.png", dpi=DPI, facecolor="white", bbox_inches="tight")
    return 0


if __name__ == "__main__":
    end_with(main)
