"""Video in. In: a video file. Out: a `Clip`; only the frames that are kept are held in memory.

A first pass reads the packets' times without decoding, a second decodes all frames and converts the chosen.
"""

from __future__ import annotations

import re
import warnings
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ..errors import UnreadableInput
from .clip import Clip, bin_centres, room_for, say_few
from .files import check_media
from .images import check_size, on_white

AGAIN = "copy or download it again, or re-encode it"
REST = f"{AGAIN}; or take what is left of it (--salvage)"
SEE_THROUGH = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders drop the transparency of these
HDR = (16, 18)  # transfer functions PQ and HLG
LOCAL = {"protocol_whitelist": "file", "pattern_type": "none"}  # no address in a file is followed; % is a letter


def read_video(path: str | Path, max_frames: int = 32, exact: bool = False) -> Clip:
    """Read at most `max_frames` frames of a video, sampled uniformly in time, upright, uint8 RGB.

    `exact` takes the times from decoded frames, which is done anyway where the packets do not tell them.
    Raises `UnreadableInput` where there is no picture stream, the file is cut short, a frame is damaged, or
    the frame size changes on the way; `salvage.read_rest` reads what is left of such a file.
    """
    path, _ = check_media(path)
    starts, duration, declared = scan(path, exact)
    indices = bin_centres(starts, duration, max_frames)
    frames, decoded, ascend = convert(path, indices, enumerate(frames_of(path)))
    if not exact and not (decoded == len(starts) and ascend):  # packets that show nothing, several frames, or others
        return read_video(path, max_frames, exact=True)
    if decoded != len(starts):
        raise UnreadableInput("decodes to other frames each time", path=path, cure=AGAIN)
    say_few(path, decoded, max_frames)
    return Clip(frames, starts[indices], indices, decoded, duration, str(path), declared)


def convert(
    path: Path, indices: np.ndarray, numbered: Iterable[tuple[int, av.VideoFrame]]
) -> tuple[np.ndarray, int, bool]:
    """Keep those at `indices`, uint8 [n, H, W, 3], of frames with their places; count all; say if their times ascend."""
    frames, decoded, ascend, last = np.empty(0), 0, True, None
    where = {int(i): k for k, i in enumerate(indices)}
    for i, frame in numbered:
        decoded += 1
        ascend = ascend and not (None not in (last, frame.pts) and frame.pts <= last)
        last = frame.pts
        if i in where:
            rgb = upright_rgb(frame)
            if not frames.size:
                frames = room_for(len(where), rgb.shape, path)
                say_deep(path, frame)
            frames[where[i]] = rgb
    return frames, decoded, ascend


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file and its video stream; errors of the decoder become `UnreadableInput`."""
    reason = "is not a video, or its index or beginning is missing"
    try:
        with av.open(str(path.absolute()), options=LOCAL, metadata_errors="ignore") as container:
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
        raise UnreadableInput(f"uses an unknown codec{codec_of(container)}", path=path, cure="re-encode it as H.264")
    stream.thread_type = "AUTO"
    return stream


def codec_of(container: av.container.InputContainer) -> str:
    """Name the video codec as FFmpeg's own description of the file does; only its log tells it."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        found = re.search(r"Video: \w+ (\([^)]*\))", container.dumps_format())
    finally:
        av.logging.set_level(level)
    return f" {found[1]}" if found else ""


def scan(path: Path, decode: bool = False) -> tuple[np.ndarray, float, int]:
    """Return when frames begin, float64 [N] seconds from 0; the seconds in all; the count declared, or 0.

    Packets tell it without decoding. Where they do not tell frames apart, all frames are decoded; without
    usable times even then, frames count as evenly spaced.
    """
    shown, timed, n_packets = array("q"), True, 0  # times and spans in turns: a day of video fits into memory
    with open_video(path) as (container, stream):
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise UnreadableInput(damage(n_packets, stream.frames), path=path, cure=REST)
            if not n_packets:
                refuse_locked(path, packet)
            n_packets += packet.size > 0
            for item in packet.decode() if decode else [packet] * bool(packet.size and not packet.is_discard):
                timed = timed and item.pts is not None
                shown.extend((item.pts or 0, item.duration or 0))
        pts, spans = np.array(shown, np.int64).reshape(-1, 2).T
        if not decode:  # packets come in the order of decoding
            pts, spans = (column[np.argsort(pts, kind="stable")] for column in (pts, spans))
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


def refuse_locked(path: Path, packet: av.Packet) -> None:
    """Refuse a video whose packets are encrypted."""
    if any(data.data_type.startswith("encryption") for data in packet.iter_sidedata()):
        raise UnreadableInput("is encrypted (DRM)", path=path, cure="give a copy without copy protection")


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
    with open_video(path) as (container, stream):
        decode = decoder_of(stream)
        decoded = (frame for packet in container.demux(stream) for frame in decode(packet))
        for count, frame in enumerate(one_size(path, decoded), start=1):
            if frame.is_corrupt:
                raise UnreadableInput(f"is damaged at frame {count}", path=path, cure=REST)
            yield frame


def one_size(path: Path, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Pass frames on; refuse sizes that cannot be marked, and a size that changes."""
    size = None
    for count, frame in enumerate(frames, start=1):
        size = size or (frame.width, frame.height)
        if (frame.width, frame.height) != size:
            sizes = f"from {size[0]}x{size[1]} to {frame.width}x{frame.height} pixels"
            raise UnreadableInput(f"changes {sizes} at frame {count}", path=path, cure="re-encode it at one size")
        check_size(*size, path)
        yield frame


def decoder_of(stream: av.VideoStream) -> Callable[[av.Packet], list[av.VideoFrame]]:
    """Return what decodes a stream's packets: its own decoder, or another where that would drop transparency."""
    name = SEE_THROUGH.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return av.Packet.decode
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = stream.codec_context.extradata
    return lambda packet: decoder.decode(packet if packet.size else None)


def say_deep(path: Path, frame: av.VideoFrame) -> None:
    """Warn where frames have more than 8 bits a colour."""
    if (bits := max(component.bits for component in frame.format.components)) > 8:
        hdr = "; HDR is not tone-mapped, so that colours look flat" if frame.color_trc in HDR else ""
        warnings.warn(f"{path}: {bits} bits a colour were reduced to 8 bits{hdr}", stacklevel=4)


def upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert to uint8 [H, W, 3], transparency on white, turned as the file says."""
    if any(component.is_alpha for component in frame.format.components):
        rgb = np.asarray(on_white(Image.fromarray(frame.to_ndarray(format="rgba"))).convert("RGB"))
    else:
        rgb = frame.to_ndarray(format="rgb24")
    return np.rot90(rgb, round(frame.rotation / 90))
