"""Annotations for the tests, made on the spot: fixed ones, and hypothesis strategies."""

import re

from hypothesis import strategies as st
from instit_lite.annotation.schema import ClipAnnotation, FrameAnnotation, InstanceCaption, QAPair

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12).filter(
    lambda text: not re.search(r"<0|\[0|<image>|<video>", text)
)


def frame(timestamp, captions, scene, change=None, name=None):
    instances = [InstanceCaption(id=mark, caption=text) for mark, text in captions.items()]
    return FrameAnnotation(timestamp=timestamp, frame_name=name or f"{timestamp:05}.jpg", instances=instances,
                           image_level=scene, temporal_change=change)  # fmt: skip


def clip(frames, caption="at <1> [1] is there. at <2> it leaves.", pairs=(("where is [1]?", "left"),)):
    return ClipAnnotation(
        frames=frames, video_level_caption=caption, annotator="a test", model="none",
        question_answer_pairs=[QAPair(question=q, answer=a) for q, a in pairs],
    )  # fmt: skip


def two_frames():
    return clip([
        frame(1, {1: "a small red circle", 2: "a large blue star"}, "[1] is at the left of [2]."),
        frame(2, {2: "a large blue star"}, "[2] is there.", "[1] leaves."),
    ])  # fmt: skip


@st.composite
def frames(draw, timestamp, first=False):
    captions = draw(st.dictionaries(st.integers(1, 999), TEXT, max_size=4))
    change = None if first else draw(st.none() | TEXT)
    return frame(timestamp, captions, draw(TEXT), change, draw(TEXT.filter(bool)))


@st.composite
def clips(draw):
    times = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True).map(sorted))
    made = [draw(frames(t, first=i == 0)) for i, t in enumerate(times)]
    pairs = draw(st.lists(st.tuples(TEXT, TEXT), max_size=3))
    return clip(made, draw(st.none() | TEXT), pairs)
