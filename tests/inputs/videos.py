"""Bad videos, cases 31 to 51, each a tiny file under a name of its own."""

import re
import struct
import sys
from functools import cache
from pathlib import Path

import av
import numpy as np
from cases import case
from pictures import cut, folder_of, saved, written

sys.path.append(str(Path(__file__).parents[1] / "marks"))
import footage  # noqa: E402
from footage import bar_frames as bars  # noqa: E402

TINY = {"preset": "ultrafast"}


def encode(path, frames, codec="libx264", pix_fmt="yuv420p", *, set_up=None, **how):
    """As `footage.encode`, H.264 in as few bytes and as fast as may be."""

    def tiny(stream):
        if codec == "libx264":
            stream.options = TINY
        if set_up:
            set_up(stream)

    return footage.encode(path, frames, codec, pix_fmt, set_up=tiny, **how)


def encode_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for _ in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def share_of(frame):
    """How far the red bar reaches, 0 to 1."""
    top = frame[4 : frame.shape[0] // 2 - 4].astype(int)
    return (top[..., 0] - top[..., 1] > 90).mean()


def grows(clip):
    return bool((np.diff([share_of(f) for f in clip.frames]) >= 0).all()) and share_of(clip.frames[-1]) > 0.85


def many(n):
    return lambda clip: len(clip.frames) == min(n, 32) and clip.n_decoded == n and grows(clip)


def short(path, n=40, **options):
    """An mp4 whose index comes first, so that a cut tail still opens."""
    return encode(path, bars(n), options={"movflags": "faststart"}, **options)


def noisy(path):
    data = bytearray(short(path, 60).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = np.random.default_rng(0).bytes(600)
    return written(path, data)


case(31, "zero bytes", "empty")(lambda d: written(d / "31.mp4", b""))
case(32, "mp4 without its index", "index")(lambda d: cut(encode(d / "32.mp4", bars(30)), 0.5))
case(33, "cut mp4", "of 60 frames, .* % missing|of 60 frames, .*%")(lambda d: cut(short(d / "33.mp4", 60), 0.4))
case(33, "cut mkv", "of 2.00 seconds")(lambda d: cut(encode(d / "33.mkv", bars(60)), 0.5))
case(34, "damage inside", "damaged")(lambda d: noisy(d / "34.mp4"))
case(35, "sound alone", "only sound")(lambda d: encode_sound(d / "35.m4a"))
SLOWER = [*range(0, 400, 10), *range(400, 4400, 200)]  # 40 quick frames, then 20 slow ones


def by_time(clip):
    return bool(np.allclose(clip.timestamps, np.array(SLOWER)[clip.indices] / 1000, atol=2e-3))


case(36, "variable frame rate", right=by_time)(lambda d: encode(d / "36.mkv", bars(60), times_ms=SLOWER))
case(37, "mkv that declares no frames", right=many(40))(lambda d: encode(d / "37.mkv", bars(40)))
case(37, "webm that declares no frames", right=many(40))(lambda d: encode(d / "37.webm", bars(40), "libvpx"))
case(38, "fewer frames than asked", warns="20 frames", right=many(20))(lambda d: short(d / "38.mp4", 20))
case(39, "one frame", right=lambda clip: len(clip.frames) == 1 and clip.duration > 0)(lambda d: short(d / "39.mp4", 1))


@case(40, "turned by 90 degrees", right=lambda clip: clip.frames.shape[1:3] == (64, 48))
def _(folder):
    return short(folder / "40.mp4", set_up=lambda stream: stream.set_display_rotation(90))


case(41, "odd sizes", right=lambda clip: clip.frames.shape[1:3] == (47, 65))(
    lambda d: encode(d / "41.mp4", bars(40, 47, 65), pix_fmt="yuv444p")
)
case(42, "10 bits", warns="8 bits", right=many(40))(lambda d: short(d / "42.mp4", pix_fmt="yuv420p10le"))


@case(42, "HDR", warns="HDR", right=many(40))
def _(folder):
    def pq(stream):
        stream.codec_context.color_trc = 16

    return short(folder / "42-hdr.mp4", pix_fmt="yuv420p10le", set_up=pq)


def half_there(n):
    for _ in range(n):
        frame = np.full((48, 64, 4), (200, 0, 0, 255), np.uint8)
        frame[24:, :, 3] = 0
        yield frame


def hides_nothing(clip):
    return bool((clip.frames[:, -4:] > 245).all() and (clip.frames[:, :4, :, 1:] < 20).all())


for name, codec, pix_fmt in (("43.webm", "libvpx-vp9", "yuva420p"), ("43.mov", "qtrle", "argb")):
    case(43, f"transparent {codec}", right=hides_nothing)(
        lambda d, a=(name, codec, pix_fmt): encode(d / a[0], half_there(40), *a[1:])
    )
case(44, "GIF", right=many(40))(lambda d: encode(d / "44.gif", bars(40), "gif", "rgb8"))
case(44, "cut GIF", "end mark")(lambda d: cut(encode(d / "44-cut.gif", bars(40), "gif", "rgb8"), 0.9))


@case(45, "size changes on the way", "from 64x48 to 96x64 pixels at frame 6")
def _(folder):
    first = encode(folder / "45.h264", bars(5))
    second = encode(folder / "45b.h264", bars(5, 64, 96))
    first.write_bytes(first.read_bytes() + second.read_bytes())
    second.unlink()
    return first


case(46, "no times", warns="evenly spaced", right=many(40))(lambda d: encode(d / "46.h264", bars(40)))


@case(46, "times run backwards", warns="evenly spaced", right=many(40))
def _(folder):
    path = encode(folder / "46.mkv", bars(40), "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    blocks = re.finditer(rb"(?s)\xa3[\x40-\x7f].\x81(..)\x80\xff\xd8", bytes(data))  # SimpleBlocks: track 1, time, JPEG
    for i, block in enumerate(blocks):
        struct.pack_into(">h", data, block.start(1), i * 7 % 40 * 33)
    return written(path, data)


@case(47, "24 hours", right=lambda clip: clip.duration > 86_000 and grows(clip))
def _(folder):
    return encode(folder / "47.mkv", bars(49), times_ms=range(0, 86_400_001, 1_800_000))


@cache
def huge():
    frame = np.full((2160, 3840, 3), 40, np.uint8)
    frame[:1080, :, 0] = 220
    return frame


@case(47, "4K at 60 frames a second", right=lambda clip: clip.frames.shape[1:] == (2160, 3840, 3))
def _(folder):
    return encode(folder / "47.mp4", (huge() for _ in range(4)), rate=60)


@case(48, "unknown codec", "codec.*zzzz")
def _(folder):
    return written(folder / "48.mp4", short(folder / "48.mp4").read_bytes().replace(b"avc1", b"zzzz"))


ENCRYPTED = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00112233445566778899aabbccddeeff",
             "encryption_kid": "112233445566778899aabbccddeeff00"}  # fmt: skip
case(49, "web address", "offline mode")(lambda d: "https://example.org/clip.mp4")
case(50, "encrypted", "encrypted")(lambda d: encode(d / "50.mp4", bars(40), options=ENCRYPTED))


def frames_in(path, names, sizes=()):
    folder_of(path)
    for i, name in enumerate(names):
        height, width = sizes[i] if sizes else (40, 60)
        saved(path / name, pixels=np.full((height, width, 3), (200, i, 0), np.uint8))
    return path


def in_order(clip):
    return clip.frames[:, 0, 0, 1].tolist() == list(range(len(clip.frames)))


case(51, "frame folder with gaps", warns="gaps", right=in_order)(
    lambda d: frames_in(d / "51-gaps", ["f_1.png", "f_2.png", "f_9.png"])
)
case(51, "frame folder of mixed sizes", "50x40.*60x40")(
    lambda d: frames_in(d / "51-mixed", ["1.png", "2.png"], [(40, 60), (40, 50)])
)
case(51, "frame folder out of order", right=in_order)(
    lambda d: frames_in(d / "51-order", [f"frame_{i}.png" for i in range(1, 13)])
)
