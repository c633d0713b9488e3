"""Small clips of the micro world for the tests: pixels, exact facts, exact masks."""

import numpy as np

from instit_lite.marks.clip import Clip
from instit_lite.marks.instances import from_scene
from instit_lite.scenes.facts import scene_facts
from instit_lite.scenes.render import render
from instit_lite.scenes.sample import sample_scene
from instit_lite.scenes.world import Knobs


def make_clip(seed, count=4, side=96, **knobs):
    """Return (frames, facts, detections) of one scene."""
    scene = sample_scene(seed, Knobs(**knobs))
    times = (np.arange(count) + 0.5) / count
    frames = np.stack([render(scene, u, side)[0] for u in times])
    clip = Clip(frames, times, np.arange(count), count, 1.0, f"scene {seed}")
    return frames, scene_facts(scene, times), from_scene(scene, clip)


def know(server, frames, facts):
    for frame, fact in zip(frames, facts):
        server.know_frame(frame, fact)
