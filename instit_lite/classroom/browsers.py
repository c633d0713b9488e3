"""What lies behind a dataset. In: annotations, a built dataset. Out: what `explorer` needs to browse them.

Each class has `controls`, a pure `draw(state)` and `alt(state)`, which says in words what the picture holds.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import supervision as sv
from matplotlib.figure import Figure

from ..annotation.audit import audit
from ..annotation.schema import ClipAnnotation
from ..dataset.build import Dataset
from ..dataset.decisions import items_of
from ..dataset.dialogues import GROUPS, turns_of
from ..dataset.doubts import concerns
from ..marks.reader import read_image
from .figures import PALETTE, to_rgb

Line = tuple[str, bool]  # a text, and whether it is a warning
WIDE, LINE, PICTURE = 60, 0.21, 2.2  # letters in a line of text; inches: a line's height, a picture's side
MOST = 14  # questions of a clip that are shown


def page(images: Sequence[np.ndarray], titles: Sequence[str], head: str, lines: Sequence[Line]) -> Figure:
    """Pictures, two in a row, and text on their right; a warning has a sign and another colour."""
    columns, rows = min(2, len(images)), -(-len(images) // 2)
    marked = [(f"⚠ {text}" if warns else text, warns) for text, warns in lines]
    wrapped = [(part, warns) for text, warns in marked for row in text.splitlines() or [""]
               for part in textwrap.wrap(row, WIDE, subsequent_indent="    ") or [""]]  # fmt: skip
    left, cell, top = columns * PICTURE, PICTURE + 0.25, 0.2 + LINE * (1 + head.count("\n"))
    width, height = left + 0.2 + 0.1 * WIDE, max(rows * cell, LINE * len(wrapped)) + top
    fig = plt.figure(figsize=(width, height), layout="none")
    fig.text(0, 1, head, va="top", weight="bold", parse_math=False)
    for k, (image, title) in enumerate(zip(images, titles)):
        x, y = (k % 2) * PICTURE, height - top - (k // 2 + 1) * cell
        axis = fig.add_axes((x / width, y / height, (PICTURE - 0.1) / width, PICTURE / height))
        axis.imshow(to_rgb(image))
        axis.set_title(title, fontsize=10, pad=2)
        axis.axis("off")
    for k, (text, warns) in enumerate(wrapped):
        y = 1 - (top + LINE * k) / height
        colour = PALETTE["orange"] if warns else "black"
        fig.text((left + 0.2) / width, y, text, va="top", fontsize=10, color=colour, parse_math=False)
    return fig


def said(head: str, lines: Sequence[Line]) -> str:
    """What a page says, as alt text."""
    return f"{head}. " + " ".join(f"{'Warning: ' if warns else ''}{text.strip()};" for text, warns in lines)


class AnnotationBrowser:
    """What a careless annotator says of a clip, with the audit's findings below the text that each is about.

    `annotate` takes the name of an error and its rate and gives the annotation; `exact` is the one without errors.
    """

    def __init__(
        self, marked: np.ndarray, instances: Sequence[sv.Detections], exact: ClipAnnotation,
        annotate: Callable[[str, float], ClipAnnotation], errors: Sequence[str],
    ) -> None:  # fmt: skip
        self.marked, self.instances, self.annotate = marked, instances, cache(annotate)
        self.truth = {pair.question: pair.answer for pair in exact.question_answer_pairs}
        parts = [*(f"<{t}>" for t in range(1, len(marked) + 1)), "the clip"]
        self.controls = {"part": parts, "error": list(errors), "rate": range(0, 11, 2)}

    def texts(self, state: dict) -> tuple[str, list[Line]]:
        """The head of the page, and its lines: texts of the part, each with what is held against it."""
        told = self.annotate(state["error"], state["rate"] / 10)
        findings, lines = audit(told, self.instances, self.marked.shape[1:3]), []
        wrong = {p.question for p in told.question_answer_pairs if self.truth.get(p.question, p.answer) != p.answer}
        items = [i for i in items_of("clip", told) if (f"<{i.timestamp}>" if i.timestamp else "the clip") == state["part"]]
        items.sort(key=lambda i: i.kind == "question" and i.question not in wrong)
        for item in items[: MOST if state["part"] == "the clip" else None]:
            name = {"instance": f"[{item.mark_id}]", "question": item.question}.get(item.kind, f"{item.kind}:")
            lines.append((f"{name} {item.told}", False))
            lines += [(str(finding), True) for finding in findings if concerns(finding, item)]
            if item.question in wrong:
                lines.append((f"the exact annotator: {self.truth[item.question]}", True))
        asked = {pair.question for pair in told.question_answer_pairs}
        head = (f"{state['error'].replace('_', ' ')}, rate {state['rate'] / 10:.1f}: {len(findings)} findings in the clip. "
                f"Of {len(self.truth)} questions\n{len(wrong)} answered otherwise, {len(self.truth.keys() - asked)} not "
                f"asked; {len(asked - self.truth.keys())} that the exact annotator does not ask")  # fmt: skip
        return head, lines

    def draw(self, state: dict) -> Figure:
        names = [f"<{t}>" for t in range(1, len(self.marked) + 1)]
        chosen = [k for k, name in enumerate(names) if state["part"] in (name, "the clip")]
        return page([self.marked[k] for k in chosen], [names[k] for k in chosen], *self.texts(state))

    def alt(self, state: dict) -> str:
        return f"Marked frames and texts of {state['part']}. " + said(*self.texts(state))


class DatasetExplorer:
    """The dialogues of a built dataset, kind by kind, with their pictures."""

    def __init__(self, data: Dataset) -> None:
        self.folder, self.kinds = data.folder, {}
        for dialogue in [*data.dialogues, *data.general]:
            self.kinds.setdefault(dialogue["kind"], []).append(dialogue)
        self.controls = {"kind": list(self.kinds), "number": range(1, min(map(len, self.kinds.values())) + 1)}

    def texts(self, state: dict) -> tuple[str, list[Line]]:
        found = self.kinds[state["kind"]]
        one = found[state["number"] - 1]
        head = f"{one['id']}: {state['kind']} {state['number']} of {len(found)} (line {one['group']}: {GROUPS[one['group']]})"
        return head, [(f"{question}\n    → {answer}", False) for question, answer in turns_of(one)]

    def draw(self, state: dict) -> Figure:
        paths = self.kinds[state["kind"]][state["number"] - 1]["image"]
        pictures = [read_image(self.folder / path) for path in paths]
        return page(pictures, [f"picture {k}" for k in range(1, len(pictures) + 1)], *self.texts(state))

    def alt(self, state: dict) -> str:
        return "Pictures and turns of a dialogue: " + said(*self.texts(state))
