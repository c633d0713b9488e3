"""Footage in. In: a video, a picture or a folder of frames. Out: a `Clip`, sampled and upright.

Whatever cannot be read whole is refused with `UnreadableInput`; nothing is shortened without
saying so.
"""

from __future__ import annotations

import re
import stat
import warnings
from pathlib import Path

import numpy as np

from ..errors import UnreadableInput
from .clip import Clip, bin_centres
from .files import check_media, check_path
from .images import is_image, list_pictures, read_image
from .video import read_video

__all__ = ["Clip", "read_clip", "read_image"]


def read_clip(path: str | Path, max_frames: int = 32) -> Clip:
    """Read a video, a picture (a clip of one frame) or a folder of pictures.

    A file's kind is told by its content, not by its name. Frames are sampled uniformly in time at
    bin centres (all of them where there are no more than `max_frames`); INST-IT takes at most 32.
    Raises `UnreadableInput` naming path, reason and cure.
    """
    if max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, not {max_frames}")
    if stat.S_ISDIR(check_path(path).st_mode):
        return read_folder(Path(path), max_frames)
    path, head = check_media(path)
    if head.startswith(b"GIF8"):
        refuse_open_end(path)
    if head.startswith(b"GIF8") or not is_image(head):
        return read_video(path, max_frames)
    return Clip(read_image(path)[None], np.zeros(1), np.zeros(1, int), 1, 0.0, str(path), 1)


def refuse_open_end(path: Path) -> None:
    """Refuse a GIF without its end mark: a decoder would play what is there and say nothing."""
    if not path.read_bytes().rstrip(b"\0\r\n").endswith(b";"):
        raise UnreadableInput(
            "is cut short: its end mark is missing", path=path, cure="copy or download it again"
        )


def read_folder(folder: Path, max_frames: int) -> Clip:
    """Read a folder of pictures in natural order; it holds no times, so a frame lasts a second."""
    files = list_pictures(folder)
    warn_of_gaps(folder, files)
    starts = np.arange(len(files), dtype=float)
    indices = bin_centres(starts, float(len(files)), max_frames)
    frames = None
    for k, index in enumerate(indices):
        frame = read_image(files[index])
        if frames is None:
            frames = np.empty((len(indices), *frame.shape), np.uint8)
        if frame.shape != frames.shape[1:]:
            (h, w), (h0, w0) = frame.shape[:2], frames.shape[1:3]
            raise UnreadableInput(
                f"is {w}x{h} pixels, and the frames before it are {w0}x{h0}",
                path=files[index],
                cure="bring all frames of a clip to one size",
            )
        frames[k] = frame
    n = len(files)
    return Clip(frames, starts[indices], indices, n, float(n), str(folder), n)


def warn_of_gaps(folder: Path, files: list[Path]) -> None:
    """Warn where the frame numbers do not rise by one steady step: frames may be missing."""
    numbers = [int(found[-1]) for f in files if (found := re.findall(r"[0-9]+", f.stem))]
    if len(numbers) == len(files) and len(set(np.diff(numbers).tolist())) > 1:
        warnings.warn(
            f"{folder}: the frame numbers have gaps; frames may be missing", stacklevel=4
        )
