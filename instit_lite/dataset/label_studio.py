"""For Label Studio. In: annotations and decisions. Out: `tasks.json` and `config.xml`, its import and its labeling form.

One task an item: the clip as an image sequence, the text, the audit's doubts. The annotator's text goes in as a
prediction, each reviewer's decision as an annotation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from ..profiles import atomic_write_text
from .decisions import VERDICTS, Decision, DecisionFile, Item
from .doubts import Annotations

LOCAL_FILES = "/data/local-files/?d="  # how Label Studio serves files of its own machine
CONFIG = f"""<View>
  <Header value="$title"/>
  <Image name="clip" valueList="$frames"/>
  <Text name="told" value="$told"/>
  <Header value="$doubts" size="5"/>
  <Choices name="verdict" toName="told" choice="single" showInline="true" required="true">
    {"".join(f'<Choice value="{verdict}" hotkey="{verdict[0]}"/>' for verdict in VERDICTS)}
  </Choices>
  <TextArea name="corrected" toName="told" rows="3" maxSubmissions="1" editable="true"
            visibleWhen="choice-selected" whenTagName="verdict" whenChoiceValue="edit"/>
</View>
"""


def export(
    annotations: Annotations, reviewers: Sequence[DecisionFile], out: str | Path, prefix: str = LOCAL_FILES
) -> list[Path]:
    """Write the tasks of all items, and the form; return both paths.

    A frame's address is `prefix`, the folder's name and its path there: serve the folder above, or give the address of
    a web server. Pictures are audited again, so that a large dataset takes minutes.
    """
    tasks = [task_of(item, annotations, reviewers, prefix) for item in tqdm(annotations.items, desc="tasks", mininterval=2)]
    files = [Path(out) / "tasks.json", Path(out) / "config.xml"]
    atomic_write_text(files[0], json.dumps(tasks, indent=1) + "\n")
    atomic_write_text(files[1], CONFIG)
    return files


def task_of(item: Item, annotations: Annotations, reviewers: Sequence[DecisionFile], prefix: str) -> dict:
    """One item in Label Studio's task format; `data.reviewers` names who made which annotation, in their order."""
    doubts = annotations.doubts(item)
    said = "Not audited: no masks." if doubts is None else "; ".join(doubts) or "The audit doubts nothing."
    frames = [prefix + quote(f"{annotations.folder.resolve().name}/{path.as_posix()}") for path in annotations.pictures(item.clip)]
    decided = [decision for file in reviewers if (decision := file.of(item))]
    return {
        "data": {
            "item": item.key, "clip": item.clip, "kind": item.kind, "title": f"{item}: {item.question}".rstrip(": "),
            "frames": frames, "told": item.told, "doubts": said, "reviewers": [d.reviewer for d in decided],
        },
        "predictions": [
            {"model_version": annotations.annotator, "result": [region(item.key, "corrected", "textarea", "text", item.told)]}
        ],
        "annotations": [annotation(decision) for decision in decided],
    }  # fmt: skip


def annotation(decision: Decision) -> dict:
    """A decision in Label Studio's form."""
    name = f"{decision.item}/{decision.reviewer}"
    result = [region(f"{name}/verdict", "verdict", "choices", "choices", decision.verdict)]
    if decision.text is not None:
        result.append(region(f"{name}/text", "corrected", "textarea", "text", decision.text))
    return {"result": result, "was_cancelled": False, "ground_truth": False, "created_at": decision.time}


def region(name: str, control: str, kind: str, key: str, value: str) -> dict:
    return {"id": name, "from_name": control, "to_name": "told", "type": kind, "value": {key: [value]}}
