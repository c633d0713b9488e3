"""Footage for the tests, made on the spot."""

from fractions import Fraction

import av
import numpy as np


def bar_frames(n, height=48, width=64):
    """Frames whose red bar grows with time, on noise that keeps the file from being tiny."""
    rng = np.random.default_rng(0)
    for i in range(n):
        frame = np.full((height, width, 3), 40, np.uint8)
        frame[height // 2 :] = rng.integers(0, 255, (height - height // 2, width, 3))
        frame[: height // 2, : max(1, round(width * (i + 1) / n))] = (220, 30, 30)
        yield frame


def encode(path, frames, codec="libx264", pix_fmt="yuv420p", times_ms=None, rate=30, options=None, set_up=None):
    """Write a video; `times_ms` gives each frame its own time, `set_up` changes the stream before its first frame."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        if set_up:
            set_up(stream)
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, picture in enumerate(frames):
            if i == 0:
                stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], pix_fmt
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def encode_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for _ in range(8):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
