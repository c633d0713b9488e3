"""The page on which a person verifies annotations. In: a folder of annotations, a reviewer. Out: decisions on disk.

Live it is buttons over a picture and a text; headless and printed, a static twin of its first items. Every button has a
key: ipywidgets cannot listen to keys, so that one constant script (`KEYS`) clicks the button that a key stands for. No
text of a model is ever code or Markdown here: it is escaped, and the script holds none.
"""

from __future__ import annotations

import html
import uuid
from functools import partial
from itertools import islice
from pathlib import Path

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from ..annotation.claims_in_text import moments_in
from ..dataset.decisions import Decision, DecisionFile, Item, decisions_beside
from ..dataset.doubts import Annotations
from ..errors import InstitError
from .display import headless, publish
from .figures import figure_html, image_grid

MOST_FRAMES = 8  # of a clip in one picture
TWIN = 3  # items in the static twin
BUTTONS = {
    "back": "← Back", "accept": "Accept (A)", "edit": "Edit (E)", "reject": "Reject (R)", "on": "On →",
    "open": "Next open (N)", "doubt": "Next doubted (D)", "save": "Save (Ctrl+Enter)", "cancel": "Cancel (Esc)",
}  # fmt: skip
KEYS = Path(__file__).with_name("verification.html").read_text(encoding="utf-8")


def verify(folder: str | Path, reviewer: str, *, clips: int | None = None, decisions: str | Path | None = None) -> None:
    """Show the page for the first `clips` clips and pictures of a folder (None: all); see `dataset.doubts`.

    Decisions are kept in `decisions/<reviewer>.jsonl`, by default in a folder beside the annotations, and the page
    opens where they end. Raises `RecordError` where there is nothing to verify.
    """
    annotations = Annotations(folder, clips)
    review = Review(annotations, DecisionFile(decisions or decisions_beside(folder), reviewer))
    page = Page(review)
    publish(*review.twin(), page.root)
    if not headless():
        publish(KEYS.replace("PAGE", page.name), "Keys: A accept, E edit, R reject, N next open, D next doubted, ← →")


