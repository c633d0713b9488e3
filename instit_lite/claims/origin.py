"""Where a figure comes from. In: nothing. Out: date, class of machine, versions, as each training's card keeps them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("instit-lite", "torch", "transformers", "peft", "bitsandbytes", "numpy")


def made_here() -> dict:
    """Today, the class of this machine without naming it, and the versions that run here."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": {"cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}", "gpu": gpu},
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}},
    }


def latest(cards: Iterable[dict]) -> dict:
    """Origin of the newest of these trainings; of today where there is none."""
    known = [{name: card[name] for name in ("date", "machine", "versions")} for card in cards if "date" in card]
    return max(known, key=lambda origin: origin["date"], default=None) or made_here()


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
