"""Video in. In: a video file. Out: a `Clip`; only the frames that are kept are held in memory.

A first pass reads the packets' times without decoding, a second decodes all frames and converts the chosen.
"""

from __future__ import annotations

import re
import warnings
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ..errors import UnreadableInput
from .clip import Clip, bin_centres, room_for
from .endings import check_end
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
    the frame size changes on the way; `read_rest` reads what is left of such a file.
    """
    path, head = check_media(path)
    if head.startswith(b"GIF8"):  # a decoder would play what is there and say nothing
        check_end(path, whole=True)
    starts, duration, declared = scan(path, exact)
    indices = bin_centres(starts, duration, max_frames)
    frames, decoded, ascend = convert(path, indices)
    if not exact and not (decoded == len(starts) and ascend):  # packets that show nothing, several frames, or others
        return read_video(path, max_frames, exact=True)
    if decoded != len(starts):
        raise UnreadableInput("decodes to other frames each time", path=path, cure=AGAIN)
    return Clip(frames, starts[indices], indices, decoded, duration, str(path), declared)


def read_rest(path: Path, max_frames: int, refusal: UnreadableInput) -> Clip:
    """Read at most `max_frames` of the whole frames of a damaged video; the clip's `damage` says what is missing.

    Its `indices` count the lost frames too. Raises `refusal`, which `read_video` gave, where nothing is left, or where
    the packets have no times to tell which frames are missing.
    """
    with open_video(path) as (container, stream):
        times, tick, declared = packet_times(container, stream), float(stream.time_base), stream.frames
    left = np.unique([place for place, _ in numbered(path, damaged=True)]).astype(int)
    if not len(left):
        raise refusal
    starts = (np.array(times) - times[0]) * tick
    first, duration = starts[left[0]], float(starts[left[-1]] + np.diff(starts).mean() if len(starts) > 1 else tick)
    indices = left[bin_centres(starts[left] - first, duration - first, max_frames)]
    frames, _, _ = convert(path, indices, damaged=True)
    total = max(declared, len(times))
    lost = f"{len(left)} of {total} frames could be read, {1 - len(left) / total:.0%} missing"
    lost = lost if len(left) < total else refusal.reason
    warnings.warn(f"{path}: salvaged: {lost}", stacklevel=3)
    return Clip(frames, starts[indices], indices, len(times), duration, str(path), declared, lost)


def convert(path: Path, indices: np.ndarray, damaged: bool = False) -> tuple[np.ndarray, int, bool]:
    """Return the frames at `indices`, uint8 [n, H, W, 3], how many there are in all, and whether their times ascend."""
    frames, decoded, ascend, last = np.empty(0), 0, True, None
    where = {int(i): k for k, i in enumerate(indices)}
    for i, frame in numbered(path, damaged):
        decoded += 1
        ascend = ascend and not (None not in (last, frame.pts) and frame.pts <= last)
        last = frame.pts
        if i in where:
            rgb = upright_rgb(frame)
            if not frames.size:
                frames = room_for(len(where), rgb.shape, path)
                if (bits := max(component.bits for component in frame.format.components)) > 8:
                    hdr = "; HDR is not tone-mapped, so that colours look flat" * (frame.color_trc in HDR)
                    warnings.warn(f"{path}: {bits} bits a colour were reduced to 8 bits{hdr}", stacklevel=4)
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
    return stream


def codec_of(container: av.container.InputContainer) -> str:
    """Name the video codec as FFmpeg's own description of the file does; only its log tells it."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    found = re.search(r"Video: \w+( \([^)]*\))", container.dumps_format())
    av.logging.set_level(level)
    return found[1] if found else ""


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
            if not n_packets and any(data.data_type.startswith("encryption") for data in packet.iter_sidedata()):
                raise UnreadableInput("is encrypted (DRM)", path=path, cure="give a copy without copy protection")
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
        raise UnreadableInput(reason, path=path, cure=REST)


def damage(found: int, declared: int) -> str:
    """Say how much of a video is there; `declared` is 0 where the header does not say."""
    if not declared:
        return f"is damaged after {found} frames"
    return f"is cut short: {found} of {declared} frames, {1 - found / declared:.0%} missing"


def numbered(path: Path, damaged: bool = False) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode all frames, each with its place in the source: by its time where some of a `damaged` one are missing."""
    if not damaged:
        yield from enumerate(frames_of(path))
        return
    with open_video(path) as (container, stream):
        places = {pts: place for place, pts in enumerate(packet_times(container, stream))}
    yield from ((places[frame.pts], frame) for frame in frames_of(path, damaged=True) if frame.pts in places)


def packet_times(container: av.container.InputContainer, stream: av.VideoStream) -> list[int]:
    """Return the packets' times in ascending order; none where they do not tell frames apart."""
    times = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
    return [] if None in times or len(set(times)) < len(times) else sorted(times)


def frames_of(path: Path, damaged: bool = False) -> Iterator[av.VideoFrame]:
    """Decode a video from start to end; refuse sizes that cannot be marked, a size that changes, and damaged frames,
    which are passed over where the video is known to be `damaged`.
    """
    size, count = None, 0
    with open_video(path) as (container, stream):
        decode = decoder_of(stream)
        stream.thread_type = "NONE" if damaged else "AUTO"  # so that damage has the same effect every time
        for packet in container.demux(stream):
            try:
                frames = decode(packet)
            except av.FFmpegError:
                if not damaged:
                    raise
                continue
            for frame in frames:
                count, size = count + 1, size or (frame.width, frame.height)
                if frame.is_corrupt and not damaged:
                    raise UnreadableInput(f"is damaged at frame {count}", path=path, cure=REST)
                if (frame.width, frame.height) != size:
                    sizes = f"from {size[0]}x{size[1]} to {frame.width}x{frame.height} pixels"
                    reason = f"changes {sizes} at frame {count}"
                    raise UnreadableInput(reason, path=path, cure="re-encode it at one size")
                check_size(*size, path)
                if not frame.is_corrupt:
                    yield frame


def decoder_of(stream: av.VideoStream) -> Callable[[av.Packet], list[av.VideoFrame]]:
    """Return what decodes a stream's packets: its own decoder, or another where that would drop transparency."""
    name = SEE_THROUGH.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return av.Packet.decode
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = stream.codec_context.extradata
    return lambda packet: decoder.decode(packet if packet.size else None)


def upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert to uint8 [H, W, 3], transparency on white, turned as the file says."""
    if any(component.is_alpha for component in frame.format.components):
        rgb = np.asarray(on_white(Image.fromarray(frame.to_ndarray(format="rgba"))).convert("RGB"))
    else:
        rgb = frame.to_ndarray(format="rgb24")
    return np.rot90(rgb, round(frame.rotation / 90))
