"""Every model of Table 2 that has a class is asked as that class is, on random weights; APIs over loopback."""

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tiny_models import FAMILIES, checkpoint
from tokenizers import Tokenizer, processors

from instit_lite.annotation.server import LoopbackServer, completion, running
from instit_lite.dataset.quarantine import Quarantine
from instit_lite.errors import InstitError, ModelError, OfflineRefused, PreflightError, UnreadableInput
from instit_lite.evaluation.bench import build_bench
from instit_lite.evaluation.answer import answer_items
from instit_lite.evaluation.models import api
from instit_lite.evaluation.models.api import api_model
from instit_lite.evaluation.models.asked import Asked, answer_and_keep
from instit_lite.evaluation.models.opening import KitModel, open_model
from instit_lite.evaluation.models.paper import COLUMNS, TABLE_2, beside_paper, figures_of
from instit_lite.evaluation.models.seeing import QWEN_CLIP, WAYS
from instit_lite.evaluation.models.stock import StockModel, stock_model
from instit_lite.evaluation.report import score_rows
from instit_lite.evaluation.score import UNFINISHED
from instit_lite.model.adapter import base_facts, save_adapter
from instit_lite.model.load import load_base
from instit_lite.model.qlora import QLora, attach_qlora
from instit_lite.profiles import get_profile

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (1, 120, 200, 3), dtype=np.uint8)
CLIP = RNG.integers(0, 256, (3, 90, 160, 3), dtype=np.uint8)
QUESTION = "What does [1] do at <3>?"
NEW = 4  # tokens
CLASSES = {
    "llava": "Llava", "llava_next": "LlavaNext", "llava_next_video": "LlavaNextVideo",
    "llava_onevision": "LlavaOnevision", "vipllava": "VipLlava", "internvl": "InternVL", "qwen2_vl": "Qwen2VL",
}  # fmt: skip


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """The model of a family, loaded from its folder once."""
    return cache(lambda family: stock_model(str(checkpoint(tmp_path_factory.mktemp("hub") / family, family))))


def processor(family, model):
    """The family's own processor without its video half, which needs torchvision."""
    own = {"image_processor": model.pictures, "tokenizer": model.tokenizer}
    clip = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    if family == "internvl":
        for name, word in (("start_image", "<img>"), ("end_image", "</img>"), ("context_image", "<IMG_CONTEXT>"),
                           ("video", "<video>")):  # fmt: skip
            setattr(model.tokenizer, f"{name}_token", word)
            setattr(model.tokenizer, f"{name}_token_id", model.tokenizer.convert_tokens_to_ids(word))
    if family == "llava_onevision":
        clip = {"num_image_tokens": 729, "vision_feature_select_strategy": "full"}
    clip = {} if family in ("internvl", "qwen2_vl") else clip
    video = {} if family in ("llava", "vipllava", "llava_next") else {"video_processor": None}
    name = "Llava" if family == "vipllava" else CLASSES[family]
    return getattr(transformers, f"{name}Processor")(**own, **video, **clip)


def see(model, pictures, frames, clip):
    return WAYS[model.model.config.model_type](model.model, pictures, frames, clip)


@pytest.fixture
def unchecked(monkeypatch):
    """Let processors be built without a video half."""
    monkeypatch.setattr(transformers.ProcessorMixin, "check_argument_for_proper_class", lambda *_: None)


