"""Video in. In: a video file. Out: a `Clip`; only the frames that are kept are held in memory.

A first pass reads the packets' times without decoding, a second decodes all frames and converts
the chosen ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ..errors import UnreadableInput
from .clip import Clip, bin_centres
from .files import check_media
from .images import MIN_SIDE, on_white

AGAIN = "copy or download it again, or re-encode it"


@dataclass(frozen=True)
class Timeline:
    """When frames begin, float64 [N] seconds; seconds in all; the count the header declares."""

    starts: np.ndarray
    duration: float
    declared: int


def read_video(path: str | Path, max_frames: int = 32) -> Clip:
    """Read at most `max_frames` frames of a video, sampled uniformly in time, upright, uint8 RGB.

    Raises `UnreadableInput` where there is no picture stream, the file is cut short, a frame is
    damaged, or the frame size changes on the way.
    """
    path, _ = check_media(path)
    timeline = scan_packets(path) or scan_frames(path)
    indices = bin_centres(timeline.starts, timeline.duration, max_frames)
    frames, decoded = decode_frames(path, indices)
    if decoded != len(timeline.starts):  # packets that show nothing, or several frames
        warnings.warn(
            f"{path}: {len(timeline.starts)} packets show {decoded} frames", stacklevel=3
        )
        timeline = scan_frames(path)
        indices = bin_centres(timeline.starts, timeline.duration, max_frames)
        frames, decoded = decode_frames(path, indices)
    starts, duration, declared = timeline.starts, timeline.duration, timeline.declared
    return Clip(frames, starts[indices], indices, decoded, duration, str(path), declared)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file and its video stream; errors of the decoder become `UnreadableInput`."""
    opened = False
    try:
        with av.open(str(path.absolute()), metadata_errors="ignore") as container:
            opened = True
            yield container, moving_pictures(path, container)
    except av.FFmpegError as problem:
        reason = "is damaged" if opened else "is not a video, or its index or beginning is missing"
        raise UnreadableInput(f"{reason} ({problem.strerror})", path=path, cure=AGAIN) from problem


