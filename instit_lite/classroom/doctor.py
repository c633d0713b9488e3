"""Is this machine ready? In: nothing but the machine. Out: one `Check` per part, with a cure where something
is wrong.

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
from pathlib import Path

import psutil

from ..profiles import repo_root
from .resources import cores
from .start import installed

OLDEST_PYTHON = (3, 11)
DISK_GB, MEMORY_GB = 2.0, 2.0  # a micro run with room to spare; the environment itself is already there
NF4_ERROR = (1e-4, 0.3)  # relative error of a quantised layer's answers: not nothing, and not nonsense
SET_UP = "run `make setup` again; what it said is in .venv/install.log"


@dataclass(frozen=True)
class Check:
    """One part of the machine: `found` says what is there; `cure` what to do where `ok` is False."""

    name: str
    ok: bool
    found: str
    cure: str = ""


def check_python() -> Check:
    """Is this Python new enough?"""
    wanted = ".".join(map(str, OLDEST_PYTHON))
    found = f"{platform.python_version()} at {sys.prefix}"
    return Check("Python", sys.version_info >= OLDEST_PYTHON, found, f"install Python {wanted} or newer")


def check_packages() -> Check:
    """Is every package that `pyproject.toml` asks for installed, in a version that fits?"""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in requires("instit-lite") or []]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [f"{one.name} {installed(one.name)} (wanted {one.specifier})" for one in wanted if not fits(one)]
    return Check("packages", not wrong, "; ".join(wrong) or f"{len(wanted)} as pyproject.toml asks", SET_UP)


def fits(requirement) -> bool:
    """Tell whether the installed version satisfies a `packaging` requirement; a package that is absent does
    not.
    """
    version = installed(requirement.name)
    return version != "absent" and requirement.specifier.contains(version, prereleases=True)


def check_torch() -> Check:
    """Does torch compute?"""
    import torch

    total = float((torch.ones(2, 3) @ torch.ones(3, 2)).sum())
    return Check("torch", total == 12.0, f"{torch.__version__}, {torch.get_num_threads()} threads", SET_UP)


def check_transformers() -> Check:
    """Does transformers have the model class that the kit trains?"""
    import transformers

    ok = hasattr(transformers, "LlavaNextVideoForConditionalGeneration")
    return Check("transformers", ok, transformers.__version__, SET_UP)


def check_nf4() -> Check:
    """Does bitsandbytes really quantise a layer to NF4 here, and answer nearly as before?"""
    import torch

    from ..model.nf4 import import_bitsandbytes, is_nf4, nf4_linear

    bitsandbytes = import_bitsandbytes()
    if bitsandbytes is None:
        found = "no build for this machine: the language model stays in full precision"
        return Check("bitsandbytes NF4", sys.platform == "darwin", found, SET_UP)
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(128, 128, bias=False)
    layer.weight.data = torch.randn(128, 128, generator=generator)
    inputs = torch.randn(8, 128, generator=generator)
    with torch.no_grad():
        before = layer(inputs)
        quantised = nf4_linear(bitsandbytes, layer)
        error = float((quantised(inputs) - before).norm() / before.norm())
    ok = is_nf4(quantised) and NF4_ERROR[0] < error < NF4_ERROR[1]
    found = f"{bitsandbytes.__version__}, a 128x128 layer in 4 bits, answers off by {error:.1%}"
    return Check("bitsandbytes NF4", ok, found, SET_UP)


def check_video() -> Check:
    """Can PyAV encode H.264 and read it back?"""
    import av
    import numpy as np

    from ..scenes.video import write_mp4

    frames = [np.full((64, 64, 3), 40 * i, np.uint8) for i in range(4)]
    with tempfile.TemporaryDirectory(prefix="instit") as folder:
        path = write_mp4(Path(folder) / "check.mp4", frames)
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context.name
            shades = [float(frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(video=0)]
    ok = codec == "h264" and len(shades) == 4 and all(abs(s - 40 * i) < 12 for i, s in enumerate(shades))
    return Check("video (PyAV)", ok, f"{av.__version__}, {len(shades)} of 4 frames as {codec}", SET_UP)


def check_font() -> Check:
    """Does Pillow draw digits in the size asked for?"""
    from PIL import Image, ImageDraw, ImageFont, features

    heights = []
    for size in (12, 36):
        canvas = Image.new("L", (80, 80))
        ImageDraw.Draw(canvas).text((8, 8), "8", fill=255, font=ImageFont.load_default(size))
        box = canvas.getbbox() or (0, 0, 0, 0)
        heights.append(box[3] - box[1])
    ok = features.check("freetype2") and heights[1] > 2 * heights[0] > 0
    found = f"Pillow {installed('pillow')}, digits {heights[0]} and {heights[1]} px high at sizes 12 and 36"
    return Check("font (Pillow)", ok, found, SET_UP)


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
    try:
        total = min(total, int(limit.read_text()))
        available = min(available, total - int(used.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        pass
    return available / 2**30, total / 2**30


def check_memory() -> Check:
    """Is there enough free memory for a micro run?"""
    available, total = memory_gb()
    found = f"{available:.1f} of {total:.1f} GB available"
    return Check("memory", available >= MEMORY_GB, found, "close other programs, or use PROFILE=smoke")


def check_cores() -> Check:
    """How many cores may be used? Told, never a failure."""
    count = cores()
    return Check("cores", True, str(count) if count > 1 else "1; the README's times were taken on 2")


def check_base() -> Check:
    """Is the micro base there, whole, and which one is it?"""
    from safetensors import safe_open

    from ..model.load import MICRO_FOLDER, weights_hash

    cure = "run `git checkout instit_lite/model/micro_base`, or train it with `make pretrain`"
    files = sorted(MICRO_FOLDER.glob("*.safetensors"))
    absent = [name for name in ("config.json", "tokenizer.json") if not (MICRO_FOLDER / name).exists()]
    absent += [] if files else ["*.safetensors"]
    if absent:
        return Check("micro base", False, f"{', '.join(absent)} missing in {MICRO_FOLDER}", cure)
    tensors = 0
    for file in files:
        with safe_open(file, framework="numpy") as weights:
            tensors += len(weights.keys())
    size = sum(file.stat().st_size for file in files) / 1e6
    found = f"{tensors} tensors, {size:.1f} MB, hash {weights_hash(MICRO_FOLDER)}"
    return Check("micro base", tensors > 0, found, cure)


def check_kernel() -> Check:
    """Does a notebook's kernel `python3` start this environment's Python, and not another one's?"""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    command = spec.argv[0]
    own = Path(sys.executable).parent.resolve()
    here = not os.path.isabs(command) or Path(command).parent.resolve() == own
    cure = "set JUPYTER_PREFER_ENV_PATH=1 (make does), or run `jupyter kernelspec remove python3`"
    return Check("notebook kernel", here, f"python3 starts {command if not here else sys.executable}", cure)


