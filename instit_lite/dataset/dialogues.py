"""Records to LLaVA dialogues by the paper's four rules. In: INST-IT records. Out: dialogues tagged by group.

The paper does not publish the instructions that its SFT asked: those below are ours, in the micro-language that the
micro model's closed vocabulary can read. Every picture named here carries its marks; only general ones do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ..errors import RecordError
from .records import is_video, read_list, write_list

ASK_INSTANCES = "describe each mark."
ASK_PICTURE = "describe the picture."
ASK_CHANGE = "what changes between the two frames?"
ASK_VIDEO = "tell what happens in the video."
PLACEHOLDER = "<image>"
GROUPS = {0: "general data", 1: "instance + image captions", 2: "temporal differences",
          3: "video description + QA", 4: "image part of the dataset"}  # fmt: skip

Pairs = Iterable[tuple[str, str]]  # questions and answers
Turn = TypedDict("Turn", {"from": Literal["human", "gpt"], "value": str})  # one side's words


@with_config(ConfigDict(extra="forbid", strict=True))
class Dialogue(TypedDict):
    """A LLaVA dialogue: `image` lists picture paths, one `<image>` each at the head of the first human turn.

    Human and gpt take turns; `group` is the line of the paper's Table 7 that adds it, 0 for general data.
    """

    id: str
    image: list[str]
    conversations: list[Turn]
    group: Literal[0, 1, 2, 3, 4]
    kind: Literal["general", "frame", "temporal_change", "video_caption", "video_qa", "image", "image_qa"]


FORM = TypeAdapter(Dialogue)


def make_dialogue(name: str, pictures: Sequence[str], pairs: Pairs, group: int, kind: str) -> Dialogue | None:
    """Build a dialogue from questions and answers; those without an answer drop out (None: all did)."""
    conversations = []
    for question, answer in pairs:
        if answer.strip():
            head = "" if conversations else f"{PLACEHOLDER}\n" * len(pictures)
            conversations += [{"from": "human", "value": head + question}, {"from": "gpt", "value": answer}]
    if not conversations:
        return None
    dialogue = Dialogue(id=name, image=list(pictures), conversations=conversations, group=group, kind=kind)
    check_dialogue(dialogue)
    return dialogue


def video_dialogues(record: dict) -> list[Dialogue]:
    """Turn a video record into dialogues by the rules of paper-facts B.4, in this order.

    Per frame its instances, then its whole scene (group 1); per two consecutive frames their differences (group 2);
    over all frames the summary in a single turn, and the questions one per turn (both group 3). What the record
    lacks (no instance, no summary) gives no turn.
    """
    name, frames = f"video-{record['video_id']}", record["frame_level_caption"]
    paths = [str(PurePosixPath(record["video_path"]) / frame["frame_name"]) for frame in frames]
    made = []
    for path, frame in zip(paths, frames):
        turns = caption_turns(frame["instance_level"], frame["image_level"])
        made.append(make_dialogue(f"{name}-frame-{frame['timestamp']}", [path], turns, 1, "frame"))
    for i, frame in enumerate(frames[1:]):
        turns = [(ASK_CHANGE, frame["temporal_change"] or "")]
        change = f"{name}-change-{frame['timestamp']}"
        made.append(make_dialogue(change, paths[i : i + 2], turns, 2, "temporal_change"))
    turns = [(ASK_VIDEO, record["video_level_caption"] or "")]
    made.append(make_dialogue(f"{name}-caption", paths, turns, 3, "video_caption"))
    turns = [(pair["question"], pair["answer"]) for pair in record["question_answer_pairs"]]
    made.append(make_dialogue(f"{name}-qa", paths, turns, 3, "video_qa"))
    return [dialogue for dialogue in made if dialogue]


def image_dialogues(record: dict) -> list[Dialogue]:
    """Turn an image record into its dialogue (group 4): two turns, first all instances, then the scene."""
    turns = caption_turns(record["instance_level_caption"], record["image_level_caption"])
    made = make_dialogue(f"image-{record['image_id']}", [record["image_path"]], turns, 4, "image")
    return [made] if made else []


def dialogues_of(records: Iterable[dict]) -> list[Dialogue]:
    """Turn video and image records into all their dialogues, in the order of the records."""
    made = (video_dialogues(record) if is_video(record) else image_dialogues(record) for record in records)
    return [dialogue for own in made for dialogue in own]


def caption_turns(instances: dict[str, str], scene: str) -> list[tuple[str, str]]:
    """The two turns about one marked picture: a line per instance, "[1]: a small red circle", and the whole scene.

    A caption that opens with its own mark stays as it is.
    """
    lines = [
        caption if caption.startswith(f"[{mark}]") else f"[{mark}]: {caption}"
        for mark, caption in instances.items()
        if caption.strip()
    ]
    return [(ASK_INSTANCES, "\n".join(lines)), (ASK_PICTURE, scene)]


def qa_dialogue(image_path: str, pairs: Pairs, name: str) -> Dialogue | None:
    """Ask questions about one marked picture (group 4, kind "image_qa").

    This is ours, not the paper's: INST-IT's image records carry no questions (paper-facts D.2). They teach a micro
    model to look up single marks; leave this kind out to follow the paper to the letter.
    """
    return make_dialogue(name, [image_path], pairs, 4, "image_qa")


def general_dialogue(image_path: str | None, pairs: Pairs, name: str) -> Dialogue | None:
    """Ask questions about one unmarked picture, or about none (group 0): stands in for LLaVA-NeXT-Data."""
    return make_dialogue(name, [] if image_path is None else [image_path], pairs, 0, "general")


def turns_of(dialogue: Dialogue) -> list[tuple[str, str]]:
    """Return the (question, answer) pairs of a dialogue, without the placeholders at its head."""
    values = [turn["value"] for turn in dialogue["conversations"]]
    head = len(f"{PLACEHOLDER}\n") * len(dialogue["image"])
    return list(zip([values[0][head:], *values[2::2]], values[1::2]))


def table7_line(dialogues: Iterable[Dialogue], line: int) -> list[Dialogue]:
    """Keep what line `line` of Table 7 trains on: its own group and all before it, the paper's kinds only."""
    return [d for d in dialogues if d["group"] <= line and d["kind"] != "image_qa"]


