"""Is this machine ready? In: nothing but the machine. Out: one `Check` per part, with a cure if needed.

Every check does the thing itself, small: it quantises a layer, encodes a film, opens the checkpoint. No check
uses the network, and the API key is only said to be set or not.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import psutil
from packaging.requirements import Requirement

from ..profiles import repo_root
from .resources import cores
from .start import installed

DISK_GB, MEMORY_GB = 2.0, 2.0  # a micro run with room to spare; the environment itself is already there
SET_UP = "run `make setup` again; what it said is in .venv/install.log"


@dataclass(frozen=True)
class Check:
    """One part of the machine: `found` says what is there; `cure` what to do where `ok` is False."""

    name: str
    ok: bool
    found: str
    cure: str = SET_UP


def check_packages() -> Check:
    """Is every package that `pyproject.toml` asks for installed, in a version that fits?"""
    wanted = [Requirement(line) for line in requires("instit-lite") or []]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = []
    for one in wanted:
        version = installed(one.name)
        if version == "absent" or not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} {version} (wanted {one.specifier})")
    found = "; ".join(wrong) or f"{len(wanted)} as pyproject.toml asks"
    return Check("packages", not wrong, f"Python {platform.python_version()} at {sys.prefix}, {found}")


def check_torch() -> Check:
    """Does torch compute, and on which accelerator could it?"""
    import torch

    total = float((torch.ones(2, 3) @ torch.ones(3, 2)).sum())
    gpu = "no GPU; profiles smoke and micro need none"
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        gpu = f"{card.name}, {card.total_memory / 2**30:.0f} GB, compute capability {card.major}.{card.minor}"
    return Check("torch", total == 12.0, f"{torch.__version__}, {cores()} cores, {gpu}")


def check_nf4() -> Check:
    """Does bitsandbytes really quantise a layer to NF4 here, and answer nearly as before?"""
    import torch

    from ..model.nf4 import import_bitsandbytes, is_nf4, nf4_linear

    name = "bitsandbytes NF4"
    bitsandbytes = import_bitsandbytes()
    if bitsandbytes is None:
        found = "no build for this machine: the language model stays in full precision"
        return Check(name, sys.platform == "darwin", found)
    layer, inputs = torch.nn.Linear(128, 128, bias=False), torch.eye(128)
    with torch.no_grad():
        before = layer(inputs)
        quantised = nf4_linear(bitsandbytes, layer)
        error = float((quantised(inputs) - before).norm() / before.norm())
    ok = is_nf4(quantised) and 0 < error < 0.3
    return Check(name, ok, f"{bitsandbytes.__version__}, a 128x128 layer in 4 bits, wrong by {error:.1%}")


def check_video() -> Check:
    """Can PyAV encode H.264 and read it back?"""
    import av

    from ..scenes.video import write_mp4

    frames = [np.full((64, 64, 3), 40 * i, np.uint8) for i in range(4)]
    with tempfile.TemporaryDirectory(prefix="instit") as folder:
        path = write_mp4(Path(folder) / "check.mp4", frames)
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context.name
            shades = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    ok = codec == "h264" and len(shades) == 4 and np.allclose(shades, [0, 40, 80, 120], atol=12)
    return Check("video (PyAV)", ok, f"{av.__version__}, {len(shades)} of 4 frames as {codec}")


def check_disk() -> Check:
    """Is there room for what the notebooks generate, in a folder that can be written?"""
    folder = Path(os.environ.get("INSTIT_BUILD") or repo_root() / "build").resolve()
    folder = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(folder).free / 2**30
    writable = os.access(folder, os.W_OK)
    found = f"{free:.1f} GB free{'' if writable else ', but not writable'} at {folder}"
    cure = f"free {DISK_GB:g} GB, or point INSTIT_BUILD at a folder that has them"
    return Check("disk", writable and free >= DISK_GB, found, cure)


def memory_gb() -> tuple[float, float]:
    """Return available and total memory in GB, within the limit of a container where there is one."""
    machine = psutil.virtual_memory()
    available, total = machine.available, machine.total
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and limit.read_text().strip() != "max":
        total = min(total, int(limit.read_text()))
        available = min(available, total - int(used.read_text()))
    return available / 2**30, total / 2**30


def check_memory() -> Check:
    """Is there enough free memory for a micro run?"""
    available, total = memory_gb()
    found = f"{available:.1f} of {total:.1f} GB available"
    return Check("memory", available >= MEMORY_GB, found, "close other programs, or use PROFILE=smoke")


def check_base() -> Check:
    """Is the micro base there, whole, and which one is it?"""
    from safetensors import safe_open

    from ..model.load import MICRO_FOLDER, weights_hash

    cure = "run `git checkout instit_lite/model/micro_base`, or train it with `make pretrain`"
    wanted = ("config.json", "tokenizer.json", "*.safetensors")
    absent = [name for name in wanted if not list(MICRO_FOLDER.glob(name))]
    if absent:
        return Check("micro base", False, f"{', '.join(absent)} missing in {MICRO_FOLDER}", cure)
    tensors = size = 0
    for file in MICRO_FOLDER.glob("*.safetensors"):
        size += file.stat().st_size
        with safe_open(file, framework="numpy") as weights:
            tensors += len(weights.keys())
    found = f"{tensors} tensors, {size / 1e6:.1f} MB, hash {weights_hash(MICRO_FOLDER)}"
    return Check("micro base", tensors > 0, found, cure)


def check_kernel() -> Check:
    """Does a notebook's kernel `python3` start this environment's Python, and not another one's?"""
    from jupyter_client.kernelspec import KernelSpecManager

    command = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    here = not command.is_absolute() or command.parent.resolve() == Path(sys.executable).parent.resolve()
    cure = "set JUPYTER_PREFER_ENV_PATH=1 (make does), or run `jupyter kernelspec remove python3`"
    return Check("notebook kernel", here, f"python3 starts {sys.executable if here else command}", cure)


def check_key() -> Check:
    """Is there a key for a remote annotator? Told without showing it, never a failure."""
    is_set = bool(os.environ.get("OPENAI_API_KEY"))
    found = "set, used only with --online" if is_set else "not set; everything offline works"
    return Check("OPENAI_API_KEY", True, found)


CHECKS = {
    "packages": check_packages, "torch": check_torch, "bitsandbytes NF4": check_nf4,
    "video (PyAV)": check_video, "disk": check_disk, "memory": check_memory,
    "micro base": check_base, "notebook kernel": check_kernel, "OPENAI_API_KEY": check_key,
}  # fmt: skip


def examine(tell: Callable[[Check], None] = lambda check: None) -> list[Check]:
    """Run every check and return them in order; `tell` gets each as soon as it is known.

    A check that breaks is a check that failed: nothing is raised.
    """
    done = []
    for name, look in CHECKS.items():
        try:
            check = look()
        except Exception as error:
            check = Check(name, False, f"{type(error).__name__}: {error}".splitlines()[0])
        tell(check)
        done.append(check)
    return done
