"""What holds for every test: no network, no display, and generated things in a folder that goes away."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest

os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("OPENAI_API_KEY", None)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True, scope="session")
def _build_elsewhere(tmp_path_factory):
    """Keep what tests generate out of the checkout's build folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTIT_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _loopback_only():
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to connect to {address[0]}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture
def annotated(tmp_path):
    """Return a function that writes a small annotated clip, as `instit-lite annotate` does, and gives its folder.

    Two frames, marks 1 and 2; `said` is the caption of mark 1, and the audit doubts the change and the second answer.
    """

    def write(said: str = "a red circle", name: str = "clip") -> Path:
        from instit_lite.annotation.schema import ClipAnnotation, FrameAnnotation, InstanceCaption, QAPair
        from instit_lite.dataset.records import save_records, video_record
        from instit_lite.marks.images import write_jpeg

        folder, frames = tmp_path / name, []
        for t in (1, 2):
            write_jpeg(folder / "frames" / f"{t:05d}.jpg", np.full((48, 64, 3), 90 * t, np.uint8))
            instances = [InstanceCaption(id=1, caption=said), InstanceCaption(id=2, caption="a blue star")]
            change, picture = "[1] moves." if t > 1 else None, f"{t:05d}.jpg"
            frames.append(FrameAnnotation(timestamp=t, frame_name=picture, instances=instances,
                                          image_level="[1] is left of [2].", temporal_change=change))  # fmt: skip
        pairs = [QAPair(question="where is [1]?", answer="left"), QAPair(question="who moves?", answer="[7]")]
        told = ClipAnnotation(frames=frames, video_level_caption="<1> [1] waits.", question_answer_pairs=pairs,
                              annotator="a test", model="none")  # fmt: skip
        save_records(folder / "record.json", [video_record(1, f"{name}/frames", told)])
        doubts = [
            {"kind": "motion", "timestamp": 2, "mark_id": 1, "message": "no part of its mask moves"},
            {"kind": "unknown id", "timestamp": None, "mark_id": 7, "message": "is no mark", "where": "question 2"},
        ]
        (folder / "audit.json").write_text(json.dumps(doubts))
        (folder / "annotation.json").write_text(json.dumps({"annotator": "a test"}))
        return folder

    return write
