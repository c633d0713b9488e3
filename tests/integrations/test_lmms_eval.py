"""The lmms-eval task folder: its form and its scores everywhere, and lmms-eval itself where it is installed.

lmms-eval is no dependency of the kit. In an environment of its own (`pip install lmms-eval pytest`) this file runs
whole, without the kit: `python -m pytest tests/integrations/test_lmms_eval.py`.
"""

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from PIL import Image

INSTALLED = importlib.util.find_spec("lmms_eval") is not None
FOLDER = Path(__file__).parents[2] / "integrations" / "lmms_eval" / "instit_bench"
TASKS = {
    "instit_bench_image_mc": "image_multi_choice", "instit_bench_image_oe": "image_open_ended",
    "instit_bench_video_mc": "video_multi_choice", "instit_bench_video_oe": "video_open_ended",
}  # fmt: skip
CHOICES = {f"choice_{k}": text for k, text in zip("abcd", ("a red cup", "[1]", "Nothing", "a dog"))}
IMAGE_MC = {"question_id": "012-03", "question": "What does [2] hold?", "answer": "A", **CHOICES}
VIDEO_OE = {"question_id": "7-1", "question": "What happens at <2>-<3>?", "answer": "[1] [2] run at <2>-<3>.",
            "video_path": "videos_vpt/7"}  # fmt: skip


class Loader(yaml.SafeLoader):
    """YAML as lmms-eval reads it: `!function utils.name`."""


Loader.add_constructor("!function", lambda loader, node: node.value)


def config_of(path):
    """A task's configuration with what it includes."""
    found = yaml.load(path.read_text(), Loader)
    base = found.pop("include", None)
    return (config_of(path.parent / base) if base else {}) | found


@pytest.fixture(scope="module")
def utils():
    """The folder's functions; where lmms-eval is not installed, its one import is stood in for."""
    names = ("lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks._task_utils", "lmms_eval.tasks._task_utils.file_utils")
    if not INSTALLED:
        sys.modules.update({name: ModuleType(name) for name in names})
        sys.modules[names[-1]].generate_submission_file = lambda name, args: str(Path(args.output_path) / name)
    spec = importlib.util.spec_from_file_location("instit_bench_utils", FOLDER / "utils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in () if INSTALLED else names:
        del sys.modules[name]


def test_the_group_lists_every_task():
    assert config_of(FOLDER / "instit_bench.yaml") == {"group": "instit_bench", "task": list(TASKS)}


@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_form(task, utils):
    config = config_of(FOLDER / f"{task}.yaml")
    assert config["task"] == task and config["dataset_path"] == "Inst-IT/Inst-It-Bench"
    assert config["dataset_name"] == TASKS[task] and config["test_split"] == "test"
    assert config["output_type"] == "generate_until" and config["generation_kwargs"]["do_sample"] is False
    assert ("video" in config["dataset_kwargs"]) == ("video" in task)
    named = re.findall(r"utils\.(\w+)", json.dumps(config))
    assert len(named) >= 6 and all(callable(getattr(utils, name)) for name in named)
    metrics = [metric["metric"] for metric in config["metric_list"]]
    results = getattr(utils, config["process_results"].removeprefix("utils."))
    doc = (IMAGE_MC if task.endswith("mc") else VIDEO_OE) | {"video_path": "videos_vpt/7" if "video" in task else None}
    assert set(results(doc, ["[1] at <2>"])) - {"time_iou"} == set(metrics) - {"time_iou"}


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("A", "A"), ("(b)", "B"), ("C.", "C"), ("D: a dog", "D"), ("a dog", "D"), ("nothing", "C"),
     ("A. because it is red", "A"), ("A: a dog", None), ("A dog", "D"), ("A man holds it", None), ("", None), ("Because [1] moves", None)],
)  # fmt: skip
def test_letters_are_read_strictly(utils, reply, letter):
    doc = IMAGE_MC | {"choice_d": "a dog"}
    options = {k: doc[f"choice_{k.lower()}"] for k in "ABCD"}
    assert utils.read_letter(reply, options) == letter


def test_what_cannot_be_read_stays_in_the_denominator(utils):
    replies = ["A", "B", "I cannot tell", "A"]
    found = [utils.choice_results(IMAGE_MC, [reply]) for reply in replies]
    assert utils.mean([f["accuracy"] for f in found]) == 0.5 and utils.mean([f["parsed"] for f in found]) == 0.75
    assert found[0]["accuracy"] == {"score": 1.0, "clip": "012"}


def test_open_answers_are_counted_by_marks_and_moments(utils):
    found = utils.open_results(VIDEO_OE, ["[1] runs at <3>-<4>, says [3]"])
    assert found["id_f1"]["score"] == 0.5 and found["time_iou"]["score"] == pytest.approx(1 / 3)
    none = utils.open_results(VIDEO_OE | {"answer": "It rains."}, ["[1] at <3>"])
    assert set(none) == {"predictions"}
    assert utils.moments("<1>-<9999999999>") and len(utils.moments("<1>-<9999999999>")) <= 1000


