"""Marks by click. In: a drawn picture, a mark id. Out: the picture with a dot or an outline there, and no number.

The paper marks every instance and names it by number. A user would rather click on one: here nothing but the pointed
instance is marked, and a question says "the thing with the mark".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ..annotation.claims_in_text import ID, ids_in
from ..profiles import Profile
from ..scenes.questions import attribute_questions
from ..training.collator import Sample
from .bench import Plan, build_items, choose
from .chance import needs_mark
from .item import BenchItem, first_seed
from .pictures import SIDE, Drawn, draw, instances, show

POINTED = "the thing with the mark"
POINTERS = ("dot", "outline")
KINDS = ("colour", "shape", "size", "place", "phrase")  # questions about one instance
DOT = 0.05  # radius as a share of the side: a dot covers about as much as a number's box
INK, PAPER = (0, 0, 0), (255, 255, 255)


def clicked(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """A pixel (x, y) where somebody might click on a mask, bool [H, W]: anywhere well inside it."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    ys, xs = np.nonzero(depth >= 0.5 * depth.max())
    k = int(rng.integers(len(xs)))
    return int(xs[k]), int(ys[k])


def point_at(drawn: Drawn, mark_id: int, pointer: str = "dot", seed: int = 0) -> np.ndarray:
    """The picture with a pointer on one instance, uint8 [1, H, W, 3]; `seed` chooses where the click falls."""
    bare = show(drawn, "bare")
    found = instances(drawn, bare)[0]
    mask = found.mask[found.tracker_id == mark_id][0]
    picture = Image.fromarray(bare[0])
    if pointer == "dot":
        spot, pen = clicked(mask, np.random.default_rng([drawn.scene.seed, mark_id, seed])), ImageDraw.Draw(picture)
        for radius, colour in ((DOT * SIDE, INK), (DOT * SIDE - 2, PAPER)):
            pen.circle(spot, radius, fill=colour)
        return np.asarray(picture)[None]
    frame = bare.copy()
    ring = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_erosion(mask)
    frame[0][ring] = PAPER
    frame[0][ring & ndimage.binary_dilation(mask, iterations=1)] = INK
    return frame


def pointer_benches(profile: Profile, seed: int) -> dict[str, list[BenchItem]]:
    """The same questions about the same instances four times: by number, by dot, by outline, and by nothing at all.

    Each list has `profile.n_bench` items with equal keys, of the picture split of bench seed `seed`.
    """
    plan = Plan("image", profile.n_bench, 1, first_seed(seed, 0), KINDS, None, needs_mark)
    numbers = [item for item in build_items(plan) if item.format == "open"]
    scenes = {f"image{offset:05d}": drawn for offset, drawn, _ in choose(plan)}

    def shown(item: BenchItem, pointer: str) -> BenchItem:
        drawn = scenes[item.clip_id]
        frames = point_at(drawn, ids_in(item.question)[0], pointer) if pointer else show(drawn, "bare")
        return replace(item, question=ID.sub(POINTED, item.question), frames=frames)

    return {"number": numbers, **{p: [shown(i, p) for i in numbers] for p in POINTERS},
            "no mark": [shown(i, "") for i in numbers]}  # fmt: skip


def pointer_samples(seeds: Sequence[int]) -> list[Sample]:
    """One sample of each scene that shows something: a dot on one of its instances, and all five questions about it."""
    found = []
    for seed in seeds:
        drawn, rng = draw("image", seed, 1), np.random.default_rng([seed, 11])
        for f in rng.permutation(drawn.facts[0].instances)[:1] if drawn.ids else []:
            turns = [(q.question, q.answer) for q in attribute_questions(f, [], POINTED)]
            found.append(Sample(point_at(drawn, f.mark_id), "image", turns, marked=True))
    return found
