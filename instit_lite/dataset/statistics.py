"""What the dataset's texts are like. In: INST-IT records. Out: its Table 9, and counts per clip.

Tables are {"title", "columns", "rows", "note"}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .records import is_video

PAPER_TABLE_9 = [
    ["instance", 836_524, 102.1, 24.3, 1.5],
    ["frame", 207_662, 458.0, 106.5, 5.7],
    ["temporal change", 135_143, 306.6, 67.7, 3.7],
    ["video", 21_372, 1441.8, 342.2, 14.3],
    ["all", 1_200_701, 210.5, 49.1, 2.7],
]
NOTE = (
    "Means per caption; empty captions are not counted. A word is what stands between blanks, so [1] and <3> "
    "are words; a sentence ends with . ! or ? before a blank or the end. The paper does not say how it "
    "counts. Its columns of parts of speech are left out: they need a tagger, which the kit does not carry."
)


def captions_of(records: Iterable[dict]) -> dict[str, list[str]]:
    """Gather all captions by level; pictures count as frames, as in the paper's counts."""
    found: dict[str, list[str]] = {"instance": [], "frame": [], "temporal change": [], "video": []}
    for record in records:
        if is_video(record):
            for frame in record["frame_level_caption"]:
                found["instance"] += frame["instance_level"].values()
                found["frame"].append(frame["image_level"])
                found["temporal change"].append(frame["temporal_change"] or "")
            found["video"].append(record["video_level_caption"] or "")
        else:
            found["instance"] += record["instance_level_caption"].values()
            found["frame"].append(record["image_level_caption"])
    return {level: [text for text in texts if text.strip()] for level, texts in found.items()}


def text_statistics(records: Iterable[dict]) -> dict:
    """Return the columns of the paper's Table 9, parts of speech left out; an empty level has means None."""
    found = captions_of(records)
    found["all"] = [text for texts in found.values() for text in texts]
    rows = []
    for level, texts in found.items():
        chars, words = [len(text) for text in texts], [len(text.split()) for text in texts]
        sentences = [len(re.split(r"(?<=[.!?])\s+", text.strip())) for text in texts]
        rows.append([level, len(texts), mean(chars), mean(words), mean(sentences)])
    columns = ["caption type", "count", "chars", "words", "sentences"]
    return {"title": "Text statistics (as Table 9)", "columns": columns, "rows": rows, "note": NOTE}


def dataset_counts(records: Iterable[dict]) -> dict:
    """Return how much there is: clips, frames, instances and QA pairs, and what one clip holds on average."""
    records = list(records)
    clips = [record for record in records if is_video(record)]
    pictures = [record["instance_level_caption"] for record in records if not is_video(record)]
    frames = [frame for clip in clips for frame in clip["frame_level_caption"]]
    marks = [{m for frame in clip["frame_level_caption"] for m in frame["instance_level"]} for clip in clips]
    pairs = [len(clip["question_answer_pairs"]) for clip in clips]
    rows = [
        ["clips", len(clips)],
        ["frames", len(frames)],
        ["frames per clip", mean([len(clip["frame_level_caption"]) for clip in clips])],
        ["instances in clips", sum(map(len, marks))],
        ["instances per clip", mean(list(map(len, marks)))],
        ["instances per frame", mean([len(frame["instance_level"]) for frame in frames])],
        ["temporal changes", sum(bool(frame["temporal_change"]) for frame in frames)],
        ["clips with a video caption", sum(bool(clip["video_level_caption"]) for clip in clips)],
        ["QA pairs", sum(pairs)],
        ["QA pairs per clip", mean(pairs)],
        ["images", len(pictures)],
        ["instances per image", mean(list(map(len, pictures)))],
    ]
    note = "An instance of a clip is a mark id that is described in at least one of its frames."
    return {"title": "What the dataset holds", "columns": ["what", "number"], "rows": rows, "note": note}


def format_table(table: dict) -> str:
    """A table as aligned text for a terminal."""
    rows = [[str(value) for value in row] for row in [table["columns"], *table["rows"]]]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(value.ljust(width) for value, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([table["title"], *lines, table["note"]])


def mean(values: Sequence[float]) -> float | None:
    """Mean to one decimal, None of nothing."""
    return round(sum(values) / len(values), 1) if values else None
