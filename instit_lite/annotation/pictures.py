"""Pictures on the wire. In: a frame. Out: a PNG data URI that keeps every pixel, and hashes to know it by."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import UnreadableInput

PREFIX = "data:image/png;base64,"


@dataclass(frozen=True)
class Picture:
    """An encoded frame: `uri` is what is posted, `digest` the SHA-256 of the PNG's bytes."""

    uri: str
    digest: str


def encode_picture(frame: np.ndarray | Picture) -> Picture:
    """Encode a frame, uint8 [H, W, 3] RGB, without loss; an encoded one is returned as it is."""
    if isinstance(frame, Picture):
        return frame
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise UnreadableInput(
            f"a frame is {frame.dtype} {list(frame.shape)}, not uint8 [H, W, 3]", cure="give RGB frames"
        )
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=1)
    png = buffer.getvalue()
    return Picture(PREFIX + base64.b64encode(png).decode("ascii"), hashlib.sha256(png).hexdigest())


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
    mark = hashlib.sha256(repr(frame.shape).encode())
    mark.update(np.ascontiguousarray(frame))
    return mark.hexdigest()
