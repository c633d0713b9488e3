"""The first line of a notebook. In: a profile's name and a seed. Out: profile, generator, a printed line."""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from .. import __version__
from ..profiles import Profile, get_profile, seed_everything
from .resources import cores


def installed(package: str) -> str:
    """Return the installed version of `package`, or "absent"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def start(profile: str, seed: int, **changes: str | int) -> tuple[Profile, np.random.Generator]:
    """Seed everything, print in one line where this runs, return the profile and a NumPy generator.

    `changes`: fields of the profile to be other than it says; "" and 0 leave a field as it is. torch is
    seeded if it is imported before this call.
    """
    changes = {name: value for name, value in changes.items() if value}
    chosen = replace(get_profile(profile), **changes)
    print(
        f"instit_lite {__version__} · profile {profile} · seed {seed} · "
        f"Python {platform.python_version()} · torch {installed('torch')} · "
        f"transformers {installed('transformers')} · {cores()} cores · {platform.system()}"
        + "".join(f" · {name} {value}" for name, value in changes.items())
    )
    return chosen, seed_everything(seed)
