"""Questions: answers are checked against pixels, masks or an own reading of the facts; choices are fair."""

import re
from collections import Counter

import numpy as np
import pytest
from instit_lite.scenes.facts import changes, frame_facts, scene_facts
from instit_lite.scenes.general import general_questions, number_questions, print_numbers
from instit_lite.scenes.questions import Question, clip_questions, image_questions, multiple_choice
from instit_lite.scenes.render import render
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.world import Knobs, place_of
from seen import look

TIMES = (0.125, 0.375, 0.625, 0.875)
STILL = Knobs(n_things=(2, 4), motion=False)


def whole_stills(n):
    """Still scenes whose things are all visible whole: (frame facts, what an eye sees by mark id)."""
    for seed in range(n):
        scene = sample_scene(seed, STILL)
        facts = frame_facts(scene, 0.5)
        picture, masks = render(scene, 0.5, 192)
        border = masks[:, [0, -1]].any() or masks[:, :, [0, -1]].any()
        if border or sum(f.visible > 0.99 for f in facts.instances) < len(scene.things):
            continue
        seen = {thing.mark_id: look(picture, mask) for thing, mask in zip(scene.things, masks)}
        if all(s.clear for s in seen.values()):
            yield facts, seen


def described(seen, words):
    """The marks that fit words like "red", "circle" or "small red circle"."""
    return [i for i, s in seen.items() if set(words.split()) - {"thing"} <= {s.size, s.colour, s.shape}]


def answer_from_pixels(question, seen):
    """Answer a question about one picture from what was seen in its pixels."""
    ids = [int(i) for i in re.findall(r"\[(\d+)\]", question.question)]
    if question.kind in ("colour", "shape", "size", "place") and ids:
        return getattr(seen[ids[0]], question.kind)
    if question.kind == "phrase":
        return f"{seen[ids[0]].size} {seen[ids[0]].colour} {seen[ids[0]].shape}"
    if question.kind == "left_of":
        return "yes" if seen[ids[0]].x < seen[ids[1]].x else "no"
    name = re.search(r"(?:the|is there a) ([a-z ]+)\?", question.question)
    if question.kind == "exists":
        return "yes" if described(seen, name[1]) else "no"
    if question.kind == "count":
        return str(len(seen))
    if question.kind == "describe":
        return ", ".join(f"{s.size} {s.colour} {s.shape}" for s in sorted(seen.values(), key=lambda s: s.x))
    if question.kind == "at_place":
        (one,) = [s for s in seen.values() if s.place == name[1]]
        return f"{one.size} {one.colour} {one.shape}"
    if "thing at the" in question.question:
        (one,) = [s for s in seen.values() if s.place == name[1].removeprefix("thing at the ")]
        return getattr(one, question.kind)
    (mark,) = described(seen, name[1])  # "which", and unmarked look-ups: the description fits one thing alone
    return f"[{mark}]" if question.kind == "which" else getattr(seen[mark], question.kind)


def test_answers_about_pictures_agree_with_the_pixels():
    rng, kinds = np.random.default_rng(0), Counter()
    for facts, seen in whole_stills(40):
        for question in [*image_questions(facts, rng), *general_questions(facts, rng)]:
            if question.kind == "describe" and min(np.diff(sorted(s.x for s in seen.values()))) < 0.02:
                continue
            assert question.answer == answer_from_pixels(question, seen), question
            kinds[question.kind] += 1
    wanted = {"colour", "shape", "size", "place", "phrase", "which", "left_of", "exists", "count", "at_place"}
    assert wanted | {"describe"} == set(kinds) and min(kinds.values()) >= 5


def clips(n):
    for seed in range(n):
        frames = scene_facts(sample_scene(seed, Knobs(occlusion=0.3)), TIMES)
        yield frames, [changes(a, b) for a, b in zip(frames, frames[1:])]


def moments(frames, mark, kind):
    """When a mark enters (leaves): visible on one side, neither visible nor hidden on the other."""
    found = []
    for a, b in zip(frames, frames[1:]):
        there, away = (b, a) if kind == "enters" else (a, b)
        if there.get(mark) and not away.get(mark) and mark not in away.hidden:
            found.append(b.timestamp)
    return found


def check_clip_answer(question, frames):
    """Assert that an answer about a clip is true, by an own reading of the frames."""
    ids = [int(i) for i in re.findall(r"\[(\d+)\]", question.question)]
    path = [frame.get(ids[0]) for frame in frames if frame.get(ids[0])] if ids else []
    if question.kind in ("colour", "shape"):
        assert {getattr(f, question.kind) for f in path} == {question.answer}
    elif question.kind == "turns":
        assert path[-1].colour == question.answer != path[0].colour
    elif question.kind == "motion":
        shift = np.array([path[-1].x - path[0].x, path[-1].y - path[0].y])
        if question.answer == "it stays":
            assert np.abs(shift).max() < 0.05
        else:
            axis, sign = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}[question.answer]
            assert shift[axis] * sign >= 0.05 and abs(shift[axis]) >= abs(shift[1 - axis])
    elif question.kind in ("enters", "leaves"):
        assert [f"<{t}>" for t in moments(frames, ids[0], question.kind)] == [question.answer]
    elif question.kind == "present":
        t = int(re.search(r"<(\d+)>", question.question)[1])
        assert question.answer == ("yes" if frames[t - 1].get(ids[0]) else "no")
    elif question.kind == "who":
        kind = "enters" if "enters" in question.question else "leaves"
        everyone = {f.mark_id for frame in frames for f in frame.instances}
        assert [f"[{i}]" for i in everyone for _ in moments(frames, i, kind)] == [question.answer]
    else:
        raise AssertionError(f"no oracle for {question.kind}")


