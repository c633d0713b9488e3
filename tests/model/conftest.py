"""Tiny checkpoints in the real layout, made once, and the bases loaded from them."""

from functools import cache

import numpy as np
import pytest
from tiny_checkpoints import make

from instit_lite.model.load import load_base

KINDS = {
    "llava": ("llava",),
    "next": ("llava_next",),
    "next-first": ("llava_next", "clip", "llama", False),  # newer tokenizer: a space before the first word only
    "next-video": ("llava_next_video",),
    "ov": ("llava_onevision", "siglip", "qwen2"),
    "ov-clip": ("llava_onevision", "clip", "llama"),
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The folder of a checkpoint of a kind."""

    @cache
    def folder(kind):
        *parts, legacy = (*KINDS[kind], True) if len(KINDS[kind]) < 4 else KINDS[kind]
        return make(tmp_path_factory.mktemp(kind), *parts, legacy=legacy)

    return folder


@pytest.fixture(scope="session")
def real(checkpoint):
    """The base of a kind, with options of `load_base`; shared, so never change it."""
    return cache(lambda kind, **options: load_base(str(checkpoint(kind)), **options))


@pytest.fixture(scope="session")
def picture():
    """A smooth picture with sharp spots, uint8 [H, W, 3]: resizing errors show on both."""

    def draw(height, width, seed=0):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width]
        waves = np.stack([np.sin(x / (7 + k) + y / (11 - k)) for k in range(3)], -1) * 100 + 128
        spots = rng.random((height, width, 1)) < 0.02
        return np.where(spots, rng.integers(0, 256, (height, width, 3)), waves).astype(np.uint8)

    return draw
