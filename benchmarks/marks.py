"""Marks: how fast they are drawn and whether they sit where they should. In: made scenes. Out: two tables.

supervision's own annotators run on the same frames in the same run. The placement check is the same for all:
the centre of the mark's box, or its leader's end, is on the instance's own visible mask, and no pixel of the
box is on another instance's mask.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import supervision as sv
from scipy import ndimage

from instit_lite.marks.detections import from_masks
from instit_lite.marks.draw import draw_marks
from instit_lite.marks.placement import Anchor, leader_pixels, place_marks
from instit_lite.marks.style import STYLES, box_size
from instit_lite.scenes.render import render
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.world import Knobs

HARD = Knobs(n_things=(2, 5), occlusion=0.5, crowding=0.5)
CLOCKS = (0.1, 0.5, 0.9)
SIDE = 384
HD = (720, 1280)


def tables(quick: bool = False) -> Iterator[tuple[str, dict]]:
    """Yield the speed table, then the placement table."""
    yield "marks_speed", speed_table(30 if quick else 120)
    yield "marks_placement", placement_table(50 if quick else 1000)


# speed


def made_frame(seed: int, count: int = 10, shape: tuple[int, int] = HD) -> tuple[np.ndarray, sv.Detections]:
    """Make a frame and `count` uneven blobs, 90 to 340 pixels across, some in front of others."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (shape[0] // 40, shape[1] // 40, 3))
    frame = ndimage.zoom(small, (40, 40, 1), order=1).astype(np.uint8)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    masks: dict[int, np.ndarray] = {}
    for mark_id in range(1, count + 1):
        cx, cy = rng.uniform(0.08, 0.92, 2) * (shape[1], shape[0])
        rx, ry = rng.uniform(45, 170, 2)
        angle = np.arctan2(y - cy, x - cx)
        wave = 1 + 0.2 * np.sin(rng.integers(2, 6) * angle + rng.uniform(0, 6))
        blob = np.hypot((x - cx) / rx, (y - cy) / ry) < wave
        masks = {i: m & ~blob for i, m in masks.items()}
        masks[mark_id] = blob
    return frame, from_masks(masks, shape)


def median_ms(draw: Callable[[int], object], runs: int) -> tuple[float, float, float]:
    """Time `draw(k)` for k = 0, 1, …; return the median, the 90th percentile and the median of CPU time, in
    ms.

    CPU time leaves out the waiting for other programs, so on a busy machine it is the fairer number.
    """
    for k in range(3):
        draw(k)
    spent = []
    for k in range(runs):
        start = time.perf_counter(), time.process_time()
        draw(k)
        spent.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, cpu = 1e3 * np.array(spent).T
    return float(np.median(wall)), float(np.percentile(wall, 90)), float(np.median(cpu))


def speed_table(runs: int) -> dict:
    """Time our styles and supervision's annotators on frames of 1280 x 720 with 10 instances, on one core."""
    made = [made_frame(seed) for seed in range(6)]
    before = [draw_marks(*pair)[1] for pair in made]
    labels = sv.LabelAnnotator(text_position=sv.Position.CENTER_OF_MASS)
    outlines = {"MaskAnnotator": sv.MaskAnnotator(), "PolygonAnnotator": sv.PolygonAnnotator()}

    def ours(style: str) -> Callable[[int], object]:
        return lambda k: draw_marks(*made[k % len(made)], style)

    def theirs(name: str) -> Callable[[int], object]:
        def draw(k: int) -> object:
            frame, found = made[k % len(made)]
            scene = outlines[name].annotate(frame.copy(), found)
            return labels.annotate(scene, found, labels=[str(i) for i in found.tracker_id])

        return draw

    jobs = {f"draw_marks, style {style}": ours(style) for style in STYLES}
    jobs["draw_marks, style video, with the frame before"] = lambda k: draw_marks(
        *made[k % len(made)], "video", before[k % len(made)]
    )
    jobs |= {f"supervision {name} + LabelAnnotator": theirs(name) for name in outlines}
    with one_core():
        rows = [[what, *median_ms(draw, runs)] for what, draw in jobs.items()]
    opencv = "with" if importlib.util.find_spec("cv2") else "without"
    return {
        "title": "Marks on a 1280x720 frame with 10 instances",
        "columns": ["what", "median ms", "90 % ms", "median CPU ms"],
        "rows": rows,
        "note": f"{runs} runs each over {len(made)} frames, one core; "
        f"supervision {sv.__version__} {opencv} OpenCV. CPU time leaves out waiting for other programs.",
    }


