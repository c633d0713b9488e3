"""A small folder in the layout of the published Inst-It Bench, and predictions in upstream's format. All made up."""

import json

import numpy as np
from PIL import Image

OPTIONS = {"A": "A rope", "B": "[2] holds a red cup.", "C": "Nothing", "D": "[1]'s hand"}
TRUTHS = ["B", "C", "A", "D", "B", "B", "C", "A"]  # of four clips, two questions each


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def rows(split, form):
    """Bench rows; the second of a clip names a moment, and has its options in columns."""
    for k, letter in enumerate(TRUTHS):
        clip, second = f"{k // 2 + 1:03d}", k % 2
        truth = OPTIONS[letter] if form == "open" else letter
        row = {"question_id": f"{clip}-{second + 1:02d}", f"{split}_id": clip, "answer": truth,
               "question": f"What is [2] holding at <{k}>?" if second else "Who is there?"}  # fmt: skip
        row[f"{split}_path"] = f"images_vpt/{clip}.jpg" if split == "image" else f"videos_vpt/{clip}"
        if form == "choice":
            columns = {f"choice_{k.lower()}": text for k, text in OPTIONS.items()}
            row |= columns if second else {"options": OPTIONS, "meta_info": {}}
        yield row


def make_bench(folder, pictures=True):
    for split in ("image", "video"):
        for form, name in (("open", "open_ended"), ("choice", "multi_choices")):
            write(folder / f"{split}_{name}.json", list(rows(split, form)))
    for clip in ("001", "002", "003", "004") if pictures else ():
        (folder / "images_vpt").mkdir(exist_ok=True)
        (folder / "videos_vpt" / clip).mkdir(parents=True)
        Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(folder / "images_vpt" / f"{clip}.jpg")
        for t in (8, 9, 10):
            Image.fromarray(np.full((20, 30, 3), 20 * t, np.uint8)).save(folder / "videos_vpt" / clip / f"{t}.png")
    return folder


def predictions(said, split="video", form="choice", truths=None):
    """Rows in upstream's format for what was said about the questions in their order."""
    asked = list(rows(split, form))[: len(said)]
    return [
        {"question_id": row["question_id"], "question": row["question"], "model_prediction": text,
         "ground_truth": truth or row["answer"], "split": split}
        for row, text, truth in zip(asked, said, truths or [None] * len(said))
    ]  # fmt: skip
