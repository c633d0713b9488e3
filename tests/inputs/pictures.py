"""Bad pictures, cases 1 to 30, each a tiny file under a name of its own."""

import os
import socket
import struct
import zlib

import numpy as np
from cases import case
from PIL import Image

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 255, (40, 60, 3), dtype=np.uint8)
RED = np.full((40, 60, 3), (200, 0, 0), np.uint8)


def saved(path, mode="RGB", pixels=PIXELS, **options):
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def written(path, data):
    path.write_bytes(data)
    return path


def resized_header(path, width, height):
    """Claim another size in a PNG's header, with a right checksum."""
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return written(path, data)


def is_red(clip):
    return bool((np.abs(clip.frames[0].astype(int) - (200, 0, 0)) < 12).all())


def is_gradient(clip):
    return len(np.unique(clip.frames)) > 200


case(1, "zero bytes", "empty")(lambda d: written(d / "01.jpg", b""))
case(2, "cut JPEG", "damaged")(lambda d: cut(saved(d / "02.jpg"), 0.7))
case(3, "cut PNG", "damaged")(lambda d: cut(saved(d / "03.png"), 0.7))


@case(4, "PNG with a wrong checksum", "damaged")
def _(folder):
    data = bytearray(saved(folder / "04.png").read_bytes())
    data[-20] ^= 1
    return written(folder / "04.png", data)


case(5, "HTML named jpg", "HTML")(lambda d: written(d / "05.jpg", b"<!DOCTYPE html><html>404</html>"))
case(5, "text named jpg", "text")(lambda d: written(d / "05-text.jpg", "Grüße".encode()))
case(6, "git-LFS pointer", "git-LFS.*git lfs pull")(
    lambda d: written(d / "06.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
)
case(7, "PNG named jpg", right=is_red)(lambda d: saved(d / "07.jpg", pixels=RED, format="PNG"))


@case(8, "16-bit grey", warns="16-bit", right=is_gradient)
def _(folder):
    Image.fromarray(np.linspace(0, 65535, 2400).astype(np.uint16).reshape(40, 60)).save(folder / "08.png")
    return folder / "08.png"


@case(9, "float TIFF with NaN", "floating-point")
def _(folder):
    Image.fromarray(np.full((20, 20), np.nan, np.float32)).save(folder / "09.tif")
    return folder / "09.tif"


def see_through(path, mode):
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[:20], rgba[20:] = (9, 9, 9, 255), (9, 9, 9, 0)
    Image.fromarray(rgba).convert(mode).save(path)
    return path


def hides_nothing(clip):
    return clip.frames[0, 0, 0].tolist() == [9, 9, 9] and clip.frames[0, -1, -1].tolist() == [255, 255, 255]


case(10, "RGBA", right=hides_nothing)(lambda d: see_through(d / "10.png", "RGBA"))
case(10, "grey with alpha", right=hides_nothing)(lambda d: see_through(d / "10-la.png", "LA"))
for mode in ("P", "1", "L"):
    case(11, f"mode {mode}")(lambda d, mode=mode: saved(d / f"11-{mode}.png", mode))
case(12, "CMYK", right=is_red)(lambda d: saved(d / "12.jpg", "CMYK", RED, quality=95))
case(12, "LAB TIFF")(lambda d: saved(d / "12.tif", "LAB"))


@case(13, "EXIF orientation", right=lambda clip: clip.frames.shape == (1, 60, 40, 3))
def _(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(folder / "13.jpg", exif=exif)


case(14, "invalid EXIF")(lambda d: saved(d / "14.jpg", exif=b"Exif\0\0not a TIFF at all"))
case(14, "EXIF cut short")(lambda d: saved(d / "14-cut.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"))
case(14, "unknown orientation")(
    lambda d: saved(d / "14-99.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x63\0\0\0\0\0\0\0")
)
case(15, "more than 89 megapixels", "megapixels.*INSTIT_MAX_MEGAPIXELS")(
    lambda d: resized_header(saved(d / "15.png"), 10_000, 9_000)
)
case(16, "more than 179 megapixels", "megapixels")(lambda d: resized_header(saved(d / "16.png"), 20_000, 9_500))
case(17, "one pixel", "1x1")(lambda d: saved(d / "17.png", pixels=RED[:1, :1]))
case(18, "20000 x 1", "20000x1 ")(lambda d: saved(d / "18.png", "1", np.zeros((1, 20_000, 3), np.uint8)))
case(18, "20000 x 16", "20000x16.*times as long")(
    lambda d: saved(d / "18-16.png", "1", np.zeros((16, 20_000, 3), np.uint8))
)


def animated(path, **options):
    pictures = [Image.fromarray(RED), Image.fromarray(PIXELS)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


case(19, "animated WebP", warns="first of its pictures", right=is_red)(lambda d: animated(d / "19.webp", lossless=True))
case(19, "animated PNG", warns="first of its pictures", right=is_red)(lambda d: animated(d / "19.png"))
case(20, "TIFF of two pages", warns="first of its pictures", right=is_red)(lambda d: animated(d / "20.tif"))
case(21, "AVIF", right=is_red)(lambda d: saved(d / "21.avif", pixels=RED, quality=95))
case(21, "HEIC", "HEIC.*pillow-heif")(
    lambda d: written(d / "21.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
)
case(22, "SVG", "SVG")(
    lambda d: written(d / "22.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>')
)
case(22, "PSD", "Photoshop")(lambda d: written(d / "22.psd", b"8BPS\0\1" + bytes(64)))
case(22, "camera RAW (CR2)", "camera RAW")(lambda d: written(d / "22.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(64)))
case(22, "camera RAW (DNG)", "camera RAW")(
    lambda d: saved(d / "22.dng", format="TIFF", tiffinfo={50706: b"\1\4\0\0"})
)
for suffix in ("jpg", "png", "gif", "webp", "bmp"):

    @case(23, f"{suffix} with trailing junk", warns="behind its end")
    def _(folder, suffix=suffix):
        path = saved(folder / f"23.{suffix}")
        return written(path, path.read_bytes() + b"\0junk\0" * 9)


@case(23, "PNG with another behind it", warns="behind its end", right=is_red)
def _(folder):
    path = saved(folder / "23-two.png", pixels=RED)
    return written(path, path.read_bytes() * 2)


@case(24, "pipe", "pipe, socket or device")
def _(folder):
    os.mkfifo(folder / "24-pipe.jpg")
    return folder / "24-pipe.jpg"


@case(24, "socket", "pipe, socket or device")
def _(folder):
    here = os.getcwd()
    os.chdir(folder)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("24.sock.jpg")
    os.chdir(here)
    return folder / "24.sock.jpg"


def link(path, target):
    path.symlink_to(target)
    return path


def folder_of(path, **files):
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


case(24, "device", "pipe, socket or device")(lambda d: link(d / "24-zero.png", "/dev/zero"))
case(25, "folder named jpg", "no pictures")(lambda d: folder_of(d / "25.jpg"))
case(26, "dangling link", "leads nowhere")(lambda d: link(d / "26.jpg", "gone.jpg"))
case(26, "looping link", "cannot be reached")(lambda d: link(d / "26-loop.jpg", "26-loop.jpg"))
for name in ("-dash.png", "two words\n.png", "Grüße 😀.png", "%03d.png", "a'b\"c;$(x).png"):
    case(29, f"name {name!r}")(lambda d, name=name: saved(d / name))
case(30, "name of 300 bytes", "cannot be reached")(lambda d: d / ("x" * 300 + ".png"))
