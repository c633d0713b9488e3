"""The prompts P^f, P^vid and P^qa. In: a prompt's name, frame annotations. Out: the text that is posted.

The wording is our own and lives in `prompts/*.md`, one file per equation, one `## section` per message
(paper, Figures 5 to 7). Edit the files to try another wording; the ledger tells the answers apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

from ..errors import InstitError
from .schema import FrameAnnotation

NO_CHANGE = "none"


@lru_cache
def load_prompt(name: str) -> dict[str, str]:
    """Read `prompts/<name>.md` ("frame", "video" or "qa") into its sections, by heading."""
    file = resources.files(__package__) / "prompts" / f"{name}.md"
    if not file.is_file():
        raise InstitError("there is no such prompt", path=str(file), cure="use frame, video or qa")
    parts = re.split(r"^## +(.+?) *$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {heading: text.strip() for heading, text in zip(parts[1::2], parts[2::2])}


def fill(name: str, section: str, **values: object) -> str:
    """Return one section with every `{{name}}` replaced; refuse one that nobody fills."""
    sections = load_prompt(name)
    if section not in sections:
        raise InstitError(f"the prompt {name}.md has no section {section!r}", cure="restore the heading")
    wanted = re.findall(r"{{(\w+)}}", sections[section])
    if missing := [gap for gap in wanted if gap not in values]:
        reason = f"the prompt {name}.md asks for {missing[0]!r}, which nobody gives"
        raise InstitError(reason, cure="remove it")
    return re.sub(r"{{(\w+)}}", lambda gap: str(values[gap[1]]), sections[section])


def frame_notes(frames: Sequence[FrameAnnotation], with_instances: bool) -> str:
    """Write frame annotations as the notes that equations 2 and 3 read, a block of lines per frame.

    Equation 3 leaves the instance captions out, as the paper's Figure 7 does. Line breaks inside a text
    become spaces, so that a block's lines can be told apart.
    """
    blocks = []
    for frame in frames:
        lines = [f"<{frame.timestamp}>"]
        if with_instances:
            lines += [f"[{i.id}]: {one_line(i.caption)}" for i in frame.instances]
        lines.append(f"Frame: {one_line(frame.image_level)}")
        lines.append(f"Change: {one_line(frame.temporal_change or NO_CHANGE)}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def one_line(text: str) -> str:
    return " ".join(text.split())
