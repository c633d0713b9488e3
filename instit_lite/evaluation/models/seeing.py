"""How frames go into each class of `transformers`. In: a model, its picture processor, frames. Out: `Seen`.

A model encodes with its own `get_image_features` or `get_video_features`, and placeholders are counted from what comes
out: no processor's arithmetic is repeated, and counts fit by construction. The stock video processors cannot be built
without torchvision, so clips are prepared here from the picture processor's settings, with Pillow. Every way takes the
model, the checkpoint's picture processor, frames uint8 [F, H, W, 3], and whether they are a clip.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from ...model.pixels import PixelFormat, frames_to_pixels
from ...model.visual import encode_frames, mm_outputs

QWEN_CLIP = {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28}  # pixels of a frame: its video processor's


class Seen(NamedTuple):
    """Encoded frames.

    `outputs`: for `forward(mm_encoder_outputs=...)`; `kind`: whose placeholder stands for them, "image" or "video";
    `counts`: visual tokens of each placeholder; `more`: what else the class wants; `around`: what stands around the
    tokens of a placeholder; `label`: what is written before it, with its number.
    """

    outputs: dict[str, Any]
    kind: str
    counts: list[int]
    more: dict[str, torch.Tensor] = {}
    around: str = "{}"
    label: str = ""


def prepared(model: PreTrainedModel, pictures: Any, frames: np.ndarray, **options: Any) -> dict[str, torch.Tensor]:
    """What the picture processor makes of frames, where the model is; pixels in the model's type."""
    found, weight = pictures(list(frames), return_tensors="pt", **options), model.get_input_embeddings().weight
    return {k: v.to(weight.device, weight.dtype if v.is_floating_point() else None) for k, v in found.items()}


def whole(model: PreTrainedModel, pictures: Any, frames: np.ndarray, clip: bool) -> Seen:
    """LLaVA-1.5 and ViP-LLaVA: each frame is a picture of 576 tokens."""
    out = model.get_image_features(pixel_values=prepared(model, pictures, frames)["pixel_values"])
    return Seen({"image": out}, "image", [len(tokens) for tokens in out.pooler_output])


def tiled(model: PreTrainedModel, pictures: Any, frames: np.ndarray, clip: bool) -> Seen:
    """LLaVA-NeXT, LLaVA-NeXT-Video, LLaVA-OneVision: a picture is cut into tiles, a clip is pooled by the class.

    LLaVA-NeXT knows no clips: their frames are pictures without tiles.
    """
    if clip and hasattr(model, "get_video_features"):
        side, crop = model.config.vision_config.image_size, getattr(pictures, "do_center_crop", False)
        form = PixelFormat(tuple(pictures.image_mean), tuple(pictures.image_std), "crop" if crop else "squash", True)
        weight = model.get_input_embeddings().weight
        pixels = frames_to_pixels(frames, side, form).to(weight.device, weight.dtype)
        out = model.get_video_features(pixel_values_videos=pixels[None])
        return Seen({"video": out}, "video", [out.pooler_output.shape[1]])
    given = prepared(model, pictures, frames)
    if clip:
        tokens = encode_frames(model, given["pixel_values"][:, 0], pooled=False)
        return Seen(mm_outputs(images=list(tokens)), "image", [len(each) for each in tokens])
    out = model.get_image_features(pixel_values=given["pixel_values"], image_sizes=given["image_sizes"])
    return Seen({"image": out}, "image", [len(tokens) for tokens in out.pooler_output])


def squares(model: PreTrainedModel, pictures: Any, frames: np.ndarray, clip: bool) -> Seen:
    """InternVL: a picture is cut into up to 12 squares and a thumbnail; a clip's frames are a square each, numbered."""
    given = prepared(model, pictures, frames, crop_to_patches=not clip)
    out = model.get_image_features(pixel_values=given["pixel_values"])
    counts = [n * out.pooler_output.shape[1] for n in given["num_patches"].tolist()]
    return Seen({"image": out}, "image", counts, around="<img>{}</img>", label="Frame{}: " if clip else "")


def patches(model: PreTrainedModel, pictures: Any, frames: np.ndarray, clip: bool) -> Seen:
    """Qwen2-VL: pictures at their own size; of a clip, two frames share each patch of the encoder."""
    if not clip:
        given = prepared(model, pictures, frames)
        out = model.get_image_features(given["pixel_values"], given["image_grid_thw"])
        counts = [len(tokens) for tokens in out.pooler_output]
        return Seen({"image": out}, "image", counts, {"image_grid_thw": given["image_grid_thw"]})
    even = np.concatenate([frames, frames[-1:]]) if len(frames) % 2 else frames
    given = prepared(model, pictures, even, size=QWEN_CLIP)
    pairs, (_, rows, columns), area = len(even) // 2, given["image_grid_thw"][0].tolist(), pictures.patch_size**2
    # [pair, frame of it, patch, channel, the same frame twice, pixels]: both frames come to lie beside each other
    pixels = given["pixel_values"].reshape(pairs, 2, rows * columns, 3, 2, area)[:, :, :, :, 0]
    pixels = pixels.permute(0, 2, 3, 1, 4).reshape(-1, 3 * 2 * area)
    grid = torch.tensor([[pairs, rows, columns]], device=pixels.device)
    out = model.get_video_features(pixels, grid)
    return Seen({"video": out}, "video", [len(t) for t in out.pooler_output], {"video_grid_thw": grid})


WAYS = {"llava": whole, "vipllava": whole, "llava_next": tiled, "llava_next_video": tiled, "llava_onevision": tiled,
        "internvl": squares, "qwen2_vl": patches}  # fmt: skip