def check_gpu() -> Check:
    """Which accelerator is there? Told, never a failure."""
    import torch

    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        size = card.total_memory / 2**30
        found = f"{card.name}, {size:.0f} GB, compute capability {card.major}.{card.minor}"
    else:
        found = "none; profiles smoke and micro need none"
    return Check("GPU", True, found)


def check_key() -> Check:
    """Is there a key for a remote annotator? Told without showing it, never a failure."""
    is_set = bool(os.environ.get("OPENAI_API_KEY"))
    found = "set, used only with --online" if is_set else "not set; everything offline works"
    return Check("OPENAI_API_KEY", True, found)


CHECKS: dict[str, Callable[[], Check]] = {
    "Python": check_python,
    "packages": check_packages,
    "torch": check_torch,
    "transformers": check_transformers,
    "bitsandbytes NF4": check_nf4,
    "video (PyAV)": check_video,
    "font (Pillow)": check_font,
    "disk": check_disk,
    "memory": check_memory,
    "cores": check_cores,
    "micro base": check_base,
    "notebook kernel": check_kernel,
    "GPU": check_gpu,
    "OPENAI_API_KEY": check_key,
}


def examine(tell: Callable[[Check], None] = lambda check: None) -> list[Check]:
    """Run every check and return them in order; `tell` gets each as soon as it is known.

    A check that breaks is a check that failed: nothing is raised.
    """
    done = []
    for name, look in CHECKS.items():
        try:
            check = look()
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[0]
            check = Check(name, False, f"{type(error).__name__}: {said}", SET_UP)
        tell(check)
        done.append(check)
    return done
