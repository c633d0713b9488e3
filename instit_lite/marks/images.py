"""Pictures in and out. In: an image file. Out: an upright RGB array, whole, or a typed error."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import UnreadableInput
from ..profiles import atomic_write_bytes
from .files import check_media

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM", "JPEG2000")
SUFFIXES = set(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .avif .ppm .pgm .jp2".split())
JPEG = b"\xff\xd8\xff"
SIGNATURES = (
    JPEG, b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6", b"\0\0\0\x0cjP  "
)
BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1"}
AGAIN = "copy or download it again, or save it anew as PNG or JPEG"
MIN_SIDE = 8  # pixels; below that there is nothing to mark


def is_image(head: bytes) -> bool:
    """True where a file that begins with `head` is a picture, whatever its name says."""
    if head[4:8] == b"ftyp":
        return head[8:12] in BRANDS | HEIC_BRANDS
    return head.startswith(SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture as uint8 [H, W, 3] RGB, upright.

    Transparency is laid on white and 16-bit grey is rescaled to 8 bits. Raises `UnreadableInput`
    where the file is missing, damaged, not a picture, smaller than 8 pixels a side or larger than
    179 megapixels.
    """
    picture = load_picture(path)
    try:
        return to_rgb(picture, path)
    except ValueError as problem:
        raise UnreadableInput(
            f"has colours of an unknown kind ({problem})",
            path=path,
            cure="save it as an 8-bit PNG or JPEG",
        ) from problem


def load_picture(path: str | Path) -> Image.Image:
    """Decode a picture whole and turn it upright, in the colour mode that the file has."""
    path, head = check_media(path)
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        raise UnreadableInput(
            "is a HEIC picture, which Pillow cannot read",
            path=path,
            cure="convert it to JPEG, or install pillow-heif and convert it there",
        )
    try:
        return decode(path)
    except UnreadableInput:
        raise
    except Image.UnidentifiedImageError as problem:
        raise UnreadableInput(
            "is not a picture, or its beginning is damaged", path=path, cure=AGAIN
        ) from problem
    except Image.DecompressionBombError as problem:  # Pillow's limit
        raise UnreadableInput(
            "has more than 179 megapixels", path=path, cure="save a smaller copy"
        ) from problem
    except Exception as problem:  # each of Pillow's formats raises errors of its own
        raise UnreadableInput(f"is damaged ({problem})", path=path, cure=AGAIN) from problem


def decode(path: Path) -> Image.Image:
    """Decode to the end and turn upright; Pillow's errors pass through."""
    with Image.open(path, formats=FORMATS) as picture:
        check_size(picture, path)
        if picture.format == "PNG":
            picture.verify()  # every checksum; the picture must then be opened anew
    with Image.open(path, formats=FORMATS) as picture:
        if getattr(picture, "is_animated", False) and picture.format != "MPO":
            warnings.warn(
                f"{path}: only the first of its {picture.n_frames} pictures is read", stacklevel=4
            )
        picture.load()
        try:
            return ImageOps.exif_transpose(picture)
        except Exception as problem:  # the pixels are whole, whatever EXIF holds
            warnings.warn(f"{path}: its EXIF is damaged and was ignored ({problem})", stacklevel=4)
            return picture.copy()


def check_size(picture: Image.Image, path: Path) -> None:
    """Refuse pictures that are too small to mark."""
    width, height = picture.size
    if min(width, height) < MIN_SIDE:
        raise UnreadableInput(
            f"is {width}x{height} pixels, and marks need {MIN_SIDE} a side",
            path=path,
            cure="give a larger picture",
        )


def to_rgb(picture: Image.Image, path: str | Path) -> np.ndarray:
    """Convert any colour mode to uint8 [H, W, 3]; floats, whose range is unknown, are refused."""
    if picture.mode == "F":
        raise UnreadableInput(
            "holds floating-point values of unknown range", path=path, cure="save it with 8 bits"
        )
    if picture.mode.startswith("I"):
        return rescale_grey(np.asarray(picture).astype(np.int64), path)
    if picture.has_transparency_data:
        picture = on_white(picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def rescale_grey(values: np.ndarray, path: str | Path) -> np.ndarray:
    """Bring 16-bit grey to 8 bits by its full range: pictures of one clip stay comparable."""
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableInput(
            "holds grey values beyond 16 bits", path=path, cure="save it with 8 bits"
        )
    warnings.warn(f"{path}: 16-bit grey was rescaled to 8 bits", stacklevel=4)
    return np.repeat(((values * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=2)


def on_white(picture: Image.Image) -> Image.Image:
    """Lay an RGBA picture on white, so that what transparency hides stays hidden."""
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def list_pictures(folder: str | Path) -> list[Path]:
    """Return a folder's pictures in natural order; other and hidden files are passed over."""
    try:
        files = [f for f in Path(folder).iterdir() if f.suffix.lower() in SUFFIXES]
    except OSError as problem:
        raise UnreadableInput(
            f"cannot be listed ({problem.strerror})", path=folder, cure="check its rights"
        ) from problem
    files = sorted((f for f in files if not f.name.startswith(".")), key=natural_key)
    if not files:
        raise UnreadableInput(
            "holds no pictures", path=folder, cure="give the folder that holds them"
        )
    return files


def natural_key(file: Path) -> list[tuple[int, int | str]]:
    """Sort key by which frame_2 comes before frame_10."""
    parts = re.split(r"([0-9]+)", file.stem)
    return [(0, int(part)) if i % 2 else (1, part) for i, part in enumerate(parts)]


def write_jpeg(path: str | Path, frame: np.ndarray, quality: int = 92) -> Path:
    """Write a frame, uint8 [H, W, 3] RGB, as the JPEG that the published frames are; whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality, subsampling=0)
    atomic_write_bytes(path, buffer.getvalue())
    return Path(path)
