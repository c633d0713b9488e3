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
from .pictures import Picture, encode_picture
from .prompts import fill, frame_notes
from .schema import (
    SIMULATED_MODEL,
    ClipAnnotation,
    FrameAnnotation,
    FrameReply,
    InstanceCaption,
    QAPair,
    QAReply,
    VideoReply,
)

FRAME, VIDEO, QA = "frame_annotation", "video_summary", "question_answers"
WORKERS = 4  # calls in flight for one clip
Frame = np.ndarray | Picture


def annotate_frame(
    client: Client, x_t: Frame, x_prev: Frame | None, timestamp: int, frame_name: str
) -> FrameAnnotation:
    """Equation (1): describe the marked frame X_t, uint8 [H, W, 3], and what changed since X_{t-1}.

    The first frame of a clip has no `x_prev`; the reply is kept as it came, so that the audit can see a
    change that was told where there is none. Raises what `Client.ask` raises.
    """
    before = [fill("frame", "first")]
    if x_prev is not None:
        before = [fill("frame", "previous"), encode_picture(x_prev)]
    content = [*before, fill("frame", "current"), encode_picture(x_t)]
    reply = client.ask(FRAME, fill("frame", "system"), content, FrameReply)
    instances = [InstanceCaption(id=i.id, caption=i.caption) for i in reply.instance_level]
    return FrameAnnotation(
        timestamp=timestamp, frame_name=frame_name, instances=instances,
        image_level=reply.image_level, temporal_change=reply.temporal_change,
    )  # fmt: skip


def summarise_video(client: Client, frames: Sequence[FrameAnnotation]) -> str:
    """Equation (2): tell the whole clip from its frames' annotations."""
    user = fill("video", "user", count=len(frames), frames=frame_notes(frames, with_instances=True))
    return client.ask(VIDEO, fill("video", "system"), user, VideoReply).video_level_caption


def ask_questions(client: Client, frames: Sequence[FrameAnnotation]) -> list[QAPair]:
    """Equation (3): questions and answers from the frames' annotations, without the instance captions."""
    user = fill("qa", "user", count=len(frames), frames=frame_notes(frames, with_instances=False))
    reply = client.ask(QA, fill("qa", "system"), user, QAReply)
    return [QAPair(question=p.question, answer=p.answer) for p in reply.question_answer_pairs]


def annotate_clip(
    client: Client,
    marked_frames: np.ndarray,
    frame_names: Sequence[str] | None = None,
    progress: Callable[[int], object] | None = None,
) -> ClipAnnotation:
    """All three equations for one clip, marked frames uint8 [T, H, W, 3]: T + 2 calls.

    `frame_names` default to 00001.jpg, 00002.jpg, …; `progress` (such as `tqdm.update`) is called with 1
    after each call. After an error, run again with the same ledger: what was answered is not asked again.
    """
    count = len(marked_frames)
    if not count:
        raise UnreadableInput("the clip has no frames", cure="give at least one frame")
    names = list(frame_names) if frame_names is not None else [f"{t:05d}.jpg" for t in range(1, count + 1)]
    if len(names) != count:
        reason = f"there are {len(names)} frame names for {count} frames"
        raise UnreadableInput(reason, cure="name each frame once")
    step = progress or (lambda _: None)
    pictures = [encode_picture(frame) for frame in marked_frames]

    def one(t: int) -> FrameAnnotation:
        return annotate_frame(client, pictures[t], pictures[t - 1] if t else None, t + 1, names[t])

    frames = []
    with ThreadPoolExecutor(min(WORKERS, count)) as pool:
        waiting = [pool.submit(one, t) for t in range(count)]
        try:
            for job in waiting:
                frames.append(job.result())
                step(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    caption = summarise_video(client, frames)
    step(1)
    pairs = ask_questions(client, frames)
    step(1)
    return ClipAnnotation(
        frames=frames, video_level_caption=caption, question_answer_pairs=pairs,
        annotator=name_annotator(client), model=", ".join(client.models),
    )  # fmt: skip


def annotate_image(client: Client, marked: np.ndarray, frame_name: str) -> FrameAnnotation:
    """Equation (1) for a still picture, uint8 [H, W, 3]: its first and only frame."""
    return annotate_frame(client, marked, None, 1, frame_name)


def name_annotator(client: Client) -> str:
    """Say who answered; the simulated annotator is never taken for a model."""
    if SIMULATED_MODEL in client.models:
        return "simulated from the scene's facts"
    return f"a model at {urlsplit(client.address).hostname}"
