"""Records to LLaVA dialogues by the paper's four rules. In: INST-IT records. Out: dialogues tagged by group.

The paper does not publish the instructions that its SFT asked: those below are ours, in the micro-language,
so that the micro model's closed vocabulary can read them. Every picture named here carries its marks; only
general ones do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypedDict

from ..annotation.schema import QAPair
from ..errors import RecordError
from .reading import RecordReader, kind_of
from .records import is_video, read_list, write_list

ASK_INSTANCES = "describe each mark."
ASK_PICTURE = "describe the picture."
ASK_CHANGE = "what changes between the two frames?"
ASK_VIDEO = "tell what happens in the video."
PLACEHOLDER = "<image>"
Pairs = Iterable[dict | QAPair | tuple[str, str]]
KINDS = ("general", "frame", "temporal_change", "video_caption", "video_qa", "image", "image_qa")
GROUPS = {0: "general data", 1: "instance + image captions", 2: "temporal differences",
          3: "video description + QA", 4: "image part of the dataset"}  # fmt: skip
DIALOGUE_KEYS = ("id", "image", "conversations", "group", "kind")


Turn = TypedDict("Turn", {"from": str, "value": str})  # one side's words; "from" is "human" or "gpt"


class Dialogue(TypedDict):
    """A LLaVA dialogue: `image` lists picture paths, one `<image>` each at the head of the first human
    turn.

    `conversations` alternates {"from": "human" | "gpt", "value": text}; `group` is the line of the paper's
    Table 7 that adds it, 0 for general data; `kind` is one of `KINDS`.
    """

    id: str
    image: list[str]
    conversations: list[Turn]
    group: int
    kind: str


def make_dialogue(
    name: str, pictures: Sequence[str], turns: Sequence[tuple[str, str]], group: int, kind: str
) -> Dialogue | None:
    """Build a dialogue from (question, answer) pairs; those without an answer drop out (None: all did)."""
    turns = [(question, answer) for question, answer in turns if answer.strip()]
    if not turns:
        return None
    head = "".join(f"{PLACEHOLDER}\n" for _ in pictures)
    conversations = []
    for i, (question, answer) in enumerate(turns):
        conversations.append({"from": "human", "value": head + question if i == 0 else question})
        conversations.append({"from": "gpt", "value": answer})
    dialogue = {"id": name, "image": list(pictures), "conversations": conversations,
                "group": group, "kind": kind}  # fmt: skip
    check_dialogue(dialogue)
    return dialogue


def video_dialogues(record: dict) -> list[Dialogue]:
    """Turn a video record into dialogues by the rules of paper-facts B.4, in this order.

    Per frame its instances, then its whole scene (group 1); per two consecutive frames their differences
    (group 2); over all frames the summary in a single turn, and the questions one per turn (both group 3).
    What the record lacks (no instance, no summary) gives no turn.
    """
    name, frames = f"video-{record['video_id']}", record["frame_level_caption"]
    paths = [str(PurePosixPath(record["video_path"]) / frame["frame_name"]) for frame in frames]
    made = []
    for path, frame in zip(paths, frames):
        turns = caption_turns(frame["instance_level"], frame["image_level"])
        made.append(make_dialogue(f"{name}-frame-{frame['timestamp']}", [path], turns, 1, "frame"))
    for before, path, frame in zip(paths, paths[1:], frames[1:]):
        turns = [(ASK_CHANGE, frame["temporal_change"] or "")]
        made.append(
            make_dialogue(f"{name}-change-{frame['timestamp']}", [before, path], turns, 2, "temporal_change")
        )
    turns = [(ASK_VIDEO, record["video_level_caption"] or "")]
    made.append(make_dialogue(f"{name}-caption", paths, turns, 3, "video_caption"))
    turns = as_turns(record["question_answer_pairs"])
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
    """The two turns about one marked picture."""
    return [(ASK_INSTANCES, instance_text(instances)), (ASK_PICTURE, scene)]


def instance_text(instances: dict[str, str]) -> str:
    """One line per instance, "[1]: a small red circle"; a caption that opens with its own mark stays."""
    return "\n".join(
        caption if caption.startswith(f"[{mark}]") else f"[{mark}]: {caption}"
        for mark, caption in instances.items()
        if caption.strip()
    )


def as_turns(pairs: Pairs) -> list[tuple[str, str]]:
    """Read (question, answer) from record entries, `QAPair`s or plain pairs."""
    turns = []
    for pair in pairs:
        if isinstance(pair, QAPair):
            turns.append((pair.question, pair.answer))
        else:
            turns.append((pair["question"], pair["answer"]) if isinstance(pair, dict) else (pair[0], pair[1]))
    return turns


def qa_dialogue(image_path: str, pairs: Pairs, name: str) -> Dialogue | None:
    """Ask questions about one marked picture (group 4, kind "image_qa").

    This is ours, not the paper's: INST-IT's image records carry no questions (paper-facts D.2). They teach
    a micro model to look up single marks; leave this kind out to follow the paper to the letter.
    """
    return make_dialogue(name, [image_path], as_turns(pairs), 4, "image_qa")


def general_dialogue(image_path: str | None, pairs: Pairs, name: str) -> Dialogue | None:
    """Ask questions about one unmarked picture, or about none (group 0): stands in for LLaVA-NeXT-Data."""
    return make_dialogue(name, [] if image_path is None else [image_path], as_turns(pairs), 0, "general")


def turns_of(dialogue: Dialogue) -> list[tuple[str, str]]:
    """Return the (question, answer) pairs of a dialogue, without the placeholders at its head."""
    values = [turn["value"] for turn in dialogue["conversations"]]
    head = len(f"{PLACEHOLDER}\n") * len(dialogue["image"])
    return list(zip([values[0][head:], *values[2::2]], values[1::2]))


def table7_line(dialogues: Iterable[Dialogue], line: int) -> list[Dialogue]:
    """Keep what line `line` of Table 7 trains on: its own group and all before it, the paper's kinds only."""
    return [d for d in dialogues if d["group"] <= line and d["kind"] != "image_qa"]


