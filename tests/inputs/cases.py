"""What a bad input is, for the tests: how it is made, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from instit_lite.marks.clip import Clip


@dataclass(frozen=True)
class Case:
    """One input of the list of 72, or one form of it. `refused`: words of the refusal, None where it is read;
    `warns`: words of the warning that is given; `right`: what must hold for the clip that was read."""

    number: int
    title: str
    make: Callable[[Path], Path]
    refused: str | None
    warns: str | None
    right: Callable[[Clip], bool]

    def __str__(self) -> str:
        return f"{self.number:02}-{self.title.replace(' ', '-')}"


CASES: list[Case] = []


def case(number, title, refused=None, warns=None, right=lambda clip: True):
    """Register the function below as the maker of a case: it takes a folder and returns the path of the input."""

    def register(make):
        CASES.append(Case(number, title, make, refused, warns, right))
        return make

    return register
