"""Frames to pixel values. In: uint8 frames of any size. Out: normalised square tensors for the vision tower.

By default a frame is squashed to a square, not cropped: CLIP's centre crop loses 44 % of a 16:9 frame with its marks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..errors import ModelError, UnreadableInput

FITS = ("squash", "crop")
FILE, NESTED = "preprocessor_config.json", "processor_config.json"


@dataclass(frozen=True)
class PixelFormat:
    """How a checkpoint wants its pixels; the defaults are the micro base's.

    `mean`, `std`: of RGB in 0 to 1. `fit`: "squash" keeps the whole frame, "crop" is CLIP's centre crop. `pillow`:
    resize as the families' own processors do, to the bit; torch's bicubic takes half the time and is up to two
    grey levels off.
    """

    mean: tuple[float, ...] = (0.5,) * 3
    std: tuple[float, ...] = (0.5,) * 3
    fit: str = "squash"
    pillow: bool = False


def read_pixel_format(folder: str | Path, side: int, fit: str = "squash") -> PixelFormat:
    """Read mean and std from a checkpoint's `preprocessor_config.json` (or a newer `processor_config.json`).

    Raises `ModelError` where there is none, or where it is made for another side than the tower's.
    """
    folder = Path(folder)
    try:
        if (folder / FILE).exists():
            found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        else:
            found = json.loads((folder / NESTED).read_text(encoding="utf-8"))["image_processor"]
        mean, std, size = found["image_mean"], found["image_std"], found.get("crop_size") or found["size"]
    except (OSError, ValueError, KeyError) as problem:
        reason = f"mean and size of its pixels are unknown: no usable {FILE} ({problem!r})"
        raise ModelError(reason, path=folder, cure="copy that file from the checkpoint's page") from problem
    sides = set(size.values()) if isinstance(size, dict) else {size}
    if sides != {side}:
        reason = f"{FILE} is made for {sorted(sides)} pixels a side, the vision tower for {side}"
        raise ModelError(reason, path=folder, cure="take config and processor files of one checkpoint")
    return PixelFormat(tuple(mean), tuple(std), fit, pillow=True)


def frames_to_pixels(frames: np.ndarray, side: int, form: PixelFormat = PixelFormat()) -> torch.Tensor:
    """Resize (bicubic, anti-aliased) and normalise.

    `frames`: uint8 [F, H, W, 3] RGB. Returns float32 [F, 3, side, side].
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise UnreadableInput(
            f"frames are {frames.dtype} {frames.shape}", cure="give uint8 [F, H, W, 3] RGB, as `read_clip` does"
        )
    if form.pillow:
        return normalise(np.stack([square(frame, side, form.fit) for frame in frames]), form)
    pixels = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
    if pixels.shape[-2:] != (side, side):
        pixels = F.interpolate(pixels, (side, side), mode="bicubic", antialias=True)
    return scaled(pixels, form)


def normalise(frames: np.ndarray, form: PixelFormat) -> torch.Tensor:
    """Turn uint8 [F, H, W, 3] into float32 [F, 3, H, W] with the format's mean and std."""
    return scaled(torch.from_numpy(frames).permute(0, 3, 1, 2), form).contiguous()


def scaled(pixels: torch.Tensor, form: PixelFormat) -> torch.Tensor:
    scale = torch.tensor(form.std).view(1, 3, 1, 1) * 255
    return (pixels.float() - torch.tensor(form.mean).view(1, 3, 1, 1) * 255) / scale


def as_picture(pixels: torch.Tensor, form: PixelFormat) -> np.ndarray:
    """Undo the normalisation of one frame's pixel values [3, H, W]: [H, W, 3] in 0 to 1, to look at."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (form.mean, form.std))
    return (pixels * std + mean).clamp(0, 1).permute(1, 2, 0).numpy()


def resized(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 [H, W, 3] with Pillow's bicubic filter."""
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def square(frame: np.ndarray, side: int, fit: str) -> np.ndarray:
    """Make a frame square: squashed, or its short edge scaled to `side` and the middle cut out."""
    if fit == "squash":
        return resized(frame, side, side)
    height, width = frame.shape[:2]
    height, width = (int(side * edge / min(height, width)) for edge in (height, width))
    top, left = (height - side) // 2, (width - side) // 2
    return resized(frame, height, width)[top : top + side, left : left + side]