@pytest.fixture
def generated(monkeypatch):
    """What a model's `generate` is called with, beside the settings, and the logits that a forward makes of it."""

    def ask(model, frames, split):
        given = {}
        generate = model.model.generate

        def keep(generation_config, **rest):
            given.update(rest)
            return generate(generation_config=generation_config, **rest)

        with monkeypatch.context() as patch:
            patch.setattr(model.model, "generate", keep)
            answer = model.answer([Asked("1", QUESTION, split, frames)], max_new_tokens=NEW)[0]
        with torch.inference_mode():
            return given, model.model(**given).logits[0, -1], answer

    return ask


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_goes_in_as_through_the_familys_own_processor(stock, family, unchecked, generated):
    """The same ids, logits and generated tokens as from pixel values of the stock processor."""
    model = stock(family)
    assert type(model.model).__name__ == f"{CLASSES[family]}ForConditionalGeneration"
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    text = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], chat_template=model.chat, tokenize=False, add_generation_prompt=True
    )
    known = processor(family, model)(images=[Image.fromarray(PICTURE[0])], text=text, return_tensors="pt")
    known = {k: v for k, v in known.items() if k not in ("num_patches", "batch_num_images")}
    given, logits, answer = generated(model, PICTURE, "image")
    assert given["input_ids"].tolist() == known["input_ids"].tolist()
    with torch.inference_mode():
        assert torch.allclose(logits, model.model(**known).logits[0, -1], atol=1e-6)
    rows = model.model.generate(**known, do_sample=False, max_new_tokens=NEW)
    said = model.tokenizer.decode(rows[0, known["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert answer in (said, f"{said} {UNFINISHED}")


@pytest.mark.parametrize(
    ("family", "counts"),
    [("llava", [576] * 3), ("vipllava", [576] * 3), ("llava_next", [576] * 3), ("llava_next_video", [3 * 144]),
     ("llava_onevision", [3 * 196 + 1]), ("internvl", [256] * 3), ("qwen2_vl", [2 * 9 * 16])],
)  # fmt: skip
def test_a_clip_goes_in_as_the_class_wants_it(stock, family, counts):
    model = stock(family)
    with torch.inference_mode():
        seen = see(model, model.pictures, CLIP, True)
    assert seen.counts == counts
    text = model.prompt(QUESTION, seen)
    assert text.index(QUESTION) > 0 and ("Frame3: <img>" in text) == (family == "internvl")
    answers = [
        model.answer([Asked("1", QUESTION, "video", frames)], max_new_tokens=NEW)[0] for frames in (CLIP, CLIP[::-1])
    ]
    assert all(isinstance(answer, str) and len(answer) for answer in answers)
    blind = model.answer([Asked("1", QUESTION, "video", CLIP)], blind=True, max_new_tokens=NEW)
    assert blind == model.answer([Asked("1", QUESTION, "video", CLIP[:1] * 0)], blind=True, max_new_tokens=NEW)


@pytest.mark.parametrize("family", ["llava_next_video", "llava_onevision"])
def test_a_clips_logits_are_those_of_the_video_path(stock, family, generated):
    """As from `pixel_values_videos` made by hand: centre crop for the one, squashed frames for the other."""
    model = stock(family)
    side, shown = model.model.config.vision_config.image_size, [Image.fromarray(frame) for frame in CLIP]
    if family == "llava_next_video":  # as its video processor does
        width = int(160 * side / 90)
        shown = [f.resize((width, side), Image.Resampling.BICUBIC) for f in shown]
        left = (width - side) // 2
        shown = [f.crop((left, 0, left + side, side)) for f in shown]
    else:
        shown = [f.resize((side, side), Image.Resampling.BICUBIC) for f in shown]
    mean, std = np.array(model.pictures.image_mean), np.array(model.pictures.image_std)
    pixels = torch.tensor((np.stack(shown) / 255 - mean) / std, dtype=torch.float32).permute(0, 3, 1, 2)[None]
    given, logits, _ = generated(model, CLIP, "video")
    with torch.inference_mode():
        plain = model.model(input_ids=given["input_ids"], pixel_values_videos=pixels).logits[0, -1]
    assert torch.allclose(plain, logits, atol=1e-3)


def test_qwens_clip_has_positions_in_three_directions(stock, generated):
    """As from patches and their grid; without the types of tokens the clip would lie on a line."""
    model = stock("qwen2_vl")
    given, logits, _ = generated(model, CLIP, "video")
    pixels = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.model, "get_video_features",
                      lambda p, g: pixels.update(p=p) or SimpleNamespace(pooler_output=[]))  # fmt: skip
        see(model, model.pictures, CLIP, True)
    video = given["input_ids"] == model.model.config.video_token_id
    types = {"video_grid_thw": torch.tensor([[2, 18, 32]]), "mm_token_type_ids": 2 * video.int()}
    with torch.inference_mode():
        plain = model.model(input_ids=given["input_ids"], pixel_values_videos=pixels["p"], **types).logits[0, -1]
        flat = model.model(input_ids=given["input_ids"], mm_encoder_outputs=given["mm_encoder_outputs"]).logits[0, -1]
    assert torch.allclose(plain, logits, atol=1e-6) and not torch.allclose(plain, flat, atol=1e-5)


def test_qwens_patches_hold_two_frames_each(stock, monkeypatch):
    """Frame pairs by the definition: patch (t, i, j) has both frames' 14 x 14 pixels, merged 2 x 2 in reading order."""
    model = stock("qwen2_vl")
    given = {}
    monkeypatch.setattr(
        model.model, "get_video_features",
        lambda pixels, grid: given.update(pixels=pixels, grid=grid) or SimpleNamespace(pooler_output=[]),
    )  # fmt: skip
    see(model, model.pictures, CLIP, True)
    pairs, rows, columns = given["grid"][0].tolist()
    assert (pairs, rows % 2, columns % 2) == (2, 0, 0)
    assert QWEN_CLIP["shortest_edge"] <= rows * columns * 196 <= QWEN_CLIP["longest_edge"]
    frames = [model.pictures(Image.fromarray(f), size=QWEN_CLIP, return_tensors="pt")["pixel_values"] for f in CLIP]
    one = [f.reshape(rows * columns, 3, 2, 196)[:, :, 0] for f in [*frames, frames[-1]]]
    for pair in range(pairs):
        found = given["pixels"].reshape(pairs, rows * columns, 3, 2, 196)[pair]
        assert torch.equal(found[:, :, 0], one[2 * pair]) and torch.equal(found[:, :, 1], one[2 * pair + 1])


def test_what_does_not_fit_the_context_is_refused_before_it_is_asked(stock):
    model = stock("llava")
    with pytest.raises(PreflightError, match="12 frames needs 7,"):
        model.answer([Asked("long", QUESTION, "video", np.repeat(PICTURE, 12, axis=0))])


def test_a_question_with_the_models_own_sign_is_refused(stock):
    with pytest.raises(PreflightError, match="2 signs <image> for 1 pictures"):
        stock("llava").answer([Asked("1", "What is <image>?", "image", PICTURE)])


@pytest.mark.parametrize("written", [True, False])
def test_a_prompt_begins_with_one_bos_whoever_writes_it(stock, monkeypatch, written):
    """Real Llama tokenizers write one themselves; some chat templates do."""
    model, given = stock("llava"), []
    own = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    bos = (model.tokenizer.bos_token, model.tokenizer.bos_token_id)
    own.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[bos])
    files = {f"{name}_token": getattr(model.tokenizer, f"{name}_token") for name in ("bos", "eos", "unk", "pad")}
    writes = transformers.PreTrainedTokenizerFast(tokenizer_object=own, **files)
    other = StockModel(model.model, writes, model.pictures, "<s>" * written + model.chat, "other")
    monkeypatch.setattr(model.model, "generate", lambda input_ids, **_: given.append(input_ids[0]) or input_ids)
    other.answer([Asked("1", QUESTION, "image", PICTURE)])
    assert (given[0] == bos[1]).sum() == 1 and given[0][0] == bos[1]


def test_no_torchvision_and_every_way_is_proven():
    assert "torchvision" not in sys.modules and set(FAMILIES) == set(WAYS)


def test_checkpoints_without_a_class_are_named_with_a_cure(stock, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    for kind in ("llava_llama", "internvl_chat", "llama"):
        (tmp_path / "config.json").write_text(json.dumps({
            "model_type": kind, "auto_map": {"AutoConfig": "own_code.Config"} if kind == "internvl_chat" else {},
        }))  # fmt: skip
        with pytest.raises(ModelError, match="models-and-benches"):
            stock_model(str(tmp_path))
    with pytest.raises(ModelError, match="no checkpoint here"):
        stock_model(str(tmp_path / "nowhere"))
    bare = checkpoint(tmp_path / "bare", "vipllava")
    (bare / "chat_template.json").unlink()
    with pytest.raises(ModelError, match="chat template"):
        stock_model(str(bare))


@pytest.fixture(scope="module")
def micro():
    return load_base("micro")


@pytest.fixture(scope="module")
def items():
    return build_bench(replace(get_profile("smoke"), n_bench=4), splits=("image", "video"))


def test_the_kits_base_answers_as_ever(micro, items):
    model = KitModel(micro)
    assert model.answer(items, max_new_tokens=24) == answer_items(micro, items, progress=False)
    assert model.answer(items, blind=True) == answer_items(micro, items, blind=True, progress=False, max_new_tokens=128)


def test_an_adapter_is_opened_with_its_base(micro, items, tmp_path):
    base = load_base("micro", fit="crop")  # which its card keeps
    model = attach_qlora(base.model, QLora(4, 8, 2, nf4=False))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    save_adapter(model, tmp_path / "adapter", **base_facts(base))
    opened = open_model("micro", tmp_path)
    assert opened.identity()["weights"] != KitModel(micro).identity()["weights"]
    trained = replace(base, model=model.eval())
    assert opened.answer(items) == answer_items(trained, items, progress=False, max_new_tokens=128)
    assert open_model("kit:micro").answer(items[:2]) == KitModel(micro).answer(items[:2])


class Parrot:
    """A model that says what it was shown, and stumbles where it is told to."""

    name, together = "parrot", 3

    def __init__(self, *stumble):
        self.stumble, self.asked = set(stumble), []

    def identity(self):
        return {"model": self.name}

    def answer(self, items, *, blind=False, max_new_tokens=128):
        if self.stumble & {item.key for item in items}:
            raise PreflightError("too long")
        self.asked += [item.key for item in items]
        return [f"{item.split} {item.frames.shape} {item.prompt}" for item in items]


def test_answers_are_kept_and_a_killed_run_goes_on(tmp_path):
    asked = [Asked(str(i), f"q{i}", "image", PICTURE) for i in range(8)]
    model, path, quarantine = Parrot("4"), tmp_path / "answers.jsonl", Quarantine(tmp_path / "quarantine.jsonl")
    answers = answer_and_keep(model, asked, path, quarantine=quarantine, progress=False)
    assert answers[4] is None and answers[5].endswith("q5") and quarantine.count == 1
    assert json.loads((tmp_path / "quarantine.jsonl").read_text())["item"] == "4"
    lines = path.read_text().splitlines()
    assert {"question_id", "question", "model_prediction", "ground_truth", "split"} < set(json.loads(lines[1]))
    path.write_text("\n".join(lines[:4]) + '\n{"question_id": "3", "que')  # a kill in the middle of a line
    again = Parrot()
    assert answer_and_keep(again, asked, path, progress=False)[:4] == answers[:4]
    assert again.asked == ["3", "4", "5", "6", "7"]
    nobody = Parrot(*map(str, range(8)))
    assert answer_and_keep(nobody, asked, path, progress=False) == [a or f"image {PICTURE.shape} q4" for a in answers]
    with pytest.raises(InstitError, match="another run"):
        answer_and_keep(again, asked, path, blind=True, progress=False)


def test_frames_that_cannot_be_read_leave_one_question_out(tmp_path):
    def show(item):
        if item.key == "1":
            raise UnreadableInput("is damaged", path="clip.mp4")
        return item.frames

    asked = [Asked(str(i), f"q{i}", "image", PICTURE) for i in range(3)]
    answers = answer_and_keep(Parrot(), asked, tmp_path / "a.jsonl", show=show, progress=False)
    assert [answer is None for answer in answers] == [False, True, False]


def test_frames_may_be_read_late_and_published_ids_are_kept(items, tmp_path):
    """Items of a bench come without frames; what is kept can be scored by their published ids."""
    bare = [replace(item, frames=np.zeros((0, 0, 0, 3), np.uint8)) for item in items]
    frames = {item.key: item.frames for item in items}
    answers = answer_and_keep(Parrot(), bare, tmp_path / "a.jsonl", progress=False,
                              show=lambda item: frames[item.key])  # fmt: skip
    assert answers[0].startswith(f"{items[0].split} {items[0].frames.shape}")
    kept = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()[1:]]
    assert [(line["question_id"], line["ground_truth"], line["format"]) for line in kept] == [
        (i.question_id, i.answer, i.format) for i in items
    ]  # fmt: skip
    assert answer_and_keep(Parrot(*frames), bare, tmp_path / "a.jsonl", progress=False) == answers


@pytest.fixture
def service(monkeypatch):
    """A loopback service that answers in free text, and the requests that it saw."""
    seen = []

    def reply(content, fault="ok", asked=0):
        return completion(json.loads(content), fault, asked)

    def answer(request):
        seen.append(request)
        parts = request["messages"][0]["content"]
        return f"{sum(p['type'] == 'image_url' for p in parts)} pictures, {parts[-1]['text']}"

    monkeypatch.setattr("instit_lite.annotation.server.completion", reply)
    with running(LoopbackServer(answer, key="secret")) as server:
        yield SimpleNamespace(server=server, seen=seen)


def test_an_api_model_is_asked_with_pictures_and_timestamps(service, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    model = open_model("api:gpt-4o-2024-08-06", base_url=service.server.base_url, ledger=tmp_path / "ledger.jsonl")
    asked = [Asked("1", QUESTION, "video", CLIP), Asked("2", "What is [1]?", "image", PICTURE)]
    assert model.answer(asked, max_new_tokens=9) == [f"3 pictures, {QUESTION}", "1 pictures, What is [1]?"]
    assert model.answer(asked, blind=True)[0].startswith("0 pictures")
    request = max(service.seen, key=lambda r: len(r["messages"][0]["content"]))
    kinds = [part.get("text", "picture") for part in request["messages"][0]["content"]]
    assert kinds == ["<1>", "picture", "<2>", "picture", "<3>", "picture", QUESTION]
    assert (request["temperature"], request["max_tokens"], request["model"]) == (0, 9, "gpt-4o-2024-08-06")
    calls = service.server.calls
    assert open_model("api:gpt-4o-2024-08-06", base_url=service.server.base_url,
                      ledger=tmp_path / "ledger.jsonl").answer(asked, max_new_tokens=9)  # fmt: skip
    assert service.server.calls == calls, "a kept reply is paid for twice"
    service.server.fail(["500", "refusal"])
    assert model.answer([Asked("3", "new", "image", PICTURE)])[0].startswith("the model refused"), "a refusal is an answer"
    assert "secret" not in json.dumps(model.identity()) + (tmp_path / "ledger.jsonl").read_text()


def test_nothing_leaves_the_machine_unasked_and_keys_do_not_cross(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    for name in ("api:gpt-4o-2024-08-06", "gemini:gemini-2.5-flash"):
        with pytest.raises(OfflineRefused, match="outside this machine"):
            open_model(name)
    with pytest.raises(OfflineRefused, match="GEMINI_API_KEY"):
        open_model("gemini:gemini-2.5-flash", online=True)
    monkeypatch.setenv("GEMINI_API_KEY", "other")
    used = {}
    monkeypatch.setattr(api.Client, "connect", lambda *given, api_key, **_: used.update(address=given[0], key=api_key))
    api_model("gemini-2.5-flash", "gemini", online=True)
    assert used == {"address": api.SERVICES["gemini"][0], "key": "other"}


def test_table_2_has_the_papers_rows():
    by_name = {row["model"]: row["figures"] for row in TABLE_2}
    assert len(TABLE_2) == 17 and by_name["INST-IT, Vicuna"] == [68.6, 63.0, 49.3, 42.1]
    gains = [a - b for a, b in zip(by_name["INST-IT, Vicuna"], by_name["LLaVA-NeXT"]) if b is not None]
    assert [round(gain, 1) for gain in gains] == [22.6, 20.6]  # as the paper says


def test_a_run_stands_below_its_row_of_the_paper(items):
    found = figures_of(score_rows(items, {"base": [item.answer for item in items]}), "base")
    assert set(found) == set(COLUMNS) and found["image OE"].startswith("100.0 [")
    table = beside_paper({"Qwen2-VL": found, "mine": {}}, "exact match")
    names = [row[0] for row in table["rows"]]
    place = names.index("Qwen2-VL")
    assert names[place + 1] == "Qwen2-VL" and [table["rows"][place + k][-1] for k in (0, 1)] == ["paper", "here"]
    assert names[-1] == "mine" and all(len(row) == len(table["columns"]) for row in table["rows"])


def test_the_docs_page_has_every_row_of_table_2():
    page = (Path(__file__).parents[2] / "docs" / "models-and-benches.md").read_text(encoding="utf-8")
    for row in TABLE_2:
        figures = ", ".join("–" if figure is None else f"{figure:.1f}" for figure in row["figures"])
        assert f"| {row['model']} | {figures} |" in page and row["here"] in page
