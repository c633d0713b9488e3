"""Random checkpoints of a few hundred kilobytes in exactly the layout of the hub's LLaVA ones.

Real: file names, shards with an index, the old key names, config fields, processor and tokenizer files, image and
patch sizes (so 24 x 24 and 27 x 27 grids), special tokens and their order, vocabulary padded beyond the tokenizer.
Tiny: widths, layers, vocabulary.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, PreTrainedTokenizerFast

from instit_lite.model.load import CLASSES
from instit_lite.model.templates import TEMPLATES

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
GRIDS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
ALL_GRIDS = [[384 * i, 384 * j] for i in range(1, 7) for j in range(1, 7)]
NAMES = {
    "llava": "Llava", "llava_next": "LlavaNext", "llava_next_video": "LlavaNextVideo",
    "llava_onevision": "LlavaOnevision",
}  # fmt: skip
CORPUS = [t.start for t in TEMPLATES.values()] * 3 + [
    "What does [1] do at <3>? [1] walks to the left and [2] follows from <4> to <6>. It is red, not a dog. no " * 4,
    " USER: ASSISTANT: user assistant system\n" * 4,
]
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def llama_files(folder: Path, family: str, legacy: bool = True) -> dict[str, int]:
    """Write a SentencePiece-like tokenizer: bytes as a last resort, a space before the first word."""
    pieces = [f"<0x{i:02X}>" for i in range(256)]
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    first = ["<unk>", "<s>", "</s>", *pieces]
    trainer = trainers.BpeTrainer(vocab_size=640, special_tokens=first, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    trained = json.loads(backend.to_str())
    trained["added_tokens"] = []
    backend = Tokenizer.from_str(json.dumps(trained))
    if legacy:  # what LlamaTokenizerFast wrote: a space before every piece of text between special tokens
        backend.pre_tokenizer = None
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    order = ["<video>", "<image>"] if family == "llava_next_video" else ["<image>"]
    special = ("<unk>", "<s>", "</s>", *order, "<pad>")
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    write_tokenizer(tokenizer, folder, {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "add_bos_token": True,
                                        "padding_side": "left", "use_default_system_prompt": False})  # fmt: skip
    return {token: tokenizer.convert_tokens_to_ids(token) for token in (*order, "<pad>")} | {"vocab": len(tokenizer)}


def qwen_files(folder: Path, family: str) -> dict[str, int]:
    """Write a byte-level tokenizer with Qwen2's split and its ChatML tokens behind the vocabulary; no BOS."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fields = {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "padding_side": "right"}
    write_tokenizer(tokenizer, folder, fields)
    return {token: tokenizer.convert_tokens_to_ids(token) for token in special} | {"vocab": len(tokenizer)}


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path, fields: dict) -> None:
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    dump(path, json.loads(path.read_text()) | fields | {"processor_class": "LlavaProcessor"})


def text_part(language: str, ids: dict[str, int], positions: int) -> dict:
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "vocab_size": ids["vocab"] + 64 - ids["vocab"] % 64, "max_position_embeddings": positions}  # fmt: skip
    if language == "llama":
        return shape | {"_name_or_path": "lmsys/vicuna-7b-v1.5", "architectures": ["LlamaForCausalLM"],
                        "model_type": "llama", "rms_norm_eps": 1e-5, "torch_dtype": "float16",
                        "pad_token_id": ids["<pad>"], "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    return shape | {"_name_or_path": "Qwen/Qwen2-7B-Instruct", "architectures": ["Qwen2ForCausalLM"],
                    "model_type": "qwen2", "num_key_value_heads": 2, "rope_theta": 1e6, "sliding_window": 131072,
                    "max_window_layers": 28, "torch_dtype": "bfloat16", "use_sliding_window": False,
                    "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"]}  # fmt: skip


