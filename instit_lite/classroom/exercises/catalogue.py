"""Exercises by key. In: the number of a notebook. Out: its exercises, or those of all.

Only the modules asked for are imported: who opens notebook 01 does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module

from .exercise import Exercise

MODULES = {
    "01": "marks", "02": "equations", "03": "dataset", "04": "tokens",
    "05": "sft", "06": "scoring", "07": "claims", "08": "beyond",
}  # fmt: skip


def exercises_of(notebook: str) -> dict[str, Exercise]:
    """The exercises of a notebook ("01") by key; none for a notebook without exercises."""
    if notebook not in MODULES:
        return {}
    return {e.key: e for e in import_module(f".{MODULES[notebook]}", __package__).EXERCISES}


def all_exercises() -> dict[str, Exercise]:
    """All exercises by key, in the order of the notebooks."""
    return {key: e for notebook in MODULES for key, e in exercises_of(notebook).items()}
