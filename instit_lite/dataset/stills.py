"""Single pictures of the mini dataset. In: a seed. Out: a marked still with its record and questions, or a general one.

Marked stills stand in for INST-IT's 51k SA-1B images; general pictures, unmarked or with printed numbers, stand in
for LLaVA-NeXT-Data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..annotation.client import Client
from ..annotation.equations import annotate_image, ask_questions
from ..annotation.server import SimulatedServer
from ..errors import NoInstances
from ..marks.clip import Clip
from ..marks.draw import mark_clip
from ..marks.images import write_jpeg
from ..marks.instances import from_scene
from ..scenes.facts import frame_facts
from ..scenes.general import DENSE, general_questions, number_questions, print_numbers
from ..scenes.render import render
from ..scenes.sample import sample_scene
from ..scenes.world import Knobs, Scene
from .dialogues import Dialogue, general_dialogue, qa_dialogue
from .records import image_record

SIDE = 384
PRINTED_SHARE = 0.4  # general pictures with printed numbers
MAX_PAIRS = 16


def still_of(scene: Scene, u: float) -> Clip:
    """A scene at clock `u` as a clip of one frame."""
    frame, _ = render(scene, u, SIDE)
    return Clip(frame[None], np.zeros(1), np.zeros(1, int), 1, 0.0, f"scene {scene.seed}")


def moment_of(scene: Scene) -> float:
    """A random moment at which something is visible; raises `NoInstances` where there is none."""
    for u in np.random.default_rng([scene.seed, 7]).uniform(0.05, 0.95, 20):
        if frame_facts(scene, u).instances:
            return float(u)
    raise NoInstances(f"nothing is visible in scene {scene.seed}", cure="none needed: it is left out")


def build_image(
    number: int, seed: int, out: Path, server: SimulatedServer, client: Client
) -> tuple[dict, Dialogue | None]:
    """Draw, mark and annotate one still; return its INST-IT image record, and a dialogue of questions beside it.

    The questions are equation 3 on a single frame: ours, not the paper's, whose image records have none.
    """
    scene, path = sample_scene(seed), f"images_vpt/{number:06d}.jpg"
    u = moment_of(scene)
    still, facts = still_of(scene, u), frame_facts(scene, u)
    marked = mark_clip(still.frames, from_scene(scene, still, [u]), style="micro")[0]
    server.know_frame(marked, facts)
    told = annotate_image(client, marked, Path(path).name)
    pairs = [(p.question, p.answer) for p in ask_questions(client, [told])]
    write_jpeg(out / path, marked)
    return image_record(number, path, told), qa_dialogue(path, pairs, f"image-{number}-qa")


def build_general(number: int, seed: int, out: Path) -> Dialogue:
    """Draw one unmarked picture, some with printed numbers, and its dialogue, a full description always among it."""
    rng, path = np.random.default_rng([seed, 8]), f"general/{number:06d}.jpg"
    scene, u = sample_scene(seed, Knobs(n_things=(1, 4), motion=False)), float(rng.uniform(0.05, 0.95))
    picture, facts = still_of(scene, u).frames[0], frame_facts(scene, u)
    questions = general_questions(facts, rng)
    if rng.random() < PRINTED_SHARE:
        picture, printed = print_numbers(picture, facts, rng)
        questions = number_questions(printed, facts, rng)
    write_jpeg(out / path, picture)
    shuffled = [questions[i] for i in rng.permutation(len(questions))]
    chosen = sorted(shuffled, key=lambda q: q.kind not in DENSE)[:MAX_PAIRS]
    return general_dialogue(path, [(q.question, q.answer) for q in chosen], f"general-{number}")
