"""Scenes to files. In: frames or a `Scene`. Out: a real H.264 mp4, and the script as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ..errors import RecordError
from ..profiles import atomic_write_text
from .render import render
from .world import Background, Key, Scene, Thing


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], fps: float = 8, crf: int = 18) -> Path:
    """Encode frames, uint8 [H, W, 3] RGB, as H.264 in an mp4; odd sides are padded by one pixel.

    The file appears only when it is whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part.mp4")
    try:
        with av.open(str(partial), "w") as container:
            stream = None
            for frame in frames:
                frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
                if stream is None:
                    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
                    stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv420p"
                    stream.options = {"crf": str(crf), "preset": "veryfast"}
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            if stream is None:
                raise RecordError("there are no frames to write", path=path, cure="give at least one frame")
            container.mux(stream.encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def film(scene: Scene, path: str | Path, n_native: int = 32, side: int = 384, fps: float = 8) -> Path:
    """Film a scene: native frame i of `n_native` shows the clock u = (i + 0.5) / n_native."""
    shots = (render(scene, (i + 0.5) / n_native, side)[0] for i in range(n_native))
    return write_mp4(path, shots, fps)


def save_scene_json(scene: Scene, path: str | Path) -> Path:
    """Write the script as JSON, so that a clip's truth can be read back without the seed's code."""
    atomic_write_text(path, json.dumps(asdict(scene)))
    return Path(path)


def load_scene_json(path: str | Path) -> Scene:
    """Read a script written by `save_scene_json`; raise `RecordError` where it is not one."""
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
        things = tuple(
            Thing(**{**t, "keys": tuple(Key(**k) for k in t["keys"]),
                     "recolour": tuple(t["recolour"]) if t["recolour"] else None})
            for t in raw["things"]
        )  # fmt: skip
        ground = raw["background"]
        background = Background(**{**ground, "first": tuple(ground["first"]), "second": tuple(ground["second"])})
        return Scene(raw["seed"], things, background, raw["blur"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RecordError(f"not a scene script ({problem})", path=path, cure="film the scene again") from problem
