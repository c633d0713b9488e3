"""Pictures on the wire. In: a frame. Out: a data URI, as PNG with every pixel, and a hash to know it by."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import UnreadableInput


class Picture(NamedTuple):
    """An encoded frame: `uri` is what is posted, `name` a hash of it, by which requests and the ledger know it."""

    uri: str
    name: str


def encode_picture(frame: np.ndarray, quality: int | None = None) -> Picture:
    """Encode a frame, uint8 [H, W, 3] RGB, without loss, or as JPEG of a `quality` from 1 to 95.

    Raises `UnreadableInput` for any other array.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        reason = f"a frame is {frame.dtype} {list(frame.shape)}, not uint8 [H, W, 3]"
        raise UnreadableInput(reason, cure="give RGB frames")
    buffer = io.BytesIO()
    kind, options = ("jpeg", {"quality": quality}) if quality else ("png", {"compress_level": 1})
    Image.fromarray(frame).save(buffer, kind, **options)
    uri = b"data:image/%s;base64,%s" % (kind.encode(), base64.b64encode(buffer.getvalue()))
    return Picture(uri.decode("ascii"), "sha256:" + hashlib.sha256(uri).hexdigest())


def halve_picture(picture: Picture) -> Picture:
    """Return a picture at half its width and height, under its old name."""
    frame = decode_picture(picture.uri)
    size = max(1, frame.shape[1] // 2), max(1, frame.shape[0] // 2)
    small = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
    return picture._replace(uri=encode_picture(small).uri)


def decode_picture(uri: str) -> np.ndarray:
    """Decode a data URI to uint8 [H, W, 3]; raise `UnreadableInput` where it is not a picture."""
    head, _, payload = uri.partition(",")
    try:
        if not head.startswith("data:image/"):
            raise ValueError("only data URIs are read, no addresses")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(payload, validate=True))).convert("RGB"))
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError) as problem:
        raise UnreadableInput(f"a posted picture cannot be read ({problem})", cure="post a PNG") from None


def pixel_hash(frame: np.ndarray) -> str:
    """Return a hash of a frame's pixels and shape, uint8 [H, W, 3]."""
    return hashlib.sha256(repr(frame.shape).encode() + frame.tobytes()).hexdigest()
