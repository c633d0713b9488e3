"""Inst-It Bench for lmms-eval. In: rows of Inst-IT/Inst-It-Bench and replies. Out: prompts, pictures, scores.

Needs nothing but lmms-eval. Multiple choice keeps every question in the denominator, unlike the bench's own script.
Open-ended answers are a judge's work: here stands only what can be counted (which marks and moments an answer names),
and a file in the bench's format, which its own script or `instit-lite evaluate score` grades.
"""

import json
import os
import re
from pathlib import Path

from lmms_eval.tasks._task_utils.file_utils import generate_submission_file
from PIL import Image

LETTERS = "ABCD"
MARKS = "Every object of interest bears a number; [1] means the object with the number 1."
TIMES = " <2> means the second frame, and <2>-<5> the frames from the second to the fifth."
FORMS = " Name objects and moments only in this way, each in brackets of its own."
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def folder():
    """Where videos_vpt lies: $INSTIT_BENCH, or where lmms-eval unpacks the bench's archives."""
    home = os.path.expanduser(os.environ.get("HF_HOME", "~/.cache/huggingface"))
    return Path(os.environ.get("INSTIT_BENCH") or Path(home) / "instit_bench")


def is_video(doc):
    return bool(doc.get("video_path"))


def image_visual(doc):
    return [doc["image"].convert("RGB")]


def video_visual(doc):
    """All frames of a clip, in the order of the numbers in their names."""
    place = folder() / doc["video_path"]
    files = [f for f in place.iterdir() if f.suffix.lower() in PICTURES] if place.is_dir() else []
    if not files:
        raise FileNotFoundError(f"{place} holds no frames: unpack videos_vpt.zip, and set INSTIT_BENCH to its folder")
    numbered = sorted(files, key=lambda f: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", f.name)])
    return [Image.open(f).convert("RGB") for f in numbered]


def choice_text(doc, lmms_eval_specific_kwargs=None):
    options = [f"{letter}. {doc[f'choice_{letter.lower()}']}" for letter in LETTERS]
    closing = "Answer with the letter of the right option only."
    return "\n".join([MARKS + TIMES * is_video(doc), doc["question"], *options, closing])


def open_text(doc, lmms_eval_specific_kwargs=None):
    return f"{MARKS}{TIMES * is_video(doc)}{FORMS}\n{doc['question']}"


def target(doc):
    return doc["answer"]


def read_letter(text, options):
    """The letter that a reply begins with, or whose option it is; None where it chooses none."""
    text = text.strip()
    found = re.fullmatch(r"\(?([A-Da-d])(?:\)[.:]?|[.:]|$)\s*(.*)", text, re.DOTALL)
    if found:
        letter, rest = found[1].upper(), found[2].strip().casefold()
        other = [k for k in LETTERS if k != letter and options[k].strip().casefold() == rest and rest]
        return None if other else letter
    same = [k for k in LETTERS if options[k].strip().casefold() == text.casefold()]
    return same[0] if len(same) == 1 else None


def row(doc, reply):
    """One line of the bench's prediction file."""
    split = "video" if is_video(doc) else "image"
    return {"question_id": doc["question_id"], "question": doc["question"], "model_prediction": reply,
            "ground_truth": doc["answer"], "split": split}  # fmt: skip


def scored(doc, score):
    """A score with the clip that it is about, by which lmms-eval clusters its standard errors."""
    return {"score": float(score), "clip": str(doc["question_id"]).rsplit("-", 1)[0]}


def choice_results(doc, results):
    letter = read_letter(results[0], {k: doc[f"choice_{k.lower()}"] for k in LETTERS})
    return {
        "accuracy": scored(doc, letter == doc["answer"].strip()), "parsed": scored(doc, letter is not None),
        "predictions": row(doc, results[0]),
    }  # fmt: skip


def open_results(doc, results):
    """F1 of the mark ids, and IoU of the moments, where the reference names any."""
    found = {"predictions": row(doc, results[0])}
    said, true = (set(re.findall(r"\[(\d+)\]", text)) for text in (results[0], doc["answer"]))
    if true:
        found["id_f1"] = scored(doc, 2 * len(said & true) / (len(said) + len(true)))
    said, true = moments(results[0]), moments(doc["answer"])
    if true:
        found["time_iou"] = scored(doc, len(said & true) / len(said | true))
    return found


def moments(text):
    """The frames that a text names, as <3> or <3>-<5>."""
    spans = re.findall(r"<(\d+)>(?:\s*-\s*<(\d+)>)?", text)
    return {t for first, last in spans for t in range(int(first), min(int(last or first), int(first) + 999) + 1)}


def mean(items):
    return sum(item["score"] for item in items) / len(items) if items else float("nan")


def image_choice_file(results, args):
    return write(results, args, "image_mc")


def image_open_file(results, args):
    return write(results, args, "image_oe")


def video_choice_file(results, args):
    return write(results, args, "video_mc")


def video_open_file(results, args):
    return write(results, args, "video_oe")


def write(results, args, name):
    """Write predictions as the bench's own script does; return how many."""
    path = generate_submission_file(f"{name}_inference.json", args)
    Path(path).write_text(json.dumps(results, ensure_ascii=False, indent=1), encoding="utf-8")
    return len(results)
