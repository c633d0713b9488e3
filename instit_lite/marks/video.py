"""Video in. In: a video file. Out: a `Clip`; only the frames that are kept are held in memory.

A first pass reads the packets' times without decoding, a second decodes all frames and converts the chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ..errors import UnreadableInput
from .clip import Clip, bin_centres
from .files import check_media
from .images import on_white, refuse_tiny

AGAIN = "copy or download it again, or re-encode it"


def read_video(path: str | Path, max_frames: int = 32, exact: bool = False) -> Clip:
    """Read at most `max_frames` frames of a video, sampled uniformly in time, upright, uint8 RGB.

    `exact` takes the times from decoded frames, which is done anyway where the packets do not tell them.
    Raises `UnreadableInput` where there is no picture stream, the file is cut short, a frame is damaged, or
    the frame size changes on the way.
    """
    path, _ = check_media(path)
    starts, duration, declared = scan(path, exact)
    indices = bin_centres(starts, duration, max_frames)
    frames, decoded, wanted = [], 0, set(indices.tolist())
    for i, frame in enumerate(frames_of(path)):
        decoded = i + 1
        if i in wanted:
            frames.append(upright_rgb(frame))
    if decoded != len(starts) and not exact:  # packets that show nothing, or several frames
        return read_video(path, max_frames, exact=True)
    return Clip(np.stack(frames), starts[indices], indices, decoded, duration, str(path), declared)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file and its video stream; errors of the decoder become `UnreadableInput`."""
    reason = "is not a video, or its index or beginning is missing"
    try:
        with av.open(str(path.absolute()), metadata_errors="ignore") as container:
            reason = "is damaged"
            yield container, moving_pictures(path, container)
    except av.FFmpegError as problem:
        raise UnreadableInput(f"{reason} ({problem.strerror})", path=path, cure=AGAIN) from problem


def moving_pictures(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """Return the first video stream that is not a cover picture."""
    cover = av.stream.Disposition.attached_pic
    stream = next((s for s in container.streams.video if not s.disposition & cover), None)
    if stream is None:
        reason = "holds only sound" if container.streams.audio else "holds no moving pictures"
        raise UnreadableInput(reason, path=path, cure="give a video that plays")
    if stream.codec_context is None:
        raise UnreadableInput("uses an unknown codec", path=path, cure="re-encode it as H.264")
    stream.thread_type = "AUTO"
    return stream


def scan(path: Path, decode: bool = False) -> tuple[np.ndarray, float, int]:
    """Return when frames begin, float64 [N] seconds from 0; the seconds in all; the count declared, or 0.

    Packets tell it without decoding. Where they do not tell frames apart, all frames are decoded; without
    usable times even then, frames count as evenly spaced.
    """
    shown, n_packets = [], 0
    with open_video(path) as (container, stream):
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise UnreadableInput(damage(n_packets, stream.frames), path=path, cure=AGAIN)
            n_packets += packet.size > 0
            if decode:
                shown += [(frame.pts, frame.duration or 0) for frame in packet.decode()]
            elif packet.size and not packet.is_discard:
                shown.append((packet.pts, packet.duration or 0))
        timed = all(pts is not None for pts, _ in shown)
        pts, spans = np.array(shown if decode or not timed else sorted(shown)).reshape(-1, 2).T
        timed = timed and len(pts) and (np.diff(pts) > 0).all()
        if not timed and not decode:
            return scan(path, decode=True)
        if not len(pts):
            raise UnreadableInput("holds no frame that can be decoded", path=path, cure=AGAIN)
        usual = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        if not timed:
            warnings.warn(f"{path}: its frames carry no usable times; taken as evenly spaced", stacklevel=4)
            return np.arange(len(pts)) * usual, len(pts) * usual, stream.frames
        tick = float(stream.time_base)
        starts = (pts - pts[0]) * tick
        usual = np.median(np.diff(starts)) if len(pts) > 1 else usual
        duration = float(starts[-1] + (spans[-1] * tick or usual))
        refuse_short(path, container, stream, starts, duration, n_packets)
        return starts, duration, stream.frames


def refuse_short(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, starts: np.ndarray,
    duration: float, n_packets: int,
) -> None:  # fmt: skip
    """Refuse a file whose pictures end clearly before its header says they do.

    The header's count alone does not tell: a trimmed mp4 counts frames that it does not show.
    """
    promised = 0.0
    if stream.duration:
        promised = float(stream.duration * stream.time_base)
    elif container.duration and not container.streams.audio:
        promised = container.duration / av.time_base
    longest = np.diff(starts).max(initial=0) or duration
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


def frames_of(path: Path) -> Iterator[av.VideoFrame]:
    """Decode a video from start to end; refuse damaged and tiny frames, and a size that changes."""
    size = None
    with open_video(path) as (container, stream):
        for count, frame in enumerate(container.decode(stream), start=1):
            size = size or (frame.width, frame.height)
            if frame.is_corrupt:
                raise UnreadableInput(f"is damaged at frame {count}", path=path, cure=AGAIN)
            if (frame.width, frame.height) != size:
                sizes = f"from {size[0]}x{size[1]} to {frame.width}x{frame.height} pixels"
                reason = f"changes {sizes} at frame {count}"
                raise UnreadableInput(reason, path=path, cure="re-encode it at one size")
            refuse_tiny(*size, path)
            yield frame


def upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert to uint8 [H, W, 3], transparency on white, turned as the file says."""
    if any(component.is_alpha for component in frame.format.components):
        rgb = np.asarray(on_white(Image.fromarray(frame.to_ndarray(format="rgba"))).convert("RGB"))
    else:
        rgb = frame.to_ndarray(format="rgb24")
    return np.rot90(rgb, round(frame.rotation / 90))
