"""Exercises. In: what a student wrote. Out: a check with a hint, a catch-up, a hidden test.

A notebook's exercises are declared in one module each: the reference is the kit's own function, wrong answers that
people give are functions too. This package never changes what a student wrote, and never stops a notebook.
"""

from .session import catch_up, check, examine, hint

__all__ = ["catch_up", "check", "examine", "hint"]