def frames_shown(item: Item, times: list[int]) -> list[int]:
    """Positions of the frames to draw: those that the item is about, then an even spread over the clip."""
    about = about_times(item)
    chosen = [i for i, t in enumerate(times) if t in about][: MOST_FRAMES // 2]
    spread = np.linspace(0, len(times) - 1, min(len(times), MOST_FRAMES - len(chosen))).round().astype(int)
    return sorted({*chosen, *spread.tolist()})


def about_times(item: Item) -> set[int]:
    """The timestamps that an item speaks of."""
    if item.timestamp is None:
        return set(moments_in(f"{item.question} {item.told}"))
    return {item.timestamp - 1, item.timestamp} if item.kind == "change" else {item.timestamp}


def draw(state: dict) -> Figure:
    """Draw `frames` under their `times`; those in `about` have a thick border and a pointer above."""
    titles = [f"▼ <{t}>" if t in state["about"] else f"<{t}>" for t in state["times"]]
    fig = image_grid(state["frames"], titles, size=2.4 if len(titles) > 1 else 4.0)
    for axis, t in zip(fig.axes, state["times"]):
        if t in state["about"]:
            axis.axis("on")
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set(visible=True, linewidth=4, color="black")
    return fig


def panel_html(item: Item, doubts: list[str] | None, decision: Decision | None) -> str:
    """The text of an item, what the audit doubts, what was decided; every word of it escaped."""
    asked = f"<p><b>Question:</b> {html.escape(item.question)}</p>" if item.question else ""
    said = "Not audited: this folder has no masks of the clip." if doubts is None else "The audit doubts nothing."
    found = "".join(f"<li>{html.escape(doubt)}</li>" for doubt in doubts or [])
    audit = f"<p><b>⚠ The audit doubts:</b></p><ul>{found}</ul>" if doubts else f"<p>{said}</p>"
    decided = "Open" if decision is None else f"Decided: {decision.verdict}"
    mended = f" → {html.escape(decision.text)}" if decision and decision.text else ""
    return f"{asked}<blockquote>{html.escape(item.told)}</blockquote>{audit}<p><b>{decided}</b>{mended}</p>"


class Review:
    """Where a reviewer stands: the items, the decisions, the place among the items."""

    def __init__(self, annotations: Annotations, decisions: DecisionFile) -> None:
        self.annotations, self.decisions, self.items = annotations, decisions, annotations.items
        if not self.items:
            raise InstitError("there is no text to verify", path=annotations.folder, cure="annotate something first")
        self.place = -1
        self.place = self.next_place() or 0

    def next_place(self, doubted: bool = False) -> int | None:
        """The next open item after this one, round the end; with `doubted`, one that the audit doubts."""
        order = [*range(self.place + 1, len(self.items)), *range(max(self.place, 0) + 1)]
        fits = (i for i in order if not self.decisions.of(self.items[i]))
        return next((i for i in fits if not doubted or self.annotations.doubts(self.items[i])), None)

    def picture(self, item: Item) -> str:
        times = self.annotations.times(item.clip)
        shown, frames, about = frames_shown(item, times), self.annotations.frames(item.clip), about_times(item)
        state = {"frames": [frames[i] for i in shown], "times": [times[i] for i in shown], "about": about}
        named = ", ".join(f"<{t}>" for t in state["times"] if t in about)
        alt = f"Marked frames of {item.clip}, {len(shown)} of {len(times)}" + (f"; the text is about {named}." if named else ".")
        return figure_html(draw(state), alt=alt)

    def panel(self, item: Item) -> str:
        return panel_html(item, self.annotations.doubts(item), self.decisions.of(item))

    def standing(self) -> str:
        done = sum(self.decisions.of(item) is not None for item in self.items)
        return f"Item {self.place + 1} of {len(self.items)}: {self.items[self.place]}. {done} decided by {self.decisions.reviewer}."

    def twin(self) -> tuple[str, str]:
        """HTML and plain text of the first items, doubted ones before others."""
        first = self.items[:200]  # a few clips: an audit reads a clip's masks
        chosen = [*islice((item for item in first if self.annotations.doubts(item)), TWIN)] or first[:TWIN]
        parts = [f"<h4>{html.escape(str(item))}</h4>{self.picture(item)}{self.panel(item)}" for item in chosen]
        plain = f"Static twin of the verification page. {self.standing()} Shown: {'; '.join(map(str, chosen))}"
        return f'<div class="instit-twin"><p>{html.escape(self.standing())}</p>{"".join(parts)}</div>', plain


class Page:
    """The live widgets. A press changes the review, then everything is shown anew."""

    def __init__(self, review: Review) -> None:
        self.review, self.shown, self.name = review, 0, f"instit-verify-{uuid.uuid4().hex[:8]}"
        self.buttons = {name: ipywidgets.Button(description=label) for name, label in BUTTONS.items()}
        for name, button in self.buttons.items():
            button.add_class(f"verify-{name}")
            button.layout.width = "auto"
            button.on_click(partial(self.press, name))
        self.status, self.picture, self.panel = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.status.add_class("verify-status")
        self.text = ipywidgets.Textarea(layout={"width": "100%"}, rows=4)
        self.bar = ipywidgets.HBox([self.buttons[name] for name in [*BUTTONS][:7]], layout={"flex_flow": "row wrap"})
        self.editor = ipywidgets.VBox([self.text, ipywidgets.HBox([self.buttons["save"], self.buttons["cancel"]])])
        self.root = ipywidgets.VBox([self.status, self.picture, self.panel, self.bar, self.editor])
        self.root.add_class(self.name)
        self.show()
        if headless():
            self.press("on")
            self.press("back")

    def press(self, name: str, _button=None) -> None:
        """Do what a button says; an error is said above the picture, and headless fails the cell."""
        item, said, editing = self.review.items[self.review.place], "", name == "edit"
        try:
            if name in ("accept", "reject", "save"):
                verdict = "edit" if name == "save" else name
                self.review.decisions.decide(item, verdict, self.text.value if name == "save" else None)
                said = f"Kept: {verdict}. "
            if name in ("accept", "reject", "save", "open", "doubt"):
                place = self.review.next_place(doubted=name == "doubt")
                said += "" if place is not None else "No doubted item is open." if name == "doubt" else "All items are decided."
                self.review.place = self.review.place if place is None else place
            elif name in ("back", "on"):
                self.review.place = (self.review.place + (1 if name == "on" else -1)) % len(self.review.items)
            self.show(said, editing)
        except InstitError as problem:
            if headless():
                raise
            self.show(f"⚠ {problem}", name == "save")
        (self.text if editing else self.buttons["accept"]).focus()

    def show(self, said: str = "", editing: bool = False) -> None:
        """Show the item of the review's place, and whether it is being edited."""
        item = self.review.items[self.review.place]
        self.shown += 1  # by which the script tells one showing from the next
        line = html.escape(f"{said} {self.review.standing()}".strip())
        self.picture.value, self.panel.value = self.review.picture(item), self.review.panel(item)
        if not editing or not self.editor.layout.display == "":
            self.text.value = item.told
        self.editor.layout.display = "" if editing else "none"
        self.bar.layout.display = "none" if editing else ""
        self.status.value = f'<p data-shown="{self.shown}">{line}</p>'
