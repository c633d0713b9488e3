"""Frames to pixel values. In: uint8 frames of any size. Out: normalised square tensors for the vision tower.

A frame is squashed to a square, never cropped: a centre crop would cut marks off (it loses 44 % of a 16:9 frame).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import UnreadableInput


def frames_to_pixels(
    frames: np.ndarray, side: int, mean: tuple[float, ...] = (0.5,) * 3, std: tuple[float, ...] = (0.5,) * 3
) -> torch.Tensor:
    """Resize (bicubic, anti-aliased) and normalise.

    `frames`: uint8 [F, H, W, 3] RGB. Returns float32 [F, 3, side, side].
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise UnreadableInput(
            f"frames are {frames.dtype} {frames.shape}", cure="give uint8 [F, H, W, 3] RGB, as `read_clip` does"
        )
    pixels = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
    if pixels.shape[-2:] != (side, side):
        pixels = F.interpolate(pixels, (side, side), mode="bicubic", antialias=True)
    scale = torch.tensor(std).view(1, 3, 1, 1) * 255
    return (pixels.float() - torch.tensor(mean).view(1, 3, 1, 1) * 255) / scale
