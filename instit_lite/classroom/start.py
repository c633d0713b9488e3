"""The first line of a notebook. In: a profile's name and a seed. Out: the profile, a generator, one printed
line.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from .. import __version__
from ..profiles import Profile, get_profile, seed_everything


def installed(package: str) -> str:
    """Return the installed version of `package`, or "absent"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def start(profile: str, seed: int) -> tuple[Profile, np.random.Generator]:
    """Seed everything, print where this runs in one line, return the profile and a NumPy generator.

    Quote the printed line when you report a problem. torch is seeded if it is imported before this call.
    """
    chosen = get_profile(profile)
    rng = seed_everything(seed)
    print(
        f"instit_lite {__version__} · profile {chosen.name} · seed {seed} · "
        f"Python {platform.python_version()} · torch {installed('torch')} · "
        f"transformers {installed('transformers')} · {os.cpu_count()} cores · {platform.system()}"
    )
    return chosen, rng