def check_dialogue(dialogue: Dialogue, path: str | Path | None = None) -> None:
    """Raise `RecordError` unless the dialogue has its keys, its turns alternate and its placeholders fit."""
    if not isinstance(dialogue, dict) or set(dialogue) != set(DIALOGUE_KEYS):
        found = sorted(dialogue) if isinstance(dialogue, dict) else kind_of(dialogue)
        raise RecordError(f"a dialogue must have the keys {list(DIALOGUE_KEYS)}, not {found}", path=path,
                          cure="make dialogues with `dataset.dialogues`")  # fmt: skip
    reader = RecordReader(path, f"dialogue {dialogue['id']}")
    turns, pictures = dialogue["conversations"], dialogue["image"]
    if dialogue["kind"] not in KINDS or dialogue["group"] not in GROUPS:
        raise reader.fail("kind", f"{dialogue['kind']!r} of group {dialogue['group']!r} does not exist")
    try:
        said = [turn["from"] for turn in turns]
        texts = [turn["value"] + "" for turn in turns]
        paths = [picture + "" for picture in pictures]
    except (TypeError, KeyError) as problem:
        raise reader.fail("conversations", f"is no list of from and value ({problem})") from problem
    if not turns or said != ["human", "gpt"] * (len(turns) // 2):
        raise reader.fail("conversations", "human and gpt do not take turns, or the last answer is missing")
    head = f"{PLACEHOLDER}\n" * len(paths)
    bodies = [texts[0][len(head) :], *texts[1:]]
    stray = any(word in body for body in bodies for word in (PLACEHOLDER, "<video>"))
    if stray or not texts[0].startswith(head):
        raise reader.fail("conversations", f"the placeholders do not fit the {len(paths)} pictures",
                          "one <image> per picture at the head of the first turn, no other")  # fmt: skip


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
