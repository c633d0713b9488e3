"""Find what moves. In: a clip filmed by a fixed camera. Out: the sampled `Clip` and its instances.

Offline: all frames are looked at, small, before any is answered. Nothing is known of people or balls; an
instance is what moves on its own against a still background at least for a while.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image

from ..errors import NoInstances
from .clip import Clip
from .detections import from_masks
from .images import list_pictures, read_image
from .reader import read_clip
from .tracking.blobs import WORTH, find_pieces, gather_things, link
from .tracking.camera import Canvas, lay_out
from .tracking.ground import cut_frame, learn_ground
from .tracking.layers import follow, learn_thing, share_out
from .video import numbered, upright_rgb

SIDE = 320  # pixels of the longest side while tracking
FEWEST, MOST_FRAMES = 5, 400  # frames looked at


def track(path: str | Path, max_frames: int = 32, max_instances: int = 6) -> tuple[Clip, list[sv.Detections]]:
    """Read a clip as `read_clip` does and find its moving things, see `find_moving`."""
    clip = read_clip(path, max_frames)
    return clip, find_moving(path, clip, max_instances)


def find_moving(path: str | Path, clip: Clip, max_instances: int = 6) -> list[sv.Detections]:
    """Find the moving things of a clip that was read from `path`, and follow them.

    Returns its frames' detections, `mask` bool [n, H, W], `tracker_id` from 1, the instance most seen first. Raises
    `NoInstances` where nothing moves, where there are fewer than 5 frames, or where the camera travels.
    """
    if clip.n_decoded < FEWEST:
        raise NoInstances("holds too few frames to see motion", path=path, cure="give a longer clip or boxes")
    looked, frames = read_small(path, clip)
    try:
        canvas = lay_out(frames)
        ground = learn_ground(canvas)
    except NoInstances as problem:
        raise NoInstances(problem.reason, path=path, cure=problem.cure) from None
    masks = np.stack([cut_frame(f, s, ground) for f, s in zip(canvas.frames, canvas.seen)])
    pieces = [find_pieces(f, m, t) for t, (f, m) in enumerate(zip(canvas.frames, masks))]
    things = [learn_thing(t) for t in gather_things(link(pieces), max_instances, WORTH * masks[0].size)]
    things, paths = follow(canvas.frames, masks, things)
    shape = clip.frames.shape[1:3]
    found = []
    for t in np.searchsorted(looked, clip.indices):
        shared = share_out(canvas.frames[t], masks[t], things, [p[t] for p in paths])
        found.append(enlarge(shared, canvas, int(t), frames.shape[1:3], shape))
    if not any(found):
        raise NoInstances("nothing moves in it", path=path, cure="give masks or boxes")
    return [from_masks(masks, shape) for masks in number(found)]


def read_small(path: str | Path, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Read the clip densely: the frames' places in the source, int [N], and the frames, uint8 [N, h, w, 3].

    All frames are taken where there are no more than `MOST_FRAMES`, and always those of the clip; of a damaged
    clip, what is left.
    """
    height, width = clip.frames.shape[1:3]
    scale = min(1.0, SIDE / max(height, width))
    size = max(round(width * scale), 8), max(round(height * scale), 8)
    dense = np.linspace(0, clip.n_decoded - 1, min(clip.n_decoded, MOST_FRAMES)).round().astype(int)
    looked = np.union1d(dense, clip.indices)
    wanted = set(looked.tolist())
    if Path(path).is_dir():
        shots = ((i, read_image(file)) for i, file in enumerate(list_pictures(path)) if i in wanted)
    else:
        shots = ((i, upright_rgb(f)) for i, f in numbered(Path(path), bool(clip.damage)) if i in wanted)
    small = {i: np.asarray(Image.fromarray(shot).resize(size, Image.Resampling.BOX)) for i, shot in shots}
    return np.array(list(small)), np.stack(list(small.values()))


def enlarge(
    shared: dict[int, np.ndarray], canvas: Canvas, t: int, small: tuple[int, int], shape: tuple[int, int]
) -> dict[int, np.ndarray]:
    """Bring masks from the canvas to the full-size frame, bool [H, W]; no pixel belongs to two."""
    soft = {}
    for k, mask in shared.items():
        picture = Image.fromarray(np.asarray(canvas.to_frame(mask.astype(np.float32), t, small), np.float32))
        soft[k] = np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    top = np.max(list(soft.values()), axis=0) if soft else None
    masks = {k: (s >= 0.5) & (s == top) for k, s in soft.items()}
    return {k: m for k, m in masks.items() if m.any()}


def number(found: list[dict[int, np.ndarray]]) -> list[dict[int, np.ndarray]]:
    """Number things 1, 2, … by how much of them is seen over all frames."""
    seen: Counter[int] = Counter()
    for masks in found:
        seen.update({k: np.sqrt(mask.sum()) for k, mask in masks.items()})
    ids = {k: i for i, (k, _) in enumerate(seen.most_common(), start=1)}
    return [{ids[k]: mask for k, mask in masks.items()} for masks in found]