def check_dialogue(dialogue: Dialogue, path: str | Path | None = None) -> None:
    """Raise `RecordError` unless the dialogue has its form, its turns alternate and its placeholders fit."""
    try:
        FORM.validate_python(dialogue)
    except ValidationError as problem:
        first = problem.errors()[0]
        reason = f"a dialogue's {'.'.join(map(str, first['loc'])) or 'form'}: {first['msg']}"
        raise RecordError(reason, path=path, cure="make dialogues with `dataset.dialogues`") from None
    name, turns, n_pictures = f"dialogue {dialogue['id']}", dialogue["conversations"], len(dialogue["image"])
    if not turns or [turn["from"] for turn in turns] != ["human", "gpt"] * (len(turns) // 2):
        reason = f"{name}: human and gpt do not take turns, or the last answer is missing"
        raise RecordError(reason, path=path, cure="begin with human, end with gpt")
    head = f"{PLACEHOLDER}\n" * n_pictures
    text = "\n".join(turn["value"] for turn in turns)
    if not turns[0]["value"].startswith(head) or PLACEHOLDER in text[len(head) :] or "<video>" in text:
        cure = "one <image> per picture at the head of the first turn, no other"
        raise RecordError(f"{name}: the placeholders do not fit the {n_pictures} pictures", path=path, cure=cure)


def save_dialogues(path: str | Path, dialogues: Iterable[Dialogue]) -> Path:
    """Write checked dialogues as one json list, LLaVA's own form; the file appears only when it is whole."""
    dialogues = list(dialogues)
    for dialogue in dialogues:
        check_dialogue(dialogue, path)
    write_list(path, dialogues)
    return Path(path)


def load_dialogues(path: str | Path) -> list[Dialogue]:
    """Read dialogues written by `save_dialogues`; raise `RecordError` at the first that is not one."""
    dialogues = read_list(path)
    for dialogue in dialogues:
        check_dialogue(dialogue, path)
    return dialogues