class one_core:
    """Hold this process to one core, where the system can."""

    def __enter__(self) -> None:
        self.cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        if self.cores:
            os.sched_setaffinity(0, {max(self.cores)})

    def __exit__(self, *problem: object) -> None:
        if self.cores:
            os.sched_setaffinity(0, self.cores)


# placement


def hard_frames(n_scenes: int) -> Iterator[sv.Detections]:
    """Yield the instances of random crowded scenes, at several clocks each, 384 pixels a side."""
    for seed in range(n_scenes):
        scene = sample_scene(seed, HARD)
        for u in CLOCKS:
            masks = render(scene, u, SIDE)[1]
            found = from_masks({t.mark_id: m for t, m in zip(scene.things, masks)}, (SIDE, SIDE))
            if len(found):
                yield found


def judge(found: sv.Detections, anchors: dict[int, Anchor]) -> dict[str, int]:
    """Count the marks of one frame, and what is true of them."""
    counts = dict.fromkeys(("marks", "own", "clear", "good", "leaders", "crossing", "forced"), 0)
    everyone = found.mask.any(0)
    for mark_id, mask in zip(found.tracker_id, found.mask):
        anchor = anchors[int(mark_id)]
        x, y = anchor.leader or anchor.centre
        own = bool(mask[y, x]) if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] else False
        rows, columns = anchor.window
        window = slice(max(0, rows.start), rows.stop), slice(max(0, columns.start), columns.stop)
        clear = not (everyone[window] & ~mask[window]).any()
        crossing = False
        if anchor.leader:
            px, py = leader_pixels(anchor)
            crossing = bool((everyone[py, px] & ~mask[py, px]).any())
        counts = {name: counts[name] + value for name, value in (
            ("marks", 1), ("own", own), ("clear", clear), ("good", own and clear),
            ("leaders", anchor.leader is not None), ("crossing", crossing),
            ("forced", anchor.covers > 0))}  # fmt: skip
    return counts


def supervision_anchors(
    found: sv.Detections, sizes: dict[int, tuple[int, int]], position: sv.Position
) -> dict[int, Anchor]:
    """Put boxes of the same size where supervision's `LabelAnnotator` centres its labels."""
    points = found.get_anchors_coordinates(position)
    return {
        int(i): Anchor(int(x) - sizes[int(i)][0] // 2, int(y) - sizes[int(i)][1] // 2, *sizes[int(i)])
        for i, (x, y) in zip(found.tracker_id, points)
    }


def placement_table(n_scenes: int) -> dict:
    """Judge every mark of `n_scenes` random scenes, ours and supervision's."""
    totals: dict[str, dict[str, int]] = {}
    positions = {"centre of mass": sv.Position.CENTER_OF_MASS, "centre of box": sv.Position.CENTER}
    for found in hard_frames(n_scenes):
        for style in STYLES:
            sizes = {int(i): box_size(STYLES[style], str(i), (SIDE, SIDE)) for i in found.tracker_id}
            ways = {"place_marks": place_marks(found, sizes)}
            ways |= {f"supervision, {w}": supervision_anchors(found, sizes, p) for w, p in positions.items()}
            for way, anchors in ways.items():
                counts = judge(found, anchors)
                total = totals.setdefault(f"{way}, size of style {style}", dict.fromkeys(counts, 0))
                for name, value in counts.items():
                    total[name] += value
    rows = [
        [way, t["marks"], 100 * t["good"] / t["marks"], t["marks"] - t["own"], t["marks"] - t["clear"],
         t["leaders"], t["crossing"], t["forced"]]
        for way, t in sorted(totals.items())
    ]  # fmt: skip
    return {
        "title": f"Where marks sit, {n_scenes} random scenes, {len(CLOCKS)} clocks each, {SIDE} px a side",
        "columns": ["way", "marks", "good %", "off own", "on others", "leaders", "line on others", "forced"],
        "rows": rows,
        "note": "good: centre of the box or end of the leader on the instance's visible mask, and no pixel "
        "of the box on another's.\nforced: no free spot in the frame, so the least bad was taken.",
    }
