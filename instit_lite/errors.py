"""Typed errors. In: a reason, the path it concerns, a cure. Out: one line that a student can act on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class InstitError(Exception):
    """Base of every error the kit raises on purpose.

    `reason` says what is wrong, `path` names the file or address it concerns, `cure` says what to do next.
    `outcome` says what a batch does about it: the item is quarantined, or, where it is "fatal", the run stops.
    """

    outcome = "quarantined"

    def __init__(self, reason: str, *, path: str | Path | None = None, cure: str = "") -> None:
        self.reason = reason
        self.path = None if path is None else str(path)
        self.cure = cure
        super().__init__(reason)

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        cure = f" Cure: {self.cure}" if self.cure else ""
        return f"{where}{self.reason}.{cure}" if not self.reason.endswith(".") else f"{where}{self.reason}{cure}"


class UnreadableInput(InstitError):
    """A video, image or folder is missing, empty, damaged, or of another kind than its name says."""


class NoInstances(InstitError):
    """A frame or clip has nothing to mark."""


class MaskMismatch(InstitError):
    """A mask does not fit its frame, or a run-length code does not fit its mask."""


class OfflineRefused(InstitError):
    """Something would have left this machine without the explicit online switch."""

    outcome = "fatal"


class EndpointError(InstitError):
    """The annotation endpoint is down, refuses the key, or answers with an HTTP failure; or the budget is used up."""

    outcome = "fatal"


class ReplyError(InstitError):
    """A reply is not what the schema asks for: malformed, refused, or cut short."""


class OutputError(InstitError):
    """Something cannot be written: the disk is full, or the folder is not ours."""


class NotYetAnswered(InstitError):
    """A question was written for a batch, and its answer has not been merged yet."""

    outcome = "fatal"


class LedgerError(InstitError):
    """The ledger of calls cannot be read or written, or another run holds it."""

    outcome = "fatal"


class RecordError(InstitError):
    """An INST-IT record or a dialogue file is not what the format says."""


class ModelError(InstitError):
    """A checkpoint folder is missing, incomplete, or of an unknown layout."""


class PreflightError(InstitError):
    """A setting or sample that would train the wrong thing without saying so."""


class NotebookError(InstitError):
    """A notebook did not run cleanly from top to bottom."""


def end_with(main: Callable[[], int]) -> NoReturn:
    """Run a command line's `main` and end the process with its exit code; a typed error is one line, and code 1."""
    try:
        sys.exit(main())
    except InstitError as error:
        sys.exit(f"error: {error}")