def vision_part(tower: str) -> dict:
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    shape["patch_size"] = 14
    if tower == "clip":
        clip = {"model_type": "clip_vision_model", "image_size": 336, "projection_dim": 16, "vocab_size": 32000}
        return shape | clip
    return shape | {"model_type": "siglip_vision_model", "image_size": 384, "vision_use_head": False}


def make(folder: Path, family: str, tower: str = "clip", language: str = "llama", *, legacy: bool = True,
         positions: int | None = None, seed: int = 0) -> Path:  # fmt: skip
    """Write a checkpoint of a `family` (a key of `CLASSES`) into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = llama_files(folder, family, legacy) if language == "llama" else qwen_files(folder, family)
    ids.setdefault("<video>", ids["vocab"])
    config = {
        "architectures": [f"{NAMES[family]}ForConditionalGeneration"], "ignore_index": -100, "model_type": family,
        "image_token_index": ids["<image>"], "projector_hidden_act": "gelu", "tie_word_embeddings": False,
        "torch_dtype": "float16", "transformers_version": "4.40.0.dev0",
        "text_config": text_part(language, ids, positions or (4096 if language == "llama" else 32768)),
        "vision_config": vision_part(tower),
        "vision_feature_layer": -2 if tower == "clip" else -1,
        "vision_feature_select_strategy": "default" if tower == "clip" else "full",
    }  # fmt: skip
    if family in ("llava_next_video", "llava_onevision"):
        config["video_token_index"] = ids["<video>"]
    if family != "llava":
        config["image_grid_pinpoints"] = GRIDS if tower == "clip" else ALL_GRIDS
        config["use_image_newline_parameter"] = True
    if family == "llava_next_video":
        config |= {"spatial_pool_mode": "average", "spatial_pool_stride": 2}
        config |= {"image_seq_length": 576, "video_seq_length": 288}
    if family == "llava_onevision":
        config["vision_aspect_ratio"] = "anyres_max_9"
    dump(folder / "config.json", config)
    dump(folder / "preprocessor_config.json", processor_part(family, tower))
    dump(folder / "generation_config.json", {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2})
    write_weights(folder, seed)
    return folder


def processor_part(family: str, tower: str) -> dict:
    clip = tower == "clip"
    name = {"llava": "CLIP", "llava_next_video": "LlavaNext"}.get(family, NAMES[family])
    found = {
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 3,
        "rescale_factor": 1 / 255, "image_processor_type": f"{name}ImageProcessor",
        "processor_class": f"{NAMES[family]}Processor",
        "image_mean": CLIP_MEAN if clip else [0.5] * 3, "image_std": CLIP_STD if clip else [0.5] * 3,
        "size": {"shortest_edge": 336} if clip else {"height": 384, "width": 384},
    }  # fmt: skip
    if clip:
        found |= {"do_center_crop": True, "crop_size": {"height": 336, "width": 336}}
    if family != "llava":
        found |= {"do_pad": True, "image_grid_pinpoints": GRIDS if clip else ALL_GRIDS}
    return found


def old_name(name: str) -> str:
    """A parameter's name in the files on the hub, which are older than the classes."""
    for new, old in (("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
                     ("model.vision_tower.", "vision_tower.vision_model."), ("model.", "")):  # fmt: skip
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def write_weights(folder: Path, seed: int) -> None:
    """Random weights in two shards with an index, under their old names."""
    config = AutoConfig.from_pretrained(folder)
    torch.manual_seed(seed)
    model = CLASSES[config.model_type](config)
    with torch.no_grad():
        for parameter in model.parameters():  # the usual 0.02 would leave every logit near zero
            parameter.normal_(0, 0.15)
    named = {old_name(name): tensor.contiguous() for name, tensor in model.state_dict().items()}
    names, half = list(named), len(named) // 2
    index = {}
    for number, part in enumerate((names[:half], names[half:]), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: named[name].clone() for name in part}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    size = sum(tensor.nbytes for tensor in named.values())
    dump(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": index})


def dump(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
