"""The prompts P^f, P^vid and P^qa. In: a prompt's name, frame annotations. Out: the text that is posted.

The wording is our own and lives in `prompts/*.md`, one file per equation, one `## section` per message
(paper, Figures 5 to 7). Edit the files to try another wording; the ledger tells the answers apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InstitError
from .schema import FrameAnnotation

FOLDER = Path(__file__).parent / "prompts"
NO_CHANGE = "none"


def load_prompt(name: str, folder: Path = FOLDER) -> dict[str, str]:
    """Read `prompts/<name>.md` ("frame", "video" or "qa") into its sections, by heading."""
    file = folder / f"{name}.md"
    if not file.is_file():
        raise InstitError("there is no such prompt", path=file, cure="use frame, video or qa")
    parts = re.split(r"^## +(.+?) *$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {heading: text.strip() for heading, text in zip(parts[1::2], parts[2::2])}


def fill(name: str, section: str, **values: object) -> str:
    """Return one section with every `{{name}}` replaced; refuse one that nobody fills."""
    text = load_prompt(name).get(section)
    if text is None:
        raise InstitError(f"the prompt {name}.md has no section {section!r}", cure="restore the heading")
    for gap in re.findall(r"{{(\w+)}}", text):
        if gap not in values:
            raise InstitError(f"the prompt {name}.md asks for {gap!r}, which nobody gives", cure="remove it")
    return re.sub(r"{{(\w+)}}", lambda gap: str(values[gap[1]]), text)


def frame_notes(frames: Sequence[FrameAnnotation], with_instances: bool) -> str:
    """Write frame annotations as the notes that equations 2 and 3 read, a block of lines per frame.

    Equation 3 leaves the instance captions out, as the paper's Figure 7 does. Line breaks inside a text
    become spaces, so that a block's lines can be told apart.
    """
    blocks = []
    for frame in frames:
        told = [f"[{i.id}]: {i.caption}" for i in frame.instances] if with_instances else []
        told += [f"Frame: {frame.image_level}", f"Change: {frame.temporal_change or NO_CHANGE}"]
        blocks.append("\n".join([f"<{frame.timestamp}>", *(" ".join(line.split()) for line in told)]))
    return "\n\n".join(blocks)
