"""What an exercise is. In: a student's function. Out: whether it is right, and if not, the word that helps most.

A function is right when it gives what the reference gives on drawn cases. A wrong one is compared with the wrong
answers that people are known to give: who makes the same mistake gets the hint for that mistake.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Cases = Callable[[np.random.Generator], Iterable[tuple]]
CHECKED, HIDDEN = 0, 1_000  # seeds of the cases of the visible check and of the hidden test
SHORT = 160  # characters of a case or a result that a message shows


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give, and the hint that answers it."""

    answer: Callable
    hint: str


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    `key` is the notebook's number and a word; `name` the function's name; `difficulty` 1 to 3. `cases` draws
    arguments; `edges` are further ones that only the hidden test knows. `hints` lead from an idea to nearly the code.
    Where the reference raises, an answer must raise too.
    """

    key: str
    name: str
    title: str
    minutes: int
    difficulty: int
    reference: Callable
    cases: Cases
    mistakes: Mapping[str, Mistake]
    hints: tuple[str, str, str]
    edges: Sequence[tuple] = ()


@dataclass(frozen=True)
class Judgement:
    """Whether an answer is right; a message for the student; the name of the known mistake, if it is one."""

    right: bool
    message: str
    mistake: str = ""


@dataclass(frozen=True)
class Raised:
    """What stands for a result where a function raises."""

    error: Exception

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


def judge(exercise: Exercise, answer: Any, hidden: bool = False) -> Judgement:
    """Compare an answer with the reference on the visible cases, or on the hidden ones and the edges."""
    if not callable(answer):
        return Judgement(False, f"{exercise.name} is not there yet: run the cell that defines it")
    cases = list(exercise.cases(np.random.default_rng(HIDDEN if hidden else CHECKED)))
    cases += exercise.edges if hidden else ()
    wanted = [result(exercise.reference, case) for case in cases]
    found = [result(answer, case) for case in cases]
    if any(isinstance(f, Raised) and isinstance(f.error, NotImplementedError) for f in found):
        return Judgement(False, f"{exercise.name} is not written yet")
    wrong = [k for k, (f, w) in enumerate(zip(found, wanted)) if not alike(f, w)]
    if not wrong:
        return Judgement(True, f"{exercise.name} is right on {len(cases)} cases")
    for name, mistake in exercise.mistakes.items():
        if all(alike(f, result(mistake.answer, case)) for f, case in zip(found, cases)):
            return Judgement(False, mistake.hint, name)
    first = wrong[0]
    case, got, right = (shown(value) for value in (cases[first], found[first], wanted[first]))
    return Judgement(False, f"for {exercise.name}{case} yours gives {got}, right is {right}")


def result(function: Callable, case: tuple) -> Any:
    """Call a function on its own copies of the arguments; an exception is a result as well."""
    try:
        return function(*copy.deepcopy(case))
    except Exception as error:  # noqa: BLE001 - whatever a student's code raises belongs in the message
        return Raised(error)


def alike(a: Any, b: Any) -> bool:
    """Compare two results: numbers up to rounding, arrays also in shape, errors as such."""
    a, b = (value.item() if isinstance(value, np.generic) else value for value in (a, b))
    if isinstance(a, Raised) or isinstance(b, Raised):
        return isinstance(a, Raised) and isinstance(b, Raised)
    if is_array(b):
        return same_array(a, b)
    if isinstance(b, Mapping):
        return isinstance(a, Mapping) and a.keys() == b.keys() and all(alike(a[k], b[k]) for k in b)
    if isinstance(b, (list, tuple)):
        return isinstance(a, (list, tuple)) and len(a) == len(b) and all(map(alike, a, b))
    if is_number(a) and is_number(b):
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)
    return type(a) is type(b) and bool(a == b)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_array(value: Any) -> bool:
    """Tell an array of numpy or a tensor of torch, which most notebooks do without."""
    return hasattr(value, "shape") and hasattr(value, "tolist")


def same_array(a: Any, b: Any) -> bool:
    try:
        a, b = (np.asarray(x.detach() if hasattr(x, "detach") else x) for x in (a, b))
        if a.shape != b.shape or (a.dtype == bool) != (b.dtype == bool):
            return False
        return bool(np.allclose(a, b, rtol=1e-4, atol=1e-5))
    except (TypeError, ValueError, RuntimeError):  # no numbers
        return False


def shown(value: Any) -> str:
    """A value short enough for a message."""
    if is_array(value):
        listed = value.tolist() if math.prod(value.shape) <= 24 else "…"
        return f"{type(value).__name__}{tuple(value.shape)} {listed}"
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    text = f"an error ({value})" if isinstance(value, Raised) else repr(value)
    return text if len(text) <= SHORT else text[:SHORT] + "…"
