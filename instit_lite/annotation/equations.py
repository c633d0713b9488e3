"""The paper's equations (1) to (3). In: marked frames and a client. Out: frame, clip and image annotations.

Equation 1: Y_t^f = GPT(P^f, X_t, X_{t-1}); equation 2: Y^vid = GPT(P^vid, [Y_1^f … Y_N^f]);
equation 3: Y^qa = GPT(P^qa, [Y_1^f … Y_N^f]). Equations 2 and 3 read text only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np

from ..errors import UnreadableInput
from .client import Client
from .pictures import encode_picture
from .prompts import fill, frame_notes
from .schema import SIMULATED_MODEL, ClipAnnotation, FrameAnnotation, FrameReply, QAPair, QAReply, VideoReply

FRAME, VIDEO, QA = "frame_annotation", "video_summary", "question_answers"
WORKERS = 4  # calls in flight for one clip


def annotate_frame(
    client: Client, x_t: np.ndarray, x_prev: np.ndarray | None, timestamp: int, frame_name: str
) -> FrameAnnotation:
    """Equation (1): describe the marked frame X_t, uint8 [H, W, 3], and what changed since X_{t-1}.

    The first frame of a clip has no `x_prev`; the reply is kept as it came, so that the audit can see a
    change that was told where there is none. Raises what `Client.ask` raises.
    """
    first = x_prev is None
    before = [fill("frame", "first")] if first else [fill("frame", "previous"), encode_picture(x_prev)]
    parts = [*before, fill("frame", "current"), encode_picture(x_t)]
    reply = client.ask(FRAME, fill("frame", "system"), parts, FrameReply)
    return FrameAnnotation(
        timestamp=timestamp, frame_name=frame_name, instances=reply.instance_level,
        image_level=reply.image_level, temporal_change=reply.temporal_change,
    )


def summarise_video(client: Client, frames: Sequence[FrameAnnotation]) -> str:
    """Equation (2): tell the whole clip from its frames' annotations."""
    user = fill("video", "user", count=len(frames), frames=frame_notes(frames, with_instances=True))
    return client.ask(VIDEO, fill("video", "system"), [user], VideoReply).video_level_caption


def ask_questions(client: Client, frames: Sequence[FrameAnnotation]) -> list[QAPair]:
    """Equation (3): questions and answers from the frames' annotations, without the instance captions."""
    user = fill("qa", "user", count=len(frames), frames=frame_notes(frames, with_instances=False))
    return client.ask(QA, fill("qa", "system"), [user], QAReply).question_answer_pairs


def annotate_clip(
    client: Client, marked_frames: np.ndarray, progress: Callable[[int], object] = lambda calls: None
) -> ClipAnnotation:
    """All three equations for one clip, marked frames uint8 [T, H, W, 3]: T + 2 calls.

    `progress` (such as `tqdm.update`) is called with the number of calls that were answered. After an error,
    run again with the same ledger: what was answered is not asked again.
    """
    if not len(marked_frames):
        raise UnreadableInput("the clip has no frames", cure="give at least one frame")

    def annotate(t: int) -> FrameAnnotation:
        previous = marked_frames[t - 1] if t else None
        return annotate_frame(client, marked_frames[t], previous, t + 1, f"{t + 1:05d}.jpg")

    frames = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for frame in pool.map(annotate, range(len(marked_frames))):  # an error cancels what has not begun
            frames.append(frame)
            progress(1)
    caption = summarise_video(client, frames)
    pairs = ask_questions(client, frames)
    progress(2)
    return ClipAnnotation(
        frames=frames, video_level_caption=caption, question_answer_pairs=pairs,
        annotator=name_annotator(client), model=", ".join(client.models),
    )


def annotate_image(client: Client, marked: np.ndarray, frame_name: str) -> FrameAnnotation:
    """Equation (1) for a still picture, uint8 [H, W, 3]: its first and only frame."""
    return annotate_frame(client, marked, None, 1, frame_name)


def name_annotator(client: Client) -> str:
    """Say who answered; the simulated annotator is never taken for a model."""
    if SIMULATED_MODEL in client.models:
        return "simulated from the scene's facts"
    return f"a model at {urlsplit(client.address).hostname}"
