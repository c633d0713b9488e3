"""Every exercise from both ends: the reference passes, the stub says so, each wrong answer gets its own hint."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from instit_lite.classroom.exercises import catch_up, check, examine, hint
from instit_lite.classroom.exercises.catalogue import all_exercises
from instit_lite.classroom.exercises.exercise import alike, judge
from instit_lite.errors import InstitError

EXERCISES = all_exercises()
ALL = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def stub(*_):
    raise NotImplementedError("write it")


@ALL
def test_reference_is_right_on_visible_and_hidden_cases(exercise):
    assert judge(exercise, exercise.reference).right
    assert judge(exercise, exercise.reference, hidden=True).right


@ALL
def test_every_mistake_is_caught_with_its_own_hint_and_by_the_hidden_test(exercise):
    for name, mistake in exercise.mistakes.items():
        found = judge(exercise, mistake.answer)
        assert (found.right, found.mistake, found.message) == (False, name, mistake.hint)
        assert not judge(exercise, mistake.answer, hidden=True).right, name


@ALL
def test_exercise_is_complete(exercise):
    assert exercise.key.split("-")[0] in {f"0{n}" for n in range(1, 9)}
    assert len(exercise.mistakes) >= 3 and len(set(m.hint for m in exercise.mistakes.values())) >= 3
    assert 1 <= exercise.difficulty <= 3 and 0 < exercise.minutes <= 15
    assert all(len(text) > 10 for text in exercise.hints) and len(set(exercise.hints)) == 3
    assert exercise.reference.__name__ == exercise.name and exercise.reference.__doc__


def test_every_notebook_has_three_and_no_name_twice():
    notebooks = [key.split("-")[0] for key in EXERCISES]
    assert all(notebooks.count(f"0{n}") >= 3 for n in range(1, 9))
    assert len({e.name for e in EXERCISES.values()}) == len(EXERCISES)


@ALL
def test_blank_and_missing_answers_are_caught_up(exercise, capsys):
    for names in ({}, {exercise.name: stub}, {exercise.name: None}, {exercise.name: lambda *_: 1 / 0}):
        assert catch_up(exercise.key, names) is exercise.reference
        with pytest.raises(AssertionError):
            examine(exercise.key)
    assert "the kit’s own" in capsys.readouterr().out


@ALL
def test_a_right_answer_is_kept_and_passes(exercise):
    own = lambda *case: exercise.reference(*case)  # noqa: E731 - the student's, not the kit's object
    assert catch_up(exercise.key, {exercise.name: own}) is own
    examine(exercise.key)


def test_check_never_raises_and_names_the_way_on(capsys):
    for answer in (None, 3, stub, lambda mask: (99, 99), lambda: 0, lambda mask: builtins.undefined):
        check("01-deepest", answer)
        said = capsys.readouterr().out
        assert said.startswith("not yet: ") and 'hint("01-deepest")' in said
    check("01-deepest", EXERCISES["01-deepest"].reference)
    assert capsys.readouterr().out.startswith("right: ")


def test_hints_come_one_by_one(capsys):
    for number in (1, 2, 3, 3):
        hint("07-holds")
        assert capsys.readouterr().out.startswith(f"hint {number} of 3: ")


def test_an_unknown_key_is_named():
    with pytest.raises(InstitError, match="no exercise '09-x'"):
        check("09-x", None)


def test_a_student_who_changes_the_arguments_changes_nothing_else():
    def careless(mask):
        answer = EXERCISES["01-deepest"].reference(mask)
        mask[:] = False
        return answer

    assert judge(EXERCISES["01-deepest"], careless).right


@pytest.mark.parametrize(
    "a, b, same",
    [(1, 1.0, True), (1, True, False), ("1", 1, False), (None, None, True), ([1], (1,), True), (0.1, "x", False),
     (np.zeros(3), np.zeros((3, 1)), False), (np.ones(2), np.ones(2, bool), False), ({"1": 2}, {1: 2}, False),
     (["a", "b"], np.zeros(2), False), ([None, 0.0], np.zeros(2), False), ([0.0, 0.0], np.zeros(2), True),
     (np.bool_(True), True, True), (np.int64(2), 2, True)],
)  # fmt: skip
def test_alike(a, b, same):
    assert alike(a, b) is same
