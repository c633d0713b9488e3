"""Is this machine ready? In: nothing but the machine. Out: one `Check` per part, with a cure if needed.

Every check does the thing itself, small: it quantises a layer, encodes a film, opens the checkpoint. No check
uses the network, and the API key is only said to be set or not.
"""

from __future__ import annotations

import http.client
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import psutil
from packaging.requirements import Requirement

from ..errors import InstitError
from ..profiles import repo_root
from .measured import measured
from .resources import cores
from .start import installed

DISK_GB = 2.0  # a micro run with room to spare; the environment itself is already there
PAGE = "docs/troubleshooting.md"
SET_UP = "run `make setup` again; what it said is in .venv/install.log"


@dataclass(frozen=True)
class Check:
    """One part of the machine: `found` says what is there; `cure` what to do where `ok` is False."""

    name: str
    ok: bool
    found: str
    cure: str = SET_UP

    @property
    def page(self) -> str:
        """Where the page on troubleshooting speaks of this check."""
        return f"{PAGE}#{anchor(self.name)}"

    def __str__(self) -> str:
        cure = "" if self.ok else f". Cure: {self.cure} ({self.page})"
        return f"{'ok  ' if self.ok else 'FAIL'} {self.name}: {self.found}{cure}"


def anchor(heading: str) -> str:
    """Return the link that a heading gets on a rendered page."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


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
    gpu, ok = "no GPU; profiles smoke and micro need none", True
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        half = "bf16" if (card.major, card.minor) >= (8, 0) else "fp16, for bf16 begins at compute capability 8.0"
        gpu = f"{card.name}, {card.total_memory / 2**30:.0f} GB, compute capability {card.major}.{card.minor}: {half}"
    elif has_nvidia_driver():
        gpu, ok = f"there is an NVIDIA driver that it cannot use (its CUDA: {torch.version.cuda or 'none'})", False
    elif torch.backends.mps.is_available():
        gpu = "an Apple GPU, not used: everything runs on the processor"
    cure = "for profile gpu install the CUDA build that PyTorch's page names for your driver; smoke and micro need none"
    return Check("torch", ok and total == 12.0, f"{torch.__version__}, {cores()} cores, {gpu}", cure if total == 12.0 else SET_UP)


def has_nvidia_driver() -> bool:
    """Tell whether the machine has a driver for NVIDIA cards, whatever torch thinks."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def check_torchvision() -> Check:
    """Is there no torchvision, or one that fits this torch? transformers imports it, and one that does not breaks it."""
    version = installed("torchvision")
    if version == "absent":
        return Check("torchvision", True, "absent, as it should be")
    done = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, timeout=120)
    said = (done.stderr.strip().splitlines() or ["can be imported"])[-1]
    cure = f"{sys.executable} -m pip uninstall torchvision; the kit needs none"
    return Check("torchvision", done.returncode == 0, f"{version} beside torch {installed('torch')}: {said}", cure)


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


def needed_gb(profile: str) -> float:
    """Return the most memory in GB that a notebook was measured to take in a profile."""
    return max((rows[profile]["peak_mb"] for rows in measured().values() if profile in rows), default=0) / 1000


def check_memory() -> Check:
    """Is there enough free memory for the largest notebook of a micro run? Without it, a kernel dies."""
    available, total = memory_gb()
    found = f"{available:.1f} of {total:.1f} GB available; profile micro needs up to {needed_gb('micro'):.1f}"
    cure = f"close other programs, or use profile smoke, which needs {needed_gb('smoke'):.1f} GB"
    return Check("memory", available >= needed_gb("micro"), found, cure)


def check_folders() -> Check:
    """Can files be written where the kit, Jupyter and others write theirs? Each place is tried."""
    from jupyter_core.paths import jupyter_runtime_dir

    build = Path(os.environ.get("INSTIT_BUILD") or repo_root() / "build")
    refused = []
    for folder in (build, Path(tempfile.gettempdir()), Path(jupyter_runtime_dir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"1")
        except OSError as error:
            refused.append(f"{folder} ({error.strerror})")
    cure = "take the folders into your possession (chown), or name others in INSTIT_BUILD, TMPDIR, JUPYTER_RUNTIME_DIR"
    return Check("folders", not refused, f"cannot write {', '.join(refused)}" if refused else "can be written", cure)


def check_network() -> Check:
    """Can programs of this machine talk to each other, and could the client go online with the proxy settings here?"""
    from pydantic import SecretStr

    from ..annotation.endpoint import OFFICIAL, open_apis
    from ..annotation.server import simulated_server

    with simulated_server() as server:
        line = http.client.HTTPConnection(*server.server_address, timeout=10)
        line.request("GET", "/")  # any answer will do
        line.getresponse().read()
        line.close()
    proxies = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]
    found = f"loopback works; {', '.join(proxies) or 'no proxy'} set"
    try:
        open_apis(OFFICIAL, SecretStr("none"), 1)
    except InstitError as error:
        return Check("network", False, f"{found}; {error.reason}", f"{error.cure}; offline everything works")
    return Check("network", True, found)


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
    """Does a notebook's kernel `python3` start, and run this environment's Python and not another one's?"""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import start_new_kernel

    command = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    here = not command.is_absolute() or command.parent.resolve() == Path(sys.executable).parent.resolve()
    if not here:
        cure = "set JUPYTER_PREFER_ENV_PATH=1 (make does), or run `jupyter kernelspec remove python3`"
        return Check("notebook kernel", False, f"python3 starts {command}", cure)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60, **quiet)
    try:
        said = client.execute_interactive("2 + 2", timeout=60, silent=True, output_hook=lambda message: None)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return Check("notebook kernel", said["content"]["status"] == "ok", f"python3 starts {sys.executable}")


def check_key() -> Check:
    """Is there a key for a remote annotator, and could it be one? Told without showing it; none is no failure."""
    key = os.environ.get("OPENAI_API_KEY", "")
    if key and not re.fullmatch(r"[!-~]+", key):
        cure = "set it again, without quotes or line breaks"
        return Check("OPENAI_API_KEY", False, "set, but it holds a space, a line break or a foreign letter", cure)
    return Check("OPENAI_API_KEY", True, "set, used only with --online" if key else "not set; everything offline works")


CHECKS = {
    "packages": check_packages, "torch": check_torch, "torchvision": check_torchvision,
    "bitsandbytes NF4": check_nf4, "video (PyAV)": check_video, "disk": check_disk, "folders": check_folders,
    "memory": check_memory, "micro base": check_base, "notebook kernel": check_kernel, "network": check_network,
    "OPENAI_API_KEY": check_key,
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
