"""What the notebooks explore: every draw follows its state and changes nothing else, and says in words what it shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import pyplot as plt

from instit_lite.annotation.audit import audit
from instit_lite.annotation.measured import measure_clip
from instit_lite.classroom import answers, loss_curve, widgets
from instit_lite.classroom.answers import AskBoth, ErrorBrowser, points_by_kind
from instit_lite.classroom.browsers import AnnotationBrowser, DatasetExplorer
from instit_lite.classroom.figures import data_at, figure_html
from instit_lite.classroom.playground import BOX, DEEPEST, MASS, Playground
from instit_lite.classroom.token_maps import ENCODERS, draw_budget
from instit_lite.dataset.build import Dataset
from instit_lite.dataset.dialogues import make_dialogue
from instit_lite.dataset.stills import still_of
from instit_lite.evaluation.item import BenchItem
from instit_lite.evaluation.pictures import draw, instances, show
from instit_lite.evaluation.report import AFTER, BEFORE, score_rows
from instit_lite.marks.images import write_jpeg
from instit_lite.marks.instances import from_scene
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.seeds import TRAIN_SEED
from instit_lite.scenes.world import Knobs


def png(fig) -> bytes:
    """The pixels of a figure, which is closed."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="raw", dpi=50)
    plt.close(fig)
    return buffer.getvalue()


def whole(explored, **state) -> dict:
    return {name: state.get(name, values[0]) for name, values in explored.controls.items()}


def follows(explored, *states: dict) -> list[str]:
    """Draw states that differ: their pictures and alt texts do, too, and a state drawn twice gives the same picture."""
    drawn = [(png(explored.draw(dict(state))), explored.alt(dict(state))) for state in states]
    pictures, alts = zip(*drawn)
    assert len(set(pictures)) == len(set(alts)) == len(states)
    assert png(explored.draw(dict(states[0]))) == pictures[0], "drawing depends on what was drawn before"
    return list(alts)


@pytest.fixture(scope="module")
def crowd():
    """A crowded still: its frame and instances."""
    scene = sample_scene(TRAIN_SEED - 64, Knobs(n_things=(5, 5), occlusion=0.4, crowding=0.7, size=0.62))
    still = still_of(scene, 0.5)
    return still.frames[0], from_scene(scene, still, [0.5])[0]


def test_the_playground_follows_each_control_and_keeps_its_frame(crowd):
    play, before = Playground(*crowd), crowd[0].copy()
    start = whole(play, **play.start)
    changes = [{"style": "image"}, {"size_percent": 150}, {"opacity_percent": 50}, {"placement": MASS}, {"placement": BOX},
               {f"mark {play.ids[0]}": False}]  # fmt: skip
    alts = follows(play, start, *(start | change for change in changes))
    assert "none misleads" in alts[0] and f"{len(play.ids) - 1} of {len(play.ids)} instances" in alts[-1]
    assert (crowd[0] == before).all()


def test_plain_placements_mislead_where_the_rule_does_not(crowd):
    play = Playground(*crowd)
    large = whole(play, **play.start, style="micro")
    wrong = {place: play.marked(large | {"placement": place})[2] for place in (DEEPEST, MASS)}
    assert len(wrong[MASS]) > len(wrong[DEEPEST])


