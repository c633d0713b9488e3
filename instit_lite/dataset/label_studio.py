"""For Label Studio. In: annotations and decisions. Out: `tasks.json` to import, `config.xml`, its labeling form.

A task is an item: the clip as a sequence of images, the text, what the audit doubts. The annotator's text is the task's
prediction, a reviewer's decision an annotation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from ..profiles import atomic_write_text
from .decisions import VERDICTS, DecisionFile, Item
from .doubts import Annotations

LOCAL_FILES = "/data/local-files/?d="  # how Label Studio serves files of its own machine
CONFIG = f"""<View>
  <Header value="$title"/>
  <Image name="clip" valueList="$frames" maxWidth="420px"/>
  <Text name="told" value="$told"/>
  <Header value="$doubts" size="5"/>
  <Choices name="verdict" toName="told" choice="single" showInline="true" required="true">
    {"".join(f'<Choice value="{verdict}" hotkey="{verdict[0]}"/>' for verdict in VERDICTS)}
  </Choices>
  <TextArea name="text" toName="told" rows="3" maxSubmissions="1" editable="true"
            visibleWhen="choice-selected" whenTagName="verdict" whenChoiceValue="edit"/>
</View>
"""


def export(found: Annotations, reviewers: Sequence[DecisionFile], out: Path, prefix: str = LOCAL_FILES) -> list[Path]:
    """Write the tasks of all items and the form into `out`; a frame's address is `prefix`, its folder, its path."""
    tasks = [task_of(item, found, reviewers, prefix) for item in tqdm(found.items, desc="tasks", mininterval=2)]
    atomic_write_text(out / "tasks.json", json.dumps(tasks, indent=1) + "\n")
    atomic_write_text(out / "config.xml", CONFIG)
    return [out / "tasks.json", out / "config.xml"]


def task_of(item: Item, found: Annotations, reviewers: Sequence[DecisionFile], prefix: str) -> dict:
    """One item in Label Studio's task format; `data.reviewers` names who made the annotations, in their order."""
    doubts = found.doubts(item)
    said = "Not audited: no masks." if doubts is None else "; ".join(doubts) or "The audit doubts nothing."
    paths = [f"{found.folder.name}/{path.as_posix()}" for path in found.pictures(item.clip).values()]
    decided = [decision for file in reviewers if (decision := file.of(item))]
    annotations = []
    for decision in decided:
        name = f"{item} {decision.reviewer}"
        result = [region(f"{name} verdict", "verdict", "choices", "choices", decision.verdict)]
        result += [region(f"{name} text", "text", "textarea", "text", decision.text)] if decision.text else []
        annotations.append({"result": result, "was_cancelled": False, "ground_truth": False})
    data = {"item": str(item), "title": f"{item}. {item.question}".strip(), "told": item.told, "doubts": said,
            "frames": [prefix + quote(path) for path in paths], "reviewers": [d.reviewer for d in decided]}  # fmt: skip
    prediction = {"model_version": found.annotator, "result": [region(str(item), "text", "textarea", "text", item.told)]}
    return {"data": data, "predictions": [prediction], "annotations": annotations}


def region(name: str, control: str, kind: str, key: str, value: str) -> dict:
    return {"id": name, "from_name": control, "to_name": "told", "type": kind, "value": {key: [value]}}