def moving_pictures(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """Return the first video stream that is not a cover picture."""
    cover = av.stream.Disposition.attached_pic
    stream = next((s for s in container.streams.video if not s.disposition & cover), None)
    if stream is None:
        none = "holds no moving pictures, or its index is damaged"
        lack = "holds only sound" if container.streams.audio else none
        raise UnreadableInput(lack, path=path, cure="give a video that plays")
    if stream.codec_context is None:
        raise UnreadableInput(
            "uses a codec that FFmpeg does not know", path=path, cure="re-encode it as H.264"
        )
    stream.thread_type = "AUTO"
    return stream


def scan_packets(path: Path) -> Timeline | None:
    """Read all packets' times without decoding; None where they do not tell frames apart."""
    with open_video(path) as (container, stream):
        pts, spans, n_packets = [], [], 0
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise UnreadableInput(damage(n_packets, stream.frames), path=path, cure=AGAIN)
            n_packets += packet.size > 0
            if packet.size and not packet.is_discard:
                pts.append(packet.pts)
                spans.append(packet.duration or 0)
        if not pts or None in pts or len(set(pts)) < len(pts):
            return None
        order = np.argsort(pts)
        starts, duration = seconds(np.array(pts)[order], np.array(spans)[order], stream)
        refuse_short(path, container, stream, starts, duration, n_packets)
        return Timeline(starts, duration, stream.frames)


def scan_frames(path: Path) -> Timeline:
    """Decode once for the times alone; without usable times, frames count as evenly spaced."""
    with open_video(path) as (container, stream):
        times = [(frame.pts, frame.duration or 0) for frame in container.decode(stream)]
        if not times:
            raise UnreadableInput("holds no frame that can be decoded", path=path, cure=AGAIN)
        pts, spans = zip(*times)
        if None in pts or any(b <= a for a, b in zip(pts, pts[1:])):
            warnings.warn(
                f"{path}: its frames carry no usable times and are taken as evenly spaced",
                stacklevel=4,
            )
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            return Timeline(np.arange(len(pts)) / rate, len(pts) / rate, stream.frames)
        starts, duration = seconds(np.array(pts), np.array(spans), stream)
        refuse_short(path, container, stream, starts, duration, len(pts))
        return Timeline(starts, duration, stream.frames)


def seconds(
    pts: np.ndarray, spans: np.ndarray, stream: av.VideoStream
) -> tuple[np.ndarray, float]:
    """Turn ticks into the seconds at which frames begin, from 0, and the seconds in all."""
    tick = float(stream.time_base)
    usual = np.median(np.diff(pts)) * tick if len(pts) > 1 else 1 / float(
        stream.average_rate or 25
    )
    starts = (pts - pts[0]) * tick
    return starts, float(starts[-1] + (spans[-1] * tick or usual))


def refuse_short(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    starts: np.ndarray,
    duration: float,
    n_packets: int,
) -> None:
    """Refuse a file whose pictures end clearly before its header says they do.

    The header's count alone does not tell: a trimmed mp4 counts frames that it does not show.
    """
    if stream.duration:
        promised = float(stream.duration * stream.time_base)
    elif container.duration and not container.streams.audio:
        promised = container.duration / av.time_base
    else:
        return
    longest = np.diff(starts).max() if len(starts) > 1 else duration
    missing = promised - duration
    if n_packets < (stream.frames or np.inf) and missing > max(1.5 * longest, 0.01 * promised):
        reason = f"is cut short: {duration:.2f} of {promised:.2f} seconds"
        reason = damage(n_packets, stream.frames) if stream.frames else reason
        raise UnreadableInput(reason, path=path, cure=AGAIN)


def damage(found: int, declared: int) -> str:
    """Say how much of a video is there; `declared` is 0 where the header does not say."""
    if not declared:
        return f"is damaged after {found} frames"
    return f"is cut short: {found} of {declared} frames, {1 - found / declared:.0%} missing"


def decode_frames(path: Path, wanted: np.ndarray) -> tuple[np.ndarray, int]:
    """Decode everything, keep the frames `wanted`, int [T] ascending.

    Returns uint8 [T, H, W, 3], and the number of frames that the file really shows.
    """
    kept, frames, size, count = 0, None, None, 0
    with open_video(path) as (container, stream):
        for frame in container.decode(stream):
            size = size or (frame.width, frame.height)
            check_frame(path, frame, size, count)
            if kept < len(wanted) and count == wanted[kept]:
                rgb = upright_rgb(frame)
                if frames is None:
                    frames = np.empty((len(wanted), *rgb.shape), np.uint8)
                frames[kept] = rgb
                kept += 1
            count += 1
    if not count:
        raise UnreadableInput("holds no frame that can be decoded", path=path, cure=AGAIN)
    return frames, count


def check_frame(path: Path, frame: av.VideoFrame, size: tuple[int, int], index: int) -> None:
    """Refuse a frame that is damaged, tiny, or of another size than the first."""
    if frame.is_corrupt:
        raise UnreadableInput(f"is damaged at frame {index + 1}", path=path, cure=AGAIN)
    if (frame.width, frame.height) != size:
        sizes = f"from {size[0]}x{size[1]} to {frame.width}x{frame.height} pixels"
        raise UnreadableInput(
            f"changes {sizes} at frame {index + 1}", path=path, cure="re-encode it at one size"
        )
    if min(size) < MIN_SIDE:
        raise UnreadableInput(
            f"is {size[0]}x{size[1]} pixels, and marks need {MIN_SIDE} a side",
            path=path,
            cure="give a larger video",
        )


def upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert to uint8 [H, W, 3], transparency on white, turned as the file says."""
    if any(component.is_alpha for component in frame.format.components):
        rgb = np.asarray(on_white(Image.fromarray(frame.to_ndarray(format="rgba"))).convert("RGB"))
    else:
        rgb = frame.to_ndarray(format="rgb24")
    return np.rot90(rgb, round(frame.rotation / 90))
