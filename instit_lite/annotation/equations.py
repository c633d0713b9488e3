"""The paper's equations (1) to (3). In: marked frames and a client. Out: frame, clip and image annotations.

Equation 1: Y_t^f = GPT(P^f, X_t, X_{t-1}); equation 2: Y^vid = GPT(P^vid, [Y_1^f … Y_N^f]);
equation 3: Y^qa = GPT(P^qa, [Y_1^f … Y_N^f]). Equations 2 and 3 read text only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

import numpy as np

from ..errors import UnreadableInput
from .budget import BYTES_PER_TOKEN, NANO, prompt_tokens
from .client import Client
from .pictures import Picture, encode_picture
from .prompts import fill, frame_notes
from .requests import Question
from .schema import (
    FRAME, QA, SIMULATED_MODEL, VIDEO, ClipAnnotation, FrameAnnotation, FrameReply, QAPair, QAReply, VideoReply,
)

# Tokens of a usual reply: the words of the paper's Table 9, with four instances and 15 QA pairs, times 1.4.
USUAL_REPLY = {FRAME: 400, VIDEO: 480, QA: 900}


def frame_question(x_t: Picture, x_prev: Picture | None) -> Question:
    """What equation (1) asks: of X_t, and what changed since X_{t-1}; the first frame of a clip has none before it."""
    before = [fill("frame", "first")] if x_prev is None else [fill("frame", "previous"), x_prev]
    return Question(FRAME, fill("frame", "system"), [*before, fill("frame", "current"), x_t], FrameReply)


def video_question(frames: Sequence[FrameAnnotation]) -> Question:
    """What equation (2) asks."""
    user = fill("video", "user", count=len(frames), frames=frame_notes(frames, with_instances=True))
    return Question(VIDEO, fill("video", "system"), [user], VideoReply)


def qa_question(frames: Sequence[FrameAnnotation]) -> Question:
    """What equation (3) asks: without the instance captions, as in the paper's Figure 7."""
    user = fill("qa", "user", count=len(frames), frames=frame_notes(frames, with_instances=False))
    return Question(QA, fill("qa", "system"), [user], QAReply)


def read_frame(reply: FrameReply, timestamp: int, frame_name: str) -> FrameAnnotation:
    """Keep a reply as it came, so that the audit can see a change that was told where there is none."""
    return FrameAnnotation(
        timestamp=timestamp, frame_name=frame_name, instances=reply.instance_level,
        image_level=reply.image_level, temporal_change=reply.temporal_change,
    )


def annotate_frame(
    client: Client, x_t: np.ndarray, x_prev: np.ndarray | None, timestamp: int, frame_name: str
) -> FrameAnnotation:
    """Equation (1): describe the marked frame X_t, uint8 [H, W, 3], and what changed since X_{t-1}.

    Raises what `Client.ask` raises.
    """
    before = None if x_prev is None else encode_picture(x_prev, client.jpeg)
    return read_frame(client.ask(*frame_question(encode_picture(x_t, client.jpeg), before)), timestamp, frame_name)


def summarise_video(client: Client, frames: Sequence[FrameAnnotation]) -> str:
    """Equation (2): tell the whole clip from its frames' annotations."""
    return client.ask(*video_question(frames)).video_level_caption


def ask_questions(client: Client, frames: Sequence[FrameAnnotation]) -> list[QAPair]:
    """Equation (3): questions and answers from the frames' annotations."""
    return client.ask(*qa_question(frames)).question_answer_pairs


def annotate_clip(
    client: Client, marked_frames: np.ndarray, progress: Callable[[int], object] = lambda calls: None
) -> ClipAnnotation:
    """All three equations for one clip, marked frames uint8 [T, H, W, 3]: T + 2 calls.

    `progress` (such as `tqdm.update`) is called with the number of calls that were answered. After an error,
    run again with the same ledger: what was answered is not asked again.
    """
    if not len(marked_frames):
        raise UnreadableInput("the clip has no frames", cure="give at least one frame")
    frames = []
    for t, reply in enumerate(client.ask_all(frame_questions(marked_frames, client.jpeg)), start=1):
        frames.append(read_frame(reply, t, f"{t:05d}.jpg"))
        progress(1)
    told, asked = client.ask_all([video_question(frames), qa_question(frames)])
    progress(2)
    return ClipAnnotation(
        frames=frames, video_level_caption=told.video_level_caption, question_answer_pairs=asked.question_answer_pairs,
        annotator=name_annotator(client), model=", ".join(client.models),
    )


def estimate_cost(client: Client, marked_frames: np.ndarray) -> str:
    """Say what a clip will cost, before the first call; `client.prices` must be known. A reply may be dearer."""
    picture = encode_picture(marked_frames[0])
    kinds = [FRAME] * len(marked_frames) + [VIDEO, QA] * (len(marked_frames) > 1)
    asked = client.request(*frame_question(picture, picture))
    once = prompt_tokens(asked, client.prices.picture_tokens, BYTES_PER_TOKEN)
    read = prompt_tokens(client.request(*video_question([])), 0, BYTES_PER_TOKEN)
    prompts = {FRAME: once, VIDEO: read + USUAL_REPLY[FRAME] * len(marked_frames)}
    cost = sum(client.prices.cost(prompts.get(kind, prompts[VIDEO]), USUAL_REPLY[kind]) for kind in kinds)
    spent = f", ${client.ledger.spent / NANO:.2f} spent so far" if client.ledger.spent else ""
    return f"{len(kinds)} calls to {client.model}: about ${cost / NANO:.2f}{spent}; what the ledger holds is free"


def frame_questions(marked_frames: np.ndarray, jpeg: int | None) -> Iterator[Question]:
    """What equation (1) asks of each frame of a clip; each is encoded once, when it is needed."""
    before = None
    for frame in marked_frames:
        current = encode_picture(frame, jpeg)
        yield frame_question(current, before)
        before = current


def annotate_image(client: Client, marked: np.ndarray, frame_name: str) -> FrameAnnotation:
    """Equation (1) for a still picture, uint8 [H, W, 3]: its first and only frame."""
    return annotate_frame(client, marked, None, 1, frame_name)


def name_annotator(client: Client) -> str:
    """Say who answered; the simulated annotator is never taken for a model."""
    if SIMULATED_MODEL in client.models:
        return "simulated from the scene's facts"
    return f"a model at {urlsplit(client.address).hostname}"
