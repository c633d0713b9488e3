"""Footage in. In: a video, a picture or a folder of frames. Out: a `Clip`, sampled and upright.

Whatever cannot be read whole is refused with `UnreadableInput`; nothing is shortened without saying so.
"""

from __future__ import annotations

import re
import stat
import warnings
from pathlib import Path

import numpy as np

from ..errors import UnreadableInput
from .clip import Clip, bin_centres, room_for
from .files import check_media, check_path
from .images import is_image, list_pictures, read_image
from .video import read_rest, read_video


def read_clip(path: str | Path, max_frames: int = 32, salvage: bool = False) -> Clip:
    """Read a video, a picture (a clip of one frame) or a folder of pictures.

    A file's kind is told by its content, not by its name. Frames are sampled uniformly in time at bin
    centres (all of them where there are no more than `max_frames`); INST-IT takes at most 32. `salvage` reads
    what is left of a damaged video; the clip's `damage` says what is missing. Raises `UnreadableInput` naming
    path, reason and cure.
    """
    if max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, not {max_frames}")
    if stat.S_ISDIR(check_path(path).st_mode):
        clip = read_folder(Path(path), max_frames)
    else:
        path, head = check_media(path)
        if is_image(head) and not head.startswith(b"GIF8"):
            return Clip(read_image(path)[None], np.zeros(1), np.zeros(1, int), 1, 0.0, str(path), 1)
        try:
            clip = read_video(path, max_frames)
        except UnreadableInput as refusal:
            if not salvage:
                raise
            clip = read_rest(path, max_frames, refusal)
    if 1 < (count := len(clip.frames)) < max_frames:
        warnings.warn(f"{path}: holds {count} frames, fewer than the {max_frames} asked for", stacklevel=2)
    return clip


def read_folder(folder: Path, max_frames: int) -> Clip:
    """Read a folder of pictures in natural order; it holds no times, so a frame lasts a second."""
    files = list_pictures(folder)
    numbers = [int(found[-1]) for f in files if (found := re.findall(r"[0-9]+", f.stem))]
    if len(numbers) == len(files) and len(set(np.diff(numbers).tolist())) > 1:
        warnings.warn(f"{folder}: the frame numbers have gaps; frames may be missing", stacklevel=3)
    n, starts = len(files), np.arange(len(files), dtype=float)
    indices = bin_centres(starts, float(n), max_frames)
    frames = None
    for k, i in enumerate(indices):
        frame = read_image(files[i])
        frames = room_for(len(indices), frame.shape, folder) if frames is None else frames
        (h, w), (h0, w0) = frame.shape[:2], frames.shape[1:3]
        if (h, w) != (h0, w0):
            reason = f"is {w}x{h} pixels, and the frames before it are {w0}x{h0}"
            raise UnreadableInput(reason, path=files[i], cure="bring all frames of a clip to one size")
        frames[k] = frame
    return Clip(frames, starts[indices], indices, n, float(n), str(folder), n)
