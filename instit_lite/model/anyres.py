"""AnyRes: one image as a whole view and up to four tiles. In: an image of any size. Out: views, visual tokens.

Paper section 4: a single image is cut into at most 4 sub-images beside the global view; image pairs and video frames
are encoded once each. Tiles are unpadded and every row of patches ends in the model's newline token, as in the
families' own processors: packing is the model's own `pack_image_features`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.image_utils import ChannelDimension

from .pixels import PixelFormat, normalise, resized
from .visual import encode_frames, inner_model, tokens_per_frame

MAX_TILES = 9  # above, LLaVA-OneVision shrinks the packed grid


def uses_anyres(model: nn.Module, kind: str, n_frames: int) -> bool:
    """Tell whether a sample is cut into tiles: single images of bases that were loaded with AnyRes."""
    return kind == "image" and n_frames == 1 and getattr(model.config, "anyres", False)


def grids_up_to(grids: list[list[int]], side: int, tiles: int) -> list[list[int]]:
    """Keep the (height, width) grids, in pixels, that have at most `tiles` tiles of `side` pixels."""
    return [list(grid) for grid in grids if (grid[0] // side) * (grid[1] // side) <= tiles]


def image_views(model: nn.Module, image: np.ndarray, form: PixelFormat) -> torch.Tensor:
    """Cut an image, uint8 [H, W, 3], into views: float32 [1 + tiles, 3, side, side], the whole image first.

    The image is scaled into the grid that keeps most of it, centred on black, and cut; nothing is cropped.
    """
    side = model.config.vision_config.image_size
    height, width = select_best_resolution(image.shape[:2], model.config.image_grid_pinpoints)
    tall, wide = get_patch_output_size(image, (height, width), ChannelDimension.LAST)
    top, left = (height - tall) // 2, (width - wide) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + tall, left : left + wide] = resized(image, tall, wide)
    tiles = canvas.reshape(height // side, side, width // side, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    return normalise(np.concatenate([resized(image, side, side)[None], tiles]), form)


def image_tokens(model: nn.Module, size: tuple[int, int]) -> int:
    """Visual tokens of an AnyRes image of `size` (height, width): whole view, unpadded tiles, a newline per row."""
    config, (height, width) = model.config, size
    side, whole = config.vision_config.image_size, tokens_per_frame(model, pooled=False)
    best = select_best_resolution(size, config.image_grid_pinpoints)
    rows, columns = (edge // side * (side // config.vision_config.patch_size) for edge in best)
    if width / height > columns / rows:
        rows -= (rows - int(round(height * (columns / width), 7))) // 2 * 2
    else:
        columns -= (columns - int(round(width * (rows / height), 7))) // 2 * 2
    return whole + rows * (columns + 1)


def encode_images(model: nn.Module, pixels: torch.Tensor, views: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Turn the views of all images, [V, 3, s, s], into one [n, d] per image.

    `views`: int [images, 3], each image's number of views, height and width; None: every view is an image.
    """
    tokens = encode_frames(model, pixels, pooled=False)
    if views is None:
        return list(tokens)
    counts = views[:, 0].tolist()
    sizes = [tuple(size) for size in views[:, 1:].tolist()]
    parts = tokens.split(counts)
    return [part[0] if len(part) == 1 else pack_views(model, part, size) for part, size in zip(parts, sizes)]


def pack_views(model: nn.Module, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Join an AnyRes image's views [1 + tiles, g * g, d] to [n, d]: the stock class's own packing."""
    inner, config = inner_model(model), model.config
    if config.model_type == "llava_onevision":
        own = {"vision_aspect_ratio": config.vision_aspect_ratio}
    else:
        own = {"vision_feature_select_strategy": config.vision_feature_select_strategy}
    packed, _ = inner.pack_image_features([tokens], [size], image_newline=inner.image_newline, **own)
    return packed[0]
