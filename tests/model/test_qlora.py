"""NF4, LoRA, freezing and the adapter on disk, on the micro base with random weights."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import BitsAndBytesConfig, LlavaNextVideoForConditionalGeneration

from instit_lite.errors import ModelError
from instit_lite.model import adapter, nf4
from instit_lite.model.adapter import load_adapter, read_card, save_adapter
from instit_lite.model.load import Base
from instit_lite.model.micro import IMAGE_SIDE, new_micro
from instit_lite.model.nf4 import count_linears, nf4_config, quantise
from instit_lite.model.qlora import QLora, attach_qlora, frozen_layers, parts_table, trainable_parts
from instit_lite.model.templates import TEMPLATES
from instit_lite.model.tokenizer import micro_tokenizer
from instit_lite.model.visual import encode_frames, inner_model, mm_outputs

NONE = {"nf4": 0, "full": 0, "lora": 0}


@pytest.fixture(scope="module")
def tokenizer():
    return micro_tokenizer()


@pytest.fixture(scope="module")
def saved_base(tokenizer, tmp_path_factory):
    """The micro base as a checkpoint folder."""
    folder = tmp_path_factory.mktemp("base")
    new_micro(tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def fresh(tokenizer):
    """Make bases from one seed; `folder` says where their weights are said to come from."""

    def make(seed=0, folder=Path("nowhere")):
        return Base(new_micro(tokenizer, seed).eval(), tokenizer, TEMPLATES["micro"], IMAGE_SIDE, "micro", folder)

    return make


def adapted(base, nf4=True, rank=4):
    """An adapter that changes answers, as training would leave it."""
    model = attach_qlora(base.model, QLora(rank=rank, nf4=nf4))
    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


@torch.no_grad()
def answers(model, tokenizer):
    """Logits and generated ids for one video prompt."""
    frames = torch.randn(2, 3, IMAGE_SIDE, IMAGE_SIDE, generator=torch.Generator().manual_seed(3))
    video = tokenizer.convert_tokens_to_ids("<video>")
    ids = torch.tensor([[1, *[video] * 32, *tokenizer("what colour is [1]? ASSISTANT:")["input_ids"]]])

    def visual():
        return mm_outputs(videos=[encode_frames(model, frames, pooled=True)])

    logits = model(input_ids=ids, mm_encoder_outputs=visual()).logits
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(ids)
    return logits, model.generate(input_ids=ids, attention_mask=mask, mm_encoder_outputs=visual(), **options)


def test_nf4_is_where_it_belongs(fresh):
    pytest.importorskip("bitsandbytes")
    model = attach_qlora(fresh().model, QLora(rank=4))
    assert count_linears(model) == {
        "tower": NONE | {"full": 24},
        "projector": NONE | {"full": 2},
        "language": NONE | {"nf4": 28, "lora": 56},
        "head": NONE | {"full": 1},
    }


def test_nf4_keeps_its_format_in_eval_mode(fresh):
    """bitsandbytes would repack weights for bf16 inference on some CPUs, and lose the gradients of
    later training.
    """
    pytest.importorskip("bitsandbytes")
    model = fresh().model
    quantise(model)
    layers = [m for m in inner_model(model).language_model.modules() if nf4.is_nf4(m)]
    assert len(layers) == 28 and not any(layer.support_avx512bf16_for_cpu for layer in layers)


def test_quantised_at_loading_or_in_memory_is_the_same(saved_base, fresh):
    pytest.importorskip("bitsandbytes")
    loaded = LlavaNextVideoForConditionalGeneration.from_pretrained(
        saved_base, dtype=torch.float32, quantization_config=nf4_config(torch.float32)
    )
    own = fresh().model
    assert quantise(loaded) == quantise(own) == 28
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        assert torch.allclose(loaded.eval()(input_ids=ids).logits, own(input_ids=ids).logits, atol=1e-5)


def test_a_tower_in_four_bits_is_refused(saved_base):
    pytest.importorskip("bitsandbytes")
    skips = ["vision_tower", "multi_modal_projector", "lm_head"]  # looks right, skips only the head
    config = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=skips)
    model = LlavaNextVideoForConditionalGeneration.from_pretrained(saved_base, quantization_config=config)
    with pytest.raises(ModelError, match="tower and projector in 4 bits"):
        quantise(model)


def test_without_bitsandbytes_the_lesson_goes_on(fresh, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(nf4, "import_bitsandbytes", lambda: None)
    with pytest.warns(UserWarning, match="full precision"):
        model = adapted(fresh())
    assert count_linears(model)["language"] == {"nf4": 0, "full": 28, "lora": 56}
    save_adapter(model, tmp_path / "adapter")
    again = load_adapter(fresh(), tmp_path / "adapter")
    assert answers(again.model, tokenizer)[0].equal(answers(model, tokenizer)[0])


def test_lora_stays_in_the_language_model(fresh):
    model = attach_qlora(fresh().model, QLora(rank=4, nf4=False))
    places = {name.split(".lora_")[0] for name, _ in model.named_parameters() if "lora_" in name}
    assert len(places) == 4 * 7
    assert all(".language_model.layers." in place for place in places)


def test_a_second_adapter_is_refused(fresh):
    base = fresh()
    attach_qlora(base.model, QLora(rank=4, nf4=False))
    with pytest.raises(ModelError, match="adapter already"):
        attach_qlora(base.model, QLora(rank=4, nf4=False))


@pytest.mark.parametrize("frozen, expected", [(None, 2), (0, 0), (3, 3)])
def test_what_trains(fresh, frozen, expected):
    model = attach_qlora(fresh().model, QLora(rank=4, nf4=False, frozen_layers=frozen))
    assert frozen_layers(model) == expected
    pixels = torch.randn(1, 3, IMAGE_SIDE, IMAGE_SIDE)
    visual = mm_outputs([encode_frames(model, pixels, pooled=False)[0]])
    ids = torch.tensor([[1, *[3] * 64, 10, 11, 12]])
    model(input_ids=ids, mm_encoder_outputs=visual).logits.sum().backward()
    trained = {name for name, p in inner_model(model).named_parameters() if p.grad is not None}
    assert trained == {name for name, p in inner_model(model).named_parameters() if p.requires_grad}
    first = {f"vision_tower.encoder.layers.{i}." for i in range(expected)} | {"vision_tower.embeddings."}
    assert not any(name.startswith(tuple(first)) for name in trained)
    assert sum(name.startswith("vision_tower.") for name in trained) == (4 - expected) * 16


def test_layers_behind_the_chosen_features_do_not_train(fresh):
    base = fresh()
    base.model.config.vision_feature_layer = -2
    model = attach_qlora(base.model, QLora(rank=4, nf4=False))
    layers = inner_model(model).vision_tower.encoder.layers
    trains = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    assert trains == [False, False, True, False]


def backward_flops(model):
    tokens = encode_frames(model, torch.randn(2, 3, IMAGE_SIDE, IMAGE_SIDE), pooled=False)
    with FlopCounterMode(display=False) as counter:
        tokens.sum().backward()
    return counter.get_total_flops()


def test_frozen_means_out_of_the_graph(fresh):
    base = fresh()
    base.model.enable_input_require_grads()  # what checkpointing set-ups do
    half = attach_qlora(base.model, QLora(rank=4, nf4=False))
    all_trains = attach_qlora(fresh().model, QLora(rank=4, nf4=False, frozen_layers=0))
    expected = backward_flops(half)
    assert expected < 0.55 * backward_flops(all_trains)
    inner_model(half).vision_tower.enable_input_require_grads()
    assert backward_flops(half) > 1.3 * expected


def test_the_table_adds_up(fresh):
    base = fresh()
    size = sum(p.numel() for p in base.model.parameters())
    model = attach_qlora(base.model, QLora(rank=4))
    parts = {p.name: p for p in trainable_parts(model)}
    assert sum(p.parameters for p in parts.values()) == size + parts["LoRA on the language model"].parameters
    trains = {name for name, p in parts.items() if p.trains}
    assert trains == {"LoRA on the language model", "projector", "encoder, later layers"}
    assert all(p.trains in (0, p.parameters) for p in parts.values())
    assert "language model" in parts_table(list(parts.values()))


@pytest.mark.parametrize("four_bits", [True, False])
def test_a_reloaded_adapter_answers_the_same(fresh, tokenizer, tmp_path, four_bits):
    if four_bits:
        pytest.importorskip("bitsandbytes")
    before, _ = answers(fresh().model, tokenizer)
    model = adapted(fresh(), four_bits)
    logits, generated = answers(model, tokenizer)
    assert not torch.allclose(before, logits, atol=0.1)
    save_adapter(model, tmp_path / "adapter", base="micro")
    again = load_adapter(fresh(), tmp_path / "adapter")
    assert not again.model.training
    found = answers(again.model, tokenizer)
    assert found[0].equal(logits) and found[1].equal(generated)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_folder_is_readable_by_peft(fresh, tmp_path):
    save_adapter(adapted(fresh(), nf4=False), tmp_path / "adapter")
    plain = PeftModel.from_pretrained(fresh().model, tmp_path / "adapter")
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    own = {name.replace(".default", ""): p for name, p in plain.named_parameters() if "lora_" in name}
    assert own.keys() == saved.keys() and all(own[name].equal(tensor) for name, tensor in saved.items())


def test_the_card_names_base_and_recipe(fresh, saved_base, tmp_path):
    base = fresh(folder=saved_base)
    save_adapter(adapted(base, nf4=False), tmp_path / "adapter", base.name, adapter.base_hash(base))
    card = read_card(tmp_path / "adapter")
    assert (card["base"], card["rank"], card["alpha"], card["frozen_layers"], card["nf4"]) == ("micro", 4, 8, 2, False)
    load_adapter(fresh(folder=saved_base), tmp_path / "adapter")
    other = tmp_path / "other"
    new_micro(micro_tokenizer(), seed=1).save_pretrained(other)
    with pytest.raises(ModelError, match="trained on base 'micro'"):
        load_adapter(fresh(folder=other), tmp_path / "adapter")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "trained_modules.safetensors", "adapter_card.json"])
def test_a_damaged_folder_is_refused(fresh, tmp_path, name):
    folder = save_adapter(adapted(fresh(), nf4=False), tmp_path / "adapter")
    data = (folder / name).read_bytes()
    for damage in (lambda: (folder / name).write_bytes(data[: len(data) // 2]), (folder / name).unlink):
        damage()
        with pytest.raises(ModelError, match="missing or damaged|not an adapter folder"):
            load_adapter(fresh(), folder)


def test_weights_that_do_not_fit_are_refused(fresh, tmp_path):
    folder = save_adapter(adapted(fresh(), nf4=False), tmp_path / "adapter")
    card = json.loads((folder / "adapter_card.json").read_text())
    (folder / "adapter_card.json").write_text(json.dumps(card | {"rank": 8}))
    with pytest.raises(ModelError, match="do not fit"):
        load_adapter(fresh(), folder)


def test_a_failed_save_leaves_the_old_folder(fresh, tmp_path, monkeypatch):
    model = adapted(fresh(), nf4=False)
    folder = save_adapter(model, tmp_path / "adapter", base="first")
    monkeypatch.setattr(adapter, "file_hash", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_adapter(model, folder, base="second")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]
    assert read_card(folder)["base"] == "first"
    save_adapter(model, folder, base="third")
    assert read_card(folder)["base"] == "third"
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]
