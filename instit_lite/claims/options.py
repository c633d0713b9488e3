"""The options of `instit-lite claims`. In: a parser. Out: the parser with them, without loading anything."""

from __future__ import annotations

import argparse

from ..profiles import PROFILES


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what `run.main` reads."""
    command.add_argument("--profile", choices=list(PROFILES), default="micro")
    command.add_argument("--only", action="append", metavar="C6,K2", help="these claims and controls (default: all)")
    command.add_argument("--seeds", type=int, help="trainings of each arm (default: 3; gpu 5, smoke 2)")
    command.add_argument("--jobs", type=int, help="processes at once (default: one per core)")
    command.add_argument("--anew", action="store_true", help="take no scores from the repository: train everything here")
    command.add_argument("--ledger", action="store_true", help="write the ledger from what is there, train nothing")
    command.add_argument("--list", action="store_true", help="say what is there and what is left, run nothing")
