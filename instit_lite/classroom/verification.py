"""The page on which a person verifies annotations. In: a folder of annotations, a reviewer. Out: decisions on disk.

Live it is a picture, a text and buttons; headless and printed, a static twin of a few items. ipywidgets hear no keys:
one constant script, `verification.html`, clicks the button that a key stands for. A model's text is always escaped.
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
from ..dataset.decisions import Decision, DecisionFile, Item
from ..dataset.doubts import Annotations
from ..errors import InstitError
from ..marks.images import read_image
from .display import headless, publish
from .figures import figure_html, image_grid

MOST_FRAMES, TWIN = 8, 3  # frames in a picture, items in the static twin
BUTTONS = {
    "back": "← Back", "accept": "Accept (A)", "edit": "Edit (E)", "reject": "Reject (R)", "on": "On →",
    "open": "Next open (N)", "doubt": "Next doubted (D)", "save": "Save (Ctrl+Enter)", "cancel": "Cancel (Esc)",
}  # fmt: skip
KEYS = Path(__file__).with_name("verification.html")


def verify(folder: str | Path, reviewer: str, *, clips: int | None = None, decisions: str | Path | None = None) -> None:
    """Show the page for the first `clips` clips and pictures of a folder (None: all); see `dataset.doubts`.

    Decisions are kept in `<decisions>/<reviewer>.jsonl`, by default in a folder beside the annotations, and the page
    opens at the first open item. Raises `InstitError` where there is nothing to verify.
    """
    found = Annotations(folder, clips)
    page = Page(found, DecisionFile(decisions or found.beside, reviewer))
    publish(*page.twin(), page.root)
    if not headless():
        publish(KEYS.read_text(encoding="utf-8").replace("PAGE", page.name), "A key clicks the button that names it.")


def draw(state: dict) -> Figure:
    """Draw `frames` (timestamp to picture): those in `about` with a thick border and a pointer in the title."""
    titles = [f"▼ <{t}>" if t in state["about"] else f"<{t}>" for t in state["frames"]]
    fig = image_grid([*state["frames"].values()], titles, size=2.4 if len(titles) > 1 else 4.0)
    for axis, t in zip(fig.axes, state["frames"]):
        if t in state["about"]:
            axis.axis("on")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, linewidth=4, color="black")
    return fig


def panel_html(item: Item, doubts: list[str] | None, decision: Decision | None) -> str:
    """The text of an item, what the audit doubts, what was decided; every word of a model escaped."""
    asked = f"<p><b>Question:</b> {html.escape(item.question)}</p>" if item.question else ""
    found = "".join(f"<li>{html.escape(doubt)}</li>" for doubt in doubts or [])
    said = "Not audited: there are no masks." if doubts is None else "The audit doubts nothing."
    audit = f"<p><b>⚠ The audit doubts:</b></p><ul>{found}</ul>" if doubts else f"<p>{said}</p>"
    decided = f"Decided: {decision.verdict}" if decision else "Open"
    mended = f" → {html.escape(decision.text)}" if decision and decision.text else ""
    return f"{asked}<blockquote>{html.escape(item.told)}</blockquote>{audit}<p><b>{decided}</b>{mended}</p>"


class Page:
    """Where a reviewer stands, and the widgets that show it. `place` is that of the item among `items`."""

    def __init__(self, found: Annotations, decisions: DecisionFile) -> None:
        self.found, self.decisions, self.items = found, decisions, found.items
        if not self.items:
            raise InstitError("there is no text to verify", path=found.folder, cure="annotate something first")
        self.name, self.showing, self.place = f"instit-verify-{uuid.uuid4().hex[:8]}", 0, len(self.items) - 1
        self.place, self.drawn = self.next_open() or 0, (None, "")
        self.buttons = {name: ipywidgets.Button(description=label) for name, label in BUTTONS.items()}
        for name, button in self.buttons.items():
            button.add_class(f"verify-{name}")
            button.layout.width = "auto"
            button.on_click(partial(self.press, name))
        self.status, self.picture, self.panel = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.text = ipywidgets.Textarea(description="Correction", rows=4, layout={"width": "auto"})
        *choices, save, cancel = self.buttons.values()
        self.bar = ipywidgets.HBox(choices, layout={"flex_flow": "row wrap"})
        self.editor = ipywidgets.VBox([self.text, ipywidgets.HBox([save, cancel])])
        self.root = ipywidgets.VBox([self.status, self.picture, self.panel, self.bar, self.editor])
        self.root.add_class(self.name)
        for name in ("show", "on", "back") if headless() else ("show",):  # headless, the real callbacks run too
            self.press(name)

    def next_open(self, doubted: bool = False) -> int | None:
        """The next open item after this one, round the end; with `doubted`, one that the audit doubts."""
        order = [*range(self.place + 1, len(self.items)), *range(self.place + 1)]
        fits = (i for i in order if not self.decisions.of(self.items[i]))
        return next((i for i in fits if not doubted or self.found.doubts(self.items[i])), None)

    def press(self, name: str, _button=None) -> None:
        """Do what a button says, and show the result; after a failed save the words that were typed stay."""
        said = "Editing." if name == "edit" else ""
        try:
            if name in ("accept", "reject", "save"):
                verdict, text = ("edit", self.text.value) if name == "save" else (name, None)
                self.decisions.decide(self.items[self.place], verdict, text)
                said = f"Kept: {verdict}."
            if name in ("accept", "reject", "save", "open", "doubt"):
                place = self.next_open(doubted=name == "doubt")
                said += " No such item is open." if place is None else ""
                self.place = self.place if place is None else place
            elif name in ("on", "back"):
                self.place = (self.place + (1 if name == "on" else -1)) % len(self.items)
            self.show(said, editing=name == "edit")
        except InstitError as problem:
            self.show(f"⚠ {problem}", editing=name == "save", text=self.text.value)

    def show(self, said: str, editing: bool, text: str | None = None) -> None:
        """Show the item at `place`; `text` is what stands in the editor, None for the annotator's."""
        item = self.items[self.place]
        self.text.value = text or item.told
        self.editor.layout.display, self.bar.layout.display = ("", "none") if editing else ("none", "")
        try:
            self.picture.value, self.panel.value = self.shown(item)
        except InstitError as problem:
            if headless():
                raise
            self.picture.value, self.panel.value = f"<p>⚠ {html.escape(str(problem))}</p>", panel_html(item, None, None)
        self.showing += 1  # by which the script tells one showing from the next
        line = html.escape(f"{said} {self.standing()}".strip())
        self.status.value = f'<p data-showing="{self.showing}">{line}</p>'
        (self.text if editing else self.buttons["accept"]).focus()

    def standing(self) -> str:
        done = sum(self.decisions.of(item) is not None for item in self.items)
        where = f"Item {self.place + 1} of {len(self.items)}: {self.items[self.place]}"
        return f"{where}. {done} decided by {self.decisions.reviewer}."

    def shown(self, item: Item) -> tuple[str, str]:
        """An item's frames, those that it is about and an even spread over its clip; and its panel."""
        files = self.found.pictures(item.clip)
        about = {item.timestamp} if item.timestamp else set(moments_in(f"{item.question} {item.told}"))
        about |= {item.timestamp - 1} if item.kind == "change" else set()
        about = about if about < set(files) else set()  # nothing stands out where all does
        panel = panel_html(item, self.found.doubts(item), self.decisions.of(item))
        if self.drawn[0] == (item.clip, about):  # neighbours among the items often share a picture
            return self.drawn[1], panel
        chosen = [t for t in files if t in about][: MOST_FRAMES // 2]
        spread = np.linspace(0, len(files) - 1, min(len(files), MOST_FRAMES - len(chosen))).round().astype(int)
        chosen = sorted({*chosen, *(list(files)[i] for i in spread)})
        state = {"frames": {t: read_image(self.found.folder / files[t]) for t in chosen}, "about": about}
        named = ", ".join(f"<{t}>" for t in chosen if t in about) or "the whole clip"
        alt = f"{len(chosen)} of {len(files)} marked frames of {item.clip}; the text is about {named}."
        self.drawn = (item.clip, about), figure_html(draw(state), alt=alt)
        return self.drawn[1], panel

    def twin(self) -> tuple[str, str]:
        """HTML and plain text of a few items, doubted ones before others."""
        first = self.items[:200]  # some clips, for an audit reads their masks
        chosen = [*islice((item for item in first if self.found.doubts(item)), TWIN)] or first[:TWIN]
        parts = [f"<h3>{html.escape(str(item))}</h3>{''.join(self.shown(item))}" for item in chosen]
        plain = f"Static twin of the verification page. {self.standing()} Shown: {'; '.join(map(str, chosen))}"
        return f'<div class="instit-twin"><p>{html.escape(self.standing())}</p>{"".join(parts)}</div>', plain