def test_a_click_marks_what_lies_under_it(crowd):
    play = Playground(*crowd)
    state = whole(play)
    for i, mask in zip(crowd[1].tracker_id.tolist(), crowd[1].mask):
        row, column = np.argwhere(mask)[mask.sum() // 2]
        assert play.click(state, column + 0.4, row - 0.4) == {f"mark {i}": True}
        assert play.click(state | {f"mark {i}": True}, column, row) == {f"mark {i}": False}
    row, column = np.argwhere(~crowd[1].mask.any(0))[0]
    assert play.click(state, column, row) == {} and play.click(state, -3, 1e4) == {}


@pytest.mark.parametrize("titled", [True, False])
def test_a_place_of_the_picture_is_found_again_in_its_data(titled):
    fig, axes = plt.subplots(1, 2, figsize=(6, 3))
    for axis in axes:
        axis.imshow(np.zeros((20, 40)))
        axis.set_title("a title\nof two lines" if titled else "")
    figure_html(fig, alt="two black pictures")
    size, cut = fig.dpi, fig.get_tightbbox().padded(0.1)  # matplotlib's own margin
    for axis in axes:
        x, y = axis.transData.transform((30, 5)) / size
        assert data_at(fig, (x - cut.x0) / cut.width, (cut.y1 - y) / cut.height) == pytest.approx((30, 5))
    assert data_at(fig, 0, 0) is None


def test_the_place_of_a_click_reaches_the_state(crowd, monkeypatch):
    bundles, play = [], Playground(*crowd)
    monkeypatch.setenv("INSTIT_HEADLESS", "0")
    monkeypatch.setattr(widgets, "publish", lambda *parts: bundles.append(parts))
    widgets.explorer(play.draw, play.controls, [play.start], alt=play.alt, click=play.click)
    bar, picture, place = bundles[0][2].children
    ticks = {part.description: part for part in bar.children if part.description.startswith("mark")}
    before, was = picture.value, {name: tick.value for name, tick in ticks.items()}
    rows, columns = max((mask.nonzero() for mask in crowd[1].mask), key=lambda found: len(found[0]))
    height, width = crowd[0].shape[:2]
    place.value = f"{columns.mean() / width} {0.07 + 0.93 * rows.mean() / height} 1"  # below the title
    changed = [name for name, tick in ticks.items() if tick.value != was[name]]
    assert len(changed) == 1 and picture.value != before
    place.value = "nonsense"
    assert 'role="alert"' in picture.value and "institExplorers" in bundles[1][0]


def test_findings_stand_below_the_text_that_they_are_about():
    drawn = draw("video", 206, 3, Knobs(n_things=(3, 3)))
    frames = show(drawn)
    masks = instances(drawn, frames)
    exact = measure_clip(frames, masks, np.arange(3.0))

    def annotate(error, rate):
        told = exact.model_copy(deep=True)
        if rate:
            told.frames[1].image_level += " [8] waits."
            told.question_answer_pairs[0].answer = "nowhere"
        return told

    browser = AnnotationBrowser(frames, masks, exact, annotate, ["wrong_id", "miss_change"])
    states = [{"part": "<2>", "error": "wrong_id", "rate": 0}, {"part": "<2>", "error": "wrong_id", "rate": 4},
              {"part": "the clip", "error": "wrong_id", "rate": 4}]  # fmt: skip
    alts = follows(browser, *states)
    lines = browser.texts(states[1])[1]
    at = next(k for k, (text, _) in enumerate(lines) if "[8] waits." in text)
    assert lines[at + 1][1] and lines[at + 1][0] == "[8] unknown id: is named in the texts of <2> and is no mark"
    assert "Warning: " in alts[1]
    assert len(audit(exact, masks, frames.shape[1:3])) == 0 and "Warning" not in alts[0]
    first_question = next(text for text, _ in browser.texts(states[2])[1] if "nowhere" in text)
    assert exact.question_answer_pairs[0].question in first_question and "1 answered otherwise, 0 not asked; 0 that" in alts[2]


def test_the_dataset_explorer_walks_through_every_kind(tmp_path):
    for name in "ab":
        write_jpeg(tmp_path / f"{name}.jpg", np.full((32, 32, 3), 40 + 100 * (name == "b"), np.uint8))
    change = make_dialogue("video-1-change-2", ["a.jpg", "b.jpg"], [("what changes?", "[1] moves.")], 2, "temporal_change")
    plain = [make_dialogue(f"g{i}", ["b.jpg"], [(f"question {i}?", f"answer {i} " * 30)], 0, "general") for i in (1, 2)]
    data = Dataset(tmp_path, [], [], [change, {**change, "id": "video-2-change-2", "image": ["b.jpg", "a.jpg"]}], plain, "", 0, 0, [])
    found = DatasetExplorer(data)
    assert found.controls == {"kind": ["temporal_change", "general"], "number": range(1, 3)}
    states = [whole(found), whole(found, number=2), whole(found, kind="general"), whole(found, kind="general", number=2)]
    alts = follows(found, *states)
    assert "[1] moves." in alts[0] and "line 2" in alts[0] and "answer 2" in alts[3]
    assert len(found.draw(states[0]).axes) == 2 and len(found.draw(states[2]).axes) == 1


def test_both_models_are_asked_about_the_same_mark(monkeypatch):
    pictures = [draw("image", seed, 1, Knobs(n_things=(3, 3), motion=False)) for seed in (11, 12)]
    true = {(show(p).tobytes(), q.question): q.answer for p in pictures for q in p.questions}
    monkeypatch.setattr(answers, "ask_all", lambda model, asked: [model(frames.tobytes(), text) for frames, text in asked])
    asked = AskBoth({"base": lambda *_: "a $dollar$", "after SFT": lambda *key: true[key].upper()}, pictures)
    fewest = min(len(p.ids) for p in pictures)
    states = [whole(asked), whole(asked, mark=asked.controls["mark"][fewest - 1]), whole(asked, picture=2),
              whole(asked, question="where is")]  # fmt: skip
    alts = follows(asked, *states)
    assert "base: a $dollar$ ✗" in alts[0] and "✓" in alts[0] and f"what is [{pictures[0].ids[0]}]?" in alts[0]


def test_the_error_browser_shows_what_was_wrong_and_says_so_where_nothing_was():
    frames = np.stack([np.full((16, 16, 3), v, np.uint8) for v in (0, 90, 180)])
    clip = [BenchItem(f"video0-{k}", "enters", "open", "video", f"when {k}?", "<2>", None, "v", frames, (1, 2, 3), 2) for k in range(3)]
    still = BenchItem("image0-1", "colour", "choice", "image", "which?", "A", {"A": "red", "B": "blue"}, "i", frames[:1], (1,), 2)
    runs = {"base": ["<3>", "<2>", "", "B"], "after SFT": ["<2>", "<2>", "<2>", "A"]}
    found = ErrorBrowser([*clip, still], runs, ["after SFT", "base"])
    assert found.controls == {"error": range(1, 3), "run": ["after SFT", "base"], "part": ["video, open", "image, choice"]}
    states = [whole(found), whole(found, run="base"), whole(found, run="base", error=2), whole(found, run="base", part="image, choice")]
    alts = follows(found, *states)
    assert "no error" in alts[0] and "said: <3>" in alts[1] and "said: nothing (not read)" in alts[2]
    assert "A: red B: blue" in alts[3] and "true: A" in alts[3]
    assert found.texts(states[3] | {"error": 2}) == found.texts(states[3])


def test_types_of_question_are_drawn_best_first():
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    items = [BenchItem(f"image{k}-1", kind, "open", "image", "?", "yes", None, str(k), frames, (1,), 2)
             for k, kind in enumerate(["size", "size", "colour", "colour"])]  # fmt: skip
    runs = {"no marks": ["no"] * 4, BEFORE: ["yes", "no"] * 2, AFTER: ["no", "no", "yes", "yes"]}
    rows = {(r.split, r.format, r.kind): r for r in score_rows(items, runs)}
    axis = points_by_kind(rows, list(runs), "image").axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["colour\nn=2", "size\nn=2"]
    assert [list(box[0].get_ydata()) for box in axis.containers] == [[0, 0], [0.5, 0.5], [1, 0]]
    plt.close(axis.figure)


def test_the_budget_counts_what_the_grid_shows(crowd):
    def count(frames, side, patch, pooled):
        return frames * (-(-side // patch // 2) if pooled else side // patch) ** 2

    drawn = set()
    for encoder in ENCODERS:
        for pooled in (False, True):
            fig = draw_budget(crowd[0], {"encoder": encoder, "frames": 8, "pooled": pooled}, count)
            side = -(-ENCODERS[encoder] // 2) if pooled else ENCODERS[encoder]
            assert len(fig.axes[0].get_xticks()) == side + 1 and f"{8 * side * side:,} tokens" in fig.axes[1].get_title()
            drawn.add(png(fig))
    assert len(drawn) == 2 * len(ENCODERS)


def test_the_loss_grows_in_place(tmp_path, monkeypatch):
    shown, clock = [], iter(np.arange(100.0))
    monkeypatch.setattr(loss_curve, "publish", lambda html, plain, update=None: shown.append((html, plain, update)) or "one")
    monkeypatch.setattr(loss_curve.time, "perf_counter", lambda: 2 * next(clock))
    live, log = loss_curve.LiveLoss(tmp_path / "losses.jsonl"), tmp_path / "losses.jsonl"
    state = type("State", (), {"is_world_process_zero": True, "max_steps": 6})
    live.on_log(None, state, None)
    assert not shown, "nothing is drawn before the first step"
    for step in range(6):
        with log.open("a") as file:
            file.write(f'{{"step": {step + 1}, "loss": {3 - step / 4}}}\n')
        live.on_log(None, state, None)
    live.on_train_end(None, state, None)
    assert 2 <= len(shown) < 7 and [update for *_, update in shown] == [None, *["one"] * (len(shown) - 1)]
    assert "6 of 6 steps, from 3.00 to 1.75" in shown[-1][1] and shown[0][0] != shown[-1][0]


def test_the_loss_follows_its_state():
    losses = list(np.linspace(3, 1, 40))
    for n in range(1, 60):
        controls = loss_curve.loss_controls(n)
        assert loss_curve.usual_window(n) in controls["mean_of"] and n in controls["steps"] and min(controls["steps"]) >= 1
        assert all(len(values) > 1 for values in controls.values()) or n == 1, "a control that nothing can be done with"
    states = [(losses[:n], 40, window) for n, window in ((40, 1), (40, 8), (20, 8), (3, 8))]
    assert len({png(loss_curve.draw_loss(*state)) for state in states}) == 4
    assert loss_curve.loss_alt(*states[3]) == "Training loss over 3 of 40 steps, from 3.00 to 2.95 on a running mean of 8."
