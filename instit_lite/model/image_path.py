"""Video frames through a model that knows only images. In: LLaVA-1.5 or LLaVA-NeXT. Out: the same, taking both.

These classes have one kind of placeholder. A second id that the tokenizer never gives stands for video tokens in all
our prompts; at the model's door both become image placeholders, and their features one stream in reading order.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from .visual import inner_model, mm_outputs


def open_image_path(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a model without video placeholders `config.video_token_id` and a hook that translates it, in place."""
    model.config.video_token_id = max(tokenizer.get_vocab().values()) + 1
    inner_model(model).register_forward_pre_hook(merge_streams, with_kwargs=True)


def merge_streams(inner: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Replace video placeholders by image ones, and join image and video features in the order of placeholders."""
    ids = args[0] if args else kwargs.get("input_ids")
    if ids is None:
        return args, kwargs
    image, video = inner.config.image_token_id, inner.config.video_token_id
    given = kwargs.get("mm_encoder_outputs") or {}
    if given.get("video") is not None:
        of_video = ids[(ids == image) | (ids == video)] == video  # [placeholders]
        features = {True: given["video"].pooler_output.flatten(0, -2)}
        if given.get("image") is not None:
            features[False] = torch.cat(list(given["image"].pooler_output))
        joined = features[True].new_empty(len(of_video), features[True].shape[-1])
        for kind in (True, False):
            places, found = of_video == kind, features.get(kind, joined[:0])
            if int(places.sum()) != len(found):
                name = "video" if kind else "image"
                raise ValueError(f"{int(places.sum())} {name} placeholders for {len(found)} {name} features")
            joined[places] = found
        kwargs = kwargs | {"mm_encoder_outputs": mm_outputs(images=[joined])}
    ids = ids.masked_fill(ids == video, image)
    return ((ids, *args[1:]), kwargs) if args else (args, kwargs | {"input_ids": ids})
