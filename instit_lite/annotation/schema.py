"""What an annotation is. In: nothing. Out: the forms kept in this kit, and the forms asked for on the wire.

Strict API schemas cannot express INST-IT's `{"1": …}` maps, so that ids are list items here; the map of the
published records is made in the dataset room. The wire forms carry no bounds in their JSON schema, which some
back ends refuse; bounds are checked here after the reply has come.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

SIMULATED_MODEL = "instit-lite-simulated"
MEASURED = "measured from masks"


class Strict(BaseModel):
    """No silent conversion: "1" and true are not ids, and unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class InstanceCaption(Strict):
    """How one marked instance looks: an entry of y_ins."""

    id: int
    caption: str


class QAPair(Strict):
    """One pair of Y^qa."""

    question: str
    answer: str


class FrameAnnotation(Strict):
    """Y_t^f of equation 1. `timestamp` counts frames from 1; `temporal_change` is None for the first."""

    timestamp: int
    frame_name: str
    instances: list[InstanceCaption]
    image_level: str
    temporal_change: str | None


class ClipAnnotation(Strict):
    """All three equations of one clip, and who wrote them: `annotator` in words, `model` by its own name."""

    frames: list[FrameAnnotation]
    video_level_caption: str | None
    question_answer_pairs: list[QAPair]
    annotator: str
    model: str


def written(text: str) -> str:
    """Accept text that says something."""
    if not text.strip() or "\0" in text:
        raise ValueError("is blank, or holds a NUL")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("holds half a letter (a lone surrogate)")
    return text


def described(instances: list[InstanceCaption]) -> list[InstanceCaption]:
    """Accept distinct ids from 1 up, each with a caption."""
    ids = [i.id for i in instances if written(i.caption)]
    if len(set(ids)) < len(ids) or min(ids, default=1) < 1:
        raise ValueError(f"the ids {ids} are not distinct numbers from 1 up")
    return instances


def answered(pair: QAPair) -> QAPair:
    """Accept a pair with both a question and an answer."""
    written(pair.question)
    written(pair.answer)
    return pair


Written = Annotated[str, AfterValidator(written)]


class FrameReply(Strict):
    """Equation 1 on the wire: y_ins, y_img, y_dif."""

    instance_level: Annotated[list[InstanceCaption], AfterValidator(described)]
    image_level: Written
    temporal_change: Written | None


class VideoReply(Strict):
    """Equation 2 on the wire: Y^vid."""

    video_level_caption: Written


class QAReply(Strict):
    """Equation 3 on the wire: Y^qa."""

    question_answer_pairs: list[Annotated[QAPair, AfterValidator(answered)]]


FRAME, VIDEO, QA = "frame_annotation", "video_summary", "question_answers"
FORMS: dict[str, type[BaseModel]] = {FRAME: FrameReply, VIDEO: VideoReply, QA: QAReply}


@cache
def response_format(kind: str, schema: type[BaseModel]) -> dict[str, Any]:
    """Return the `response_format` that asks an OpenAI-compatible endpoint for exactly this schema."""
    form = {"name": kind, "strict": True, "schema": schema.model_json_schema()}
    return {"type": "json_schema", "json_schema": form}