def test_predictions_are_written_in_the_benchs_format(utils, tmp_path):
    rows = [utils.open_results(VIDEO_OE, ["It runs."])["predictions"]]
    assert utils.video_open_file(rows, SimpleNamespace(output_path=str(tmp_path))) == 1
    written = json.loads(next(tmp_path.rglob("video_oe_inference.json")).read_text())
    assert written == [{"question_id": "7-1", "question": VIDEO_OE["question"], "model_prediction": "It runs.",
                        "ground_truth": VIDEO_OE["answer"], "split": "video"}]  # fmt: skip


def test_frames_come_in_the_order_of_their_numbers(utils, tmp_path, monkeypatch):
    monkeypatch.setenv("INSTIT_BENCH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="INSTIT_BENCH"):
        utils.video_visual(VIDEO_OE)
    frames(tmp_path)
    assert [picture.size[0] for picture in utils.video_visual(VIDEO_OE)] == [11, 12, 20]


def frames(folder):
    place = folder / "videos_vpt" / "7"
    place.mkdir(parents=True)
    for number in (10, 1, 2):
        Image.new("RGB", (number + 10, 8)).save(place / f"frame_{number}.jpg")


@pytest.fixture
def local(tmp_path, monkeypatch):
    """The task folder with its data set replaced by a local one of the same columns."""
    import datasets

    monkeypatch.setenv("INSTIT_BENCH", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "instit_bench").mkdir(parents=True)  # as if the archives were unpacked
    frames(tmp_path)
    picture = Image.new("RGB", (20, 10))
    image_oe = {"question_id": "012-03", "question": "What is [2]?", "answer": "[2] is a cup.", "image": picture}
    rows = {"image_multi_choice": IMAGE_MC | {"image": picture}, "image_open_ended": image_oe,
            "video_multi_choice": IMAGE_MC | {"video_path": "videos_vpt/7"}, "video_open_ended": VIDEO_OE}  # fmt: skip
    data = tmp_path / "bench"
    for name, row in rows.items():
        (data / name).mkdir(parents=True)
        datasets.Dataset.from_list([row, row | {"question_id": "013-01"}]).to_parquet(data / name / "test-0.parquet")
    configs = [{"config_name": name, "data_files": [{"split": "test", "path": f"{name}/test-*"}]} for name in rows]
    (data / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
    copy = tmp_path / "tasks"
    shutil.copytree(FOLDER, copy / "instit_bench")
    template = copy / "instit_bench" / "_default_template_yaml"
    template.write_text(template.read_text().replace("Inst-IT/Inst-It-Bench", str(data)))
    return copy


@pytest.mark.skipif(not INSTALLED, reason="lmms-eval is not installed here")
def test_lmms_eval_itself_loads_and_scores_it(local, tmp_path):
    """Its own manager finds the group, its own evaluator runs the four tasks with a model that always says one thing."""
    from lmms_eval.api.model import lmms
    from lmms_eval.evaluator import evaluate
    from lmms_eval.tasks import TaskManager, get_task_dict

    class Parrot(lmms):
        asked = []

        def generate_until(self, requests):
            for request in requests:
                text, _, visuals, doc_id, task, split = request.args
                self.asked.append((task, text, visuals(self.task_dict[task][split][doc_id])))
            return ["A"] * len(requests)

        def loglikelihood(self, requests):
            raise NotImplementedError

        def generate_until_multi_round(self, requests):
            raise NotImplementedError

    manager = TaskManager(include_path=str(local), include_defaults=False)
    assert "instit_bench" in manager.all_groups and set(TASKS) <= set(manager.all_subtasks)
    tasks = get_task_dict(["instit_bench"], manager)
    model, arguments = Parrot(), SimpleNamespace(output_path=str(tmp_path / "out"), process_with_media=False)
    for task in (task for group in tasks.values() for task in group.values()):
        task.args = arguments
        model.task_dict[task.config.task] = task.dataset
    found = evaluate(lm=model, task_dict=tasks, bootstrap_iters=0, cli_args=arguments)["results"]
    assert found["instit_bench_image_mc"]["accuracy,none"] == 1.0 == found["instit_bench_video_mc"]["parsed,none"]
    assert found["instit_bench_image_oe"]["id_f1,none"] == 0.0 == found["instit_bench_video_oe"]["time_iou,none"]
    shown = {task: (text, len(pictures)) for task, text, pictures in model.asked}
    assert shown["instit_bench_video_oe"][1] == 3 and "\nA. a red cup\nB. [1]\n" in shown["instit_bench_image_mc"][0]
    assert len(list((tmp_path / "out").rglob("*_inference.json"))) == 4
