"""Exercises in a notebook. In: a key and what the student has. Out: a printed word; nothing here stops a run but `examine`.

    check("01-deepest", deepest)                  after the cell in which it is written
    deepest = catch_up("01-deepest", globals())   the student's where it is right, else the kit's: the lesson goes on
    examine("01-deepest")                         the hidden test of what was handed in; instructors only
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import InstitError
from .catalogue import all_exercises, exercises_of
from .exercise import Exercise, judge

_handed_in: dict[str, Any] = {}  # of this session, by key
_hints_given: Counter[str] = Counter()


def exercise_of(key: str) -> Exercise:
    """Return an exercise; raise `InstitError` for a key that does not exist."""
    own = exercises_of(key.split("-")[0])
    if key not in own:
        raise InstitError(f"there is no exercise {key!r}", cure=f"choose one of {', '.join(all_exercises())}")
    return own[key]


def check(key: str, answer: Any) -> None:
    """Say whether an answer is right, and if not, what to look at."""
    found = judge(exercise_of(key), answer)
    more = "" if found.right else f'. hint("{key}") helps; an exercise may be left out, the next cells go on'
    print(f"{'right' if found.right else 'not yet'}: {found.message}{more}")


def hint(key: str) -> None:
    """Give the next of three hints, from an idea to nearly the code; after the last one, the last again."""
    hints = exercise_of(key).hints
    number = min(_hints_given[key], len(hints) - 1)
    _hints_given[key] += 1
    print(f"hint {number + 1} of {len(hints)}: {hints[number]}")


def catch_up(key: str, names: Mapping[str, Any]) -> Callable:
    """Return the student's function where it is right, else the kit's own, so that no cell below depends on it.

    `names` is `globals()` of the notebook, in which the function may be missing.
    """
    exercise = exercise_of(key)
    own = names.get(exercise.name)
    _handed_in[key] = own
    right = judge(exercise, own).right
    print(f"{exercise.name}: {'yours' if right else 'the kit’s own'} is used from here on")
    return own if right else exercise.reference


def examine(key: str) -> None:
    """The hidden test of what `catch_up` found: raises `AssertionError` where it is wrong or missing."""
    found = judge(exercise_of(key), _handed_in.get(key), hidden=True)
    assert found.right, found.message
