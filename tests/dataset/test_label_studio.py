"""The export: the task format that Label Studio documents, and a form that asks for nothing the tasks lack."""

import json
import re
from xml.etree import ElementTree

from instit_lite.dataset.decisions import DecisionFile
from instit_lite.dataset.doubts import Annotations
from instit_lite.dataset.label_studio import export

# Of each control: the type of its results, and the key of their value (label_studio_sdk 2.1.2, `LabelInterface`).
RESULTS = {"Choices": ("choices", "choices"), "TextArea": ("textarea", "text")}


def exported(folder, tmp_path, **options):
    found = Annotations(folder)
    ann, ben = (DecisionFile(tmp_path / "decisions", name) for name in ("ann", "ben"))
    ann.decide(found.items[0], "edit", "a <b>green</b> circle")
    ann.decide(found.items[1], "accept")
    ben.decide(found.items[1], "reject")
    tasks, form = export(found, [ann, ben], tmp_path / "out", **options)
    return found, json.loads(tasks.read_text()), ElementTree.fromstring(form.read_text())


def test_each_item_is_a_task_with_a_prediction_and_the_decisions(annotated, tmp_path):
    found, tasks, _ = exported(annotated(), tmp_path)
    assert [task["data"]["item"] for task in tasks] == [str(item) for item in found.items]
    values = [[region["value"] for region in one["result"]] for task in tasks[:2] for one in task["annotations"]]
    assert values == [
        [{"choices": ["edit"]}, {"text": ["a <b>green</b> circle"]}], [{"choices": ["accept"]}], [{"choices": ["reject"]}],
    ]  # fmt: skip
    assert [task["data"]["reviewers"] for task in tasks[:3]] == [["ann"], ["ann", "ben"], []]
    assert all(task["predictions"][0]["result"][0]["value"]["text"] == [task["data"]["told"]] for task in tasks)
    assert {task["predictions"][0]["model_version"] for task in tasks} == {"a test"}
    said = {task["data"]["item"]: task["data"]["doubts"] for task in tasks}
    assert said["video 1 question 2"] == "[7] unknown id: is no mark"
    assert said["video 1 summary"] == "The audit doubts nothing."
    assert next(t for t in tasks if t["data"]["item"] == "video 1 question 2")["data"]["title"].endswith("who moves?")


def test_results_fit_the_form_and_every_id_is_used_once(annotated, tmp_path):
    _, tasks, form = exported(annotated(), tmp_path)
    controls = {tag.get("name"): tag for tag in form.iter() if tag.tag in RESULTS}
    objects = {tag.get("name") for tag in form.iter() if tag.tag in ("Text", "Image")}
    wanted = {value[1:] for tag in form.iter() for value in tag.attrib.values() if value.startswith("$")}
    labels = {choice.get("value") for choice in form.iter("Choice")}
    ids = []
    for task in tasks:
        assert set(task) == {"data", "predictions", "annotations"} and wanted <= set(task["data"])
        for region in [r for made in task["predictions"] + task["annotations"] for r in made["result"]]:
            control = controls[region["from_name"]]
            assert region["to_name"] == control.get("toName") and region["to_name"] in objects
            kind, key = RESULTS[control.tag]
            assert region["type"] == kind and list(region["value"]) == [key]
            assert kind != "choices" or set(region["value"][key]) <= labels
            ids.append(region["id"])
    assert len(set(ids)) == len(ids) > len(tasks)


def test_frames_are_addresses_of_files_that_are_there(annotated, tmp_path):
    folder = annotated(name="my clip#1")
    _, tasks, _ = exported(folder, tmp_path)
    assert tasks[0]["data"]["frames"] == [f"/data/local-files/?d=my%20clip%231/frames/{t:05d}.jpg" for t in (1, 2)]
    _, tasks, _ = exported(folder, tmp_path, prefix="http://127.0.0.1:8000/")
    assert tasks[0]["data"]["frames"][1] == "http://127.0.0.1:8000/my%20clip%231/frames/00002.jpg"


def test_what_a_model_wrote_stays_a_text(annotated, tmp_path):
    hostile = '</Text><Choices name="x"/> $doubts <script>alert(1)</script>'
    _, tasks, form = exported(annotated(said=hostile), tmp_path)
    assert tasks[0]["data"]["told"] == hostile
    assert not re.search("script|alert", ElementTree.tostring(form, encoding="unicode"))
