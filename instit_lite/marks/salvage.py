"""What is left of a damaged video. In: a video that `read_video` refuses. Out: a `Clip` that says what is missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from ..errors import UnreadableInput
from .clip import Clip, bin_centres
from .video import convert, one_size, open_video


def read_rest(path: Path, max_frames: int, refusal: UnreadableInput) -> Clip:
    """Read at most `max_frames` of the frames that are whole, uniformly in time; `indices` count the lost ones too.

    Raises `refusal`, which `read_video` gave, where nothing is left, or where nothing tells which frames are missing.
    """
    with open_video(path) as (container, stream):
        times, tick, declared = times_in(container, stream), float(stream.time_base), stream.frames
    left = np.unique([place for place, _ in left_of(path)]).astype(int)
    if not len(left):
        raise refusal
    starts = (np.array(times) - times[0]) * tick
    duration = float(starts[left[-1]] + np.diff(starts).mean()) if len(starts) > 1 else tick
    first = starts[left[0]]
    indices = left[bin_centres(starts[left] - first, duration - first, max_frames)]
    frames, _, _ = convert(path, indices, left_of(path))
    total = max(declared, len(times))
    lost = f"{len(left)} of {total} frames could be read, {1 - len(left) / total:.0%} missing"
    damage = lost if len(left) < total else refusal.reason
    warnings.warn(f"{path}: salvaged: {damage}", stacklevel=3)
    return Clip(frames, starts[indices], indices, len(times), duration, str(path), declared, damage)


def times_in(container: av.container.InputContainer, stream: av.VideoStream) -> list[int]:
    """Return the packets' times in ascending order, which tell frames apart; none where they do not."""
    times = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
    return [] if None in times or len(set(times)) < len(times) else sorted(times)


def left_of(path: Path) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode what can be decoded; yield the frames without damage, each with its place in the source."""
    with open_video(path) as (container, stream):
        places = {pts: place for place, pts in enumerate(times_in(container, stream))}

    def decoded(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue

    with open_video(path) as (container, stream):
        stream.thread_type = "NONE"  # so that damage has the same effect every time
        for frame in one_size(path, decoded(container, stream)):
            if not frame.is_corrupt and frame.pts in places:
                yield places[frame.pts], frame
