"""Pictures in and out. In: an image file. Out: an upright RGB array, whole, or a typed error."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import UnreadableInput
from ..profiles import atomic_write_bytes
from .endings import check_end
from .files import check_media

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000")
SUFFIXES = set(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .avif .jp2".split())
JPEG = b"\xff\xd8\xff"
SIGNATURES = (JPEG, b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
BRANDS = (b"WEBP", b"avif", b"avis", b"heic", b"heix", b"mif1")  # in bytes 8 to 11
AGAIN = "copy or download it again, or save it anew as PNG or JPEG"
EXIF_ORIENTATION = 0x0112
RAW_TAG, KIND_TAG = 50706, 254  # of a TIFF: the DNG version; 1 says that a picture is a preview of another
MIN_SIDE = 8  # pixels; below that there is nothing to mark
MOST_TIMES = 50  # the longer side by the shorter
LIMIT_NAME, USUAL, MOST = "INSTIT_MAX_MEGAPIXELS", 89, 178  # Pillow warns from 89 and refuses from 179


def is_image(head: bytes) -> bool:
    """True where a file that begins with `head` is a picture, whatever its name says."""
    return head.startswith(SIGNATURES) or head[8:12] in BRANDS


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture as uint8 [H, W, 3] RGB, upright.

    Transparency is laid on white and 16-bit grey is rescaled to 8 bits by its full range, so that pictures
    of one clip stay comparable. Raises `UnreadableInput` where the file is missing, damaged, not a picture,
    smaller than 8 pixels a side or larger than 179 megapixels.
    """
    picture = load_picture(path)
    if picture.mode[0] in "FI":  # floating-point or deep grey
        values = np.asarray(picture).astype(float)
        if picture.mode == "F" or values.min() < 0 or values.max() > 65535:
            reason = "holds floating-point values, or grey beyond 16 bits"
            raise UnreadableInput(reason, path=path, cure="save it with 8 bits")
        warnings.warn(f"{path}: 16-bit grey was rescaled to 8 bits", stacklevel=3)
        return np.repeat((values / 257).round().astype(np.uint8)[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = on_white(picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def load_picture(path: str | Path) -> Image.Image:
    """Decode a picture whole and turn it upright, in the colour mode that the file has."""
    path, _ = check_media(path)
    try:
        with Image.open(path, formats=FORMATS) as picture:
            check_size(*picture.size, path)
            tags = getattr(picture, "tag_v2", {})
            if RAW_TAG in tags or tags.get(KIND_TAG) == 1:
                raise UnreadableInput("is a camera RAW file, or begins with a preview", path=path, cure="develop it first")
            if picture.format == "PNG":
                picture.verify()  # every checksum; the picture must then be opened anew
        with Image.open(path, formats=FORMATS) as picture:
            upright = ImageOps.exif_transpose(picture)
            if picture.format != "MPO":
                if getattr(picture, "is_animated", False):
                    warnings.warn(f"{path}: only the first of its pictures is read", stacklevel=3)
                check_end(path)
    except UnreadableInput:
        raise
    except Image.UnidentifiedImageError as problem:
        reason = "is not a picture that Pillow reads, or its beginning is damaged"
        raise UnreadableInput(reason, path=path, cure=AGAIN) from problem
    except Image.DecompressionBombError as problem:  # Pillow's limit
        raise UnreadableInput("has more than 179 megapixels", path=path, cure="save a smaller copy") from problem
    except Exception as problem:  # each of Pillow's formats raises errors of its own
        raise UnreadableInput(f"is damaged ({problem})", path=path, cure=AGAIN) from problem
    return upright


def picture_size(path: str | Path) -> tuple[int, int]:
    """Return the (height, width) of a picture, upright, from its header alone; `UnreadableInput` where it has none."""
    path, _ = check_media(path)
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            turned = picture.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception as problem:  # as in `load_picture`
        raise UnreadableInput(f"is no picture, or damaged ({problem})", path=path, cure=AGAIN) from problem
    return (width, height) if turned else (height, width)


def check_size(width: int, height: int, path: str | Path) -> None:
    """Refuse pictures and videos that are too small, too long or too large to mark.

    The largest has 89 megapixels; `$INSTIT_MAX_MEGAPIXELS` raises that, to 178 at most.
    """
    told, reason, cure = os.environ.get(LIMIT_NAME, ""), "", "give another copy"
    limit = min(int(told), MOST) if told.isdecimal() else USUAL
    if min(width, height) < MIN_SIDE:
        reason = f"and marks need {MIN_SIDE} a side"
    elif max(width, height) > MOST_TIMES * min(width, height):
        reason = f"more than {MOST_TIMES} times as long as wide"
    elif width * height > limit * 1e6:
        reason, cure = f"more than {limit} megapixels", f"save a smaller copy, or set {LIMIT_NAME}, to {MOST} at most"
    if reason:
        raise UnreadableInput(f"is {width}x{height} pixels, {reason}", path=path, cure=cure)


def on_white(picture: Image.Image) -> Image.Image:
    """Lay an RGBA picture on white, so that what transparency hides stays hidden."""
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def list_pictures(folder: str | Path) -> list[Path]:
    """Return a folder's pictures in natural order; what else it holds is passed over with a warning."""
    seen = entries(folder)
    files = [f for f in seen if f.suffix.lower() in SUFFIXES]
    if not files:
        raise UnreadableInput("holds no pictures", path=folder, cure="give the folder that holds them")
    if len(files) < len(seen):
        others = ", ".join(repr(f.name) for f in seen if f not in files)[:60]
        warnings.warn(f"{folder}: passed over, as no pictures by their names: {others}", stacklevel=3)
    return files


def entries(folder: str | Path) -> list[Path]:
    """Return what is in a folder, in natural order, but for hidden files."""
    try:
        return sorted((f for f in Path(folder).iterdir() if f.name[0] != "."), key=lambda f: (natural_key(f), f.name))
    except OSError as problem:
        raise UnreadableInput(f"cannot be listed ({problem.strerror})", path=folder, cure="check rights") from problem


def natural_key(file: Path) -> list[str | int]:
    """Sort key by which frame_2 comes before frame_10: text and numbers take turns."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", file.stem))]


def write_jpeg(path: str | Path, frame: np.ndarray, quality: int = 92) -> Path:
    """Write a frame, uint8 [H, W, 3] RGB, as the JPEG that the published frames are; whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality, subsampling=0)
    atomic_write_bytes(path, buffer.getvalue())
    return Path(path)