def test_answers_about_clips_agree_with_the_frames():
    rng, kinds = np.random.default_rng(0), Counter()
    for frames, found in clips(60):
        for question in clip_questions(frames, found, rng):
            check_clip_answer(question, frames)
            kinds[question.kind] += 1
    wanted = {"colour", "shape", "turns", "motion", "enters", "leaves", "present", "who"}
    assert set(kinds) == wanted and min(kinds.values()) >= 3
    assert len(frames) == len(TIMES)


def test_choices_are_four_different_options_and_only_one_is_right():
    rng, letters, near = np.random.default_rng(0), Counter(), 0
    for frames, found in clips(60):
        for question in [*clip_questions(frames, found, rng), *image_questions(frames[0], rng)]:
            choice = multiple_choice(question, rng)
            if choice is None:
                assert len(question.near) + len(question.far) < 3
                continue
            text, letter = choice
            stem, *options = re.split(r" ?\b[ABCD]: ", text)
            assert stem == question.question and len(options) == len(set(options)) == 4
            assert options["ABCD".index(letter)] == question.answer
            wrong = [option for option in options if option != question.answer]
            assert set(wrong) <= {*question.near, *question.far}
            assert len(set(wrong) & set(question.near)) == min(3, len(question.near)), "near ones come first"
            near += bool(question.near)
            letters[letter] += 1
    n = sum(letters.values())
    assert n > 500 and near > 300
    for letter in "ABCD":  # four standard deviations
        assert abs(letters[letter] - n / 4) < 4 * np.sqrt(n * 3 / 16)


def test_too_few_wrong_answers_give_no_choice():
    assert multiple_choice(Question("size", "?", "small", ("large",)), np.random.default_rng(0)) is None


@pytest.mark.parametrize("count", [None, 5])
def test_printed_numbers_keep_off_the_middle_of_things(count):
    rng = np.random.default_rng(1)
    for seed in range(40):
        scene = sample_scene(seed, Knobs(n_things=(3, 5), motion=False))
        facts, picture = frame_facts(scene, 0.5), render(scene, 0.5, 96)[0]
        before = picture.copy()
        marked, printed = print_numbers(picture, facts, rng, count)
        assert np.array_equal(picture, before), "the picture that was handed in is left as it was"
        values = {p.value for p in printed}
        assert len(values) == len(printed) and values <= set(range(1, 10))
        for p in printed:
            assert all(np.hypot(p.x - f.x, p.y - f.y) > 0.34 * f.radius for f in facts.instances)
        changed = np.argwhere((marked != before).any(-1)) / 96
        centres = np.array([(p.y, p.x) for p in printed]).reshape(-1, 2)
        reach = np.abs(changed[:, None] - centres[None]).max(-1).min(1)
        assert reach.max(initial=0) < 0.11, "nothing is drawn away from the numbers"


def test_answers_about_printed_numbers():
    rng, asked = np.random.default_rng(2), Counter()
    for seed in range(20):
        facts = frame_facts(sample_scene(seed, STILL), 0.5)
        printed = print_numbers(np.zeros((96, 96, 3), np.uint8), facts, rng)[1]
        where = {str(p.value): place_of(p.x, p.y) for p in printed}
        for q in number_questions(printed, facts, rng):
            asked[q.kind] += 1
            if q.kind == "number_at":
                place = re.search(r"at the (.+)\?", q.question)[1]
                assert [value for value, at in where.items() if at == place] == [q.answer]
            elif q.kind == "where_number":
                assert where[re.search(r"\d", q.question)[0]] == q.answer
            elif q.kind == "number_on":
                words = re.search(r"on the (.+)\?", q.question)[1].removesuffix(" thing").split()
                (named,) = [f for f in facts.instances if set(words) <= {f.colour, f.shape}]
                on = [p for p in printed if np.hypot(p.x - named.x, p.y - named.y) <= named.radius]
                assert [str(p.value) for p in on] == ([] if q.answer == "none" else [q.answer])
            else:
                order = sorted(printed, key=lambda p: p.x)
                assert re.findall(r"\d", q.answer) == [str(p.value) for p in order]
    assert min(asked[k] for k in ("number_at", "number_on", "where_number", "numbers")) >= 10
