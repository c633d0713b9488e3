"""What lies behind a score. In: models, a bench with answers. Out: what `explorer` needs to browse them, and a figure.

As in `browsers`, each class has `controls`, a pure `draw(state)` and `alt(state)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..evaluation.asking import ask_all
from ..evaluation.item import BenchItem
from ..evaluation.pictures import Drawn, show
from ..evaluation.report import AFTER, ALL, ScoreRow
from ..evaluation.score import Verdict, is_correct, normalise
from ..model.load import Base
from .browsers import Line, page, said
from .figures import COLOUR_OF, dots, image_grid


class AskBoth:
    """One question about one mark, put to each of `models`, with the answers side by side."""

    ASKED, ORDER = ("what is", "what colour is", "what shape is", "what size is", "where is"), ("first", "second", "third")

    def __init__(self, models: Mapping[str, Base], pictures: Sequence[Drawn]) -> None:
        self.pictures, self.answers = pictures, cache(
            lambda k, text: [ask_all(model, [(show(pictures[k]), text)])[0] for model in models.values()]
        )
        self.names, fewest = list(models), min(len(picture.ids) for picture in pictures)
        self.controls = {"picture": range(1, len(pictures) + 1), "mark": self.ORDER[:fewest], "question": self.ASKED}

    def told(self, state: dict) -> tuple[str, str, list[str]]:
        """The question, the true answer, and each model's with a sign for right or wrong."""
        k = state["picture"] - 1
        text = f"{state['question']} [{self.pictures[k].ids[self.ORDER.index(state['mark'])]}]?"
        truth = next(q.answer for q in self.pictures[k].questions if q.question == text)
        return text, truth, [f"{name}: {answer} {'✓' if normalise(answer) == normalise(truth) else '✗'}"
                             for name, answer in zip(self.names, self.answers(k, text))]  # fmt: skip

    def draw(self, state: dict) -> Figure:
        text, truth, lines = self.told(state)
        fig = image_grid([show(self.pictures[state["picture"] - 1])[0]] * len(lines), lines, size=3.2)
        fig.suptitle(f"{text}   true: {truth}")
        return fig

    def alt(self, state: dict) -> str:
        text, truth, lines = self.told(state)
        return f"Marked picture {state['picture']}, once a model. Question: {text} True: {truth}. {'; '.join(lines)}."


class ErrorBrowser:
    """The questions that a run got wrong: frames, question, what was said, what is true."""

    def __init__(self, items: Sequence[BenchItem], runs: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
        self.wrong = {(name, f"{i.split}, {i.format}"): [] for name in names for i in items}
        for name in names:
            for item, answer in zip(items, runs[name]):
                if (verdict := is_correct(item, answer)) is not Verdict.CORRECT:
                    self.wrong[name, f"{item.split}, {item.format}"].append((item, answer, verdict))
        most = max(1, *map(len, self.wrong.values()))
        parts = list(dict.fromkeys(part for _, part in self.wrong))
        self.controls = {"error": range(1, most + 1), "run": list(names), "part": parts}

    def texts(self, state: dict) -> tuple[str, list[Line], BenchItem | None]:
        """Head, lines and item; a number beyond the last error begins again with the first."""
        found = self.wrong[state["run"], state["part"]]
        name = f"{state['run']}, {state['part']}"
        if not found:
            return f"{name}: no error", [("Every answer of this part is right.", False)], None
        k = (state["error"] - 1) % len(found)
        item, answer, verdict = found[k]
        lines = [(item.prompt, False), (f"said: {answer or 'nothing'}" + " (not read)" * (verdict is Verdict.UNPARSED), True),
                 (f"true: {item.answer}", False)]  # fmt: skip
        return f"{name}: error {k + 1} of {len(found)}, on {item.kind}", lines, item

    def draw(self, state: dict) -> Figure:
        head, lines, item = self.texts(state)
        frames, moments = (item.frames, item.timestamps) if item else ([], [])
        return page(frames, [f"<{t}>" for t in moments] if len(moments) > 1 else [""] * len(frames), head, lines)

    def alt(self, state: dict) -> str:
        head, lines, _ = self.texts(state)
        return "A bench question with its frames. " + said(head, lines)


def points_by_kind(rows: Mapping[tuple[str, str, str], ScoreRow], runs: Sequence[str], split: str) -> Figure:
    """Accuracy of three runs by type of open question of a split, best after SFT first; a tick is a guess.

    `rows` are those of the score table by split, format and kind.
    """
    chosen = [row for (s, form, kind), row in rows.items() if (s, form) == (split, "open") and kind != ALL]
    chosen.sort(key=lambda row: -row.runs[AFTER].mean)
    fig, axis = plt.subplots(figsize=(7, 3))
    for shift, name in zip((-0.2, 0.0, 0.2), runs):
        dots(axis, [row.runs[name] for row in chosen], name, shift)
    guesses = [row.prior or row.chance for row in chosen]
    axis.plot(range(len(chosen)), guesses, "_", color=COLOUR_OF["prior"], markersize=18, label="guess")
    axis.set(xticks=range(len(chosen)), ylim=(-0.03, 1.03), ylabel="accuracy", title=split)
    axis.set_xticklabels([f"{row.kind}\nn={row.n}" for row in chosen], fontsize=8)
    fig.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncol=4, fontsize=8)
    return fig
