"""All exercises by key. In: the modules of the notebooks. Out: `EXERCISES`, in the order of the notebooks."""

from . import beyond, claims, dataset, equations, marks, scoring, sft, tokens
from .exercise import Exercise

MODULES = (marks, equations, dataset, tokens, sft, scoring, claims, beyond)
EXERCISES: dict[str, Exercise] = {e.key: e for module in MODULES for e in module.EXERCISES}
