"""Random checkpoints of the classes that the kit does not train, in the hub's layout: ViP-LLaVA, InternVL, Qwen2-VL.

As in `tiny_checkpoints`, which makes the LLaVA ones: real file names, fields, key names, special tokens, patch sizes
and chat templates; tiny widths, layers and vocabulary. The templates are worded anew; what they write is the same.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny_checkpoints import CLIP_MEAN, CLIP_STD, dump, llama_files, make, processor_part  # noqa: E402
from tiny_checkpoints import qwen_files, text_part, vision_part  # noqa: E402

PICTURES = "{% for part in m.content if part.type in ('image', 'video') %}{{ '<' + part.type + '>NEWLINE' }}{% endfor %}"
TEXTS = "{% for part in m.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
VICUNA = (
    "{% for m in messages %}USER: " + PICTURES.replace("NEWLINE", "\n") + TEXTS + " {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
VIP = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions.{% for m in messages %}###Human: " + PICTURES.replace("NEWLINE", "\n")
    + TEXTS + "{% endfor %}{% if add_generation_prompt %}###Assistant:{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>user " + PICTURES.replace("NEWLINE", "") + "\n" + TEXTS
    + "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IN_ORDER = (
    "{% for m in messages %}<|im_start|>user\n{% for part in m.content %}{% if part.type == 'image' %}IMAGE"
    "{% elif part.type == 'video' %}VIDEO{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INTERNVL = IN_ORDER.replace("IMAGE", "<IMG_CONTEXT>{{ '\\n' }}").replace("VIDEO", "<video>{{ '\\n' }}")
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
QWEN = SYSTEM + IN_ORDER.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>").replace(
    "VIDEO", "<|vision_start|><|video_pad|><|vision_end|>"
)
LLAVAS = {  # family: tower, language, template, and the file that holds it
    "llava": ("clip", "llama", VICUNA), "llava_next": ("clip", "llama", VICUNA),
    "llava_next_video": ("clip", "llama", VICUNA), "llava_onevision": ("siglip", "qwen2", CHATML),
}  # fmt: skip
FAMILIES = (*LLAVAS, "vipllava", "internvl", "qwen2_vl")


def checkpoint(folder: Path, family: str) -> Path:
    """Write a checkpoint of a family into `folder` and return it."""
    if family in LLAVAS:
        tower, language, template = LLAVAS[family]
        make(folder, family, tower, language)
        dump(folder / "chat_template.json", {"chat_template": template})
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    {"vipllava": vipllava, "internvl": internvl, "qwen2_vl": qwen2_vl}[family](folder)
    return folder


def vipllava(folder: Path) -> None:
    """Features of five layers, the earliest of them 11 from the end, so the tower needs twelve."""
    ids = llama_files(folder, "llava")
    config = {
        "architectures": ["VipLlavaForConditionalGeneration"], "model_type": "vipllava", "ignore_index": -100,
        "image_token_index": ids["<image>"], "projector_hidden_act": "gelu", "projector_layernorm_eps": 1e-5,
        "vision_feature_layers": [-2, -5, -8, -11, 6], "torch_dtype": "float16", "tie_word_embeddings": False,
        "text_config": text_part("llama", ids, 4096),
        "vision_config": vision_part("clip") | {"num_hidden_layers": 12},
    }  # fmt: skip
    dump(folder / "config.json", config)
    dump(folder / "preprocessor_config.json", processor_part("llava", "clip"))
    dump(folder / "chat_template.json", {"chat_template": VIP})
    write_weights(folder, (("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
                           ("model.vision_tower.", "vision_tower.vision_model."), ("model.", "")), 2)  # fmt: skip


def more_tokens(folder: Path, *words: str) -> dict[str, int]:
    """Add special tokens behind Qwen2's own; return all ids and the size."""
    ids = qwen_files(folder, "")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken(word, special=True, normalized=False) for word in words], special_tokens=True)
    tokenizer.save_pretrained(folder)
    return ids | {word: tokenizer.convert_tokens_to_ids(word) for word in words} | {"vocab": len(tokenizer)}


def internvl(folder: Path) -> None:
    """448 pixels, patch 14: 32 x 32 patches, four of them to a token."""
    ids = more_tokens(folder, "<img>", "</img>", "<IMG_CONTEXT>")
    vision = {
        "model_type": "internvl_vision", "image_size": [448, 448], "patch_size": [14, 14], "hidden_size": 16,
        "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "attention_bias": True,
        "norm_type": "layer_norm", "use_absolute_position_embeddings": True, "use_mean_pooling": True,
    }  # fmt: skip
    config = {
        "architectures": ["InternVLForConditionalGeneration"], "model_type": "internvl", "downsample_ratio": 0.5,
        "image_seq_length": 256, "image_token_id": ids["<IMG_CONTEXT>"], "projector_hidden_act": "gelu",
        "vision_feature_layer": -1, "vision_feature_select_strategy": "default", "torch_dtype": "bfloat16",
        "text_config": text_part("qwen2", ids, 32768), "vision_config": vision, "tie_word_embeddings": False,
    }  # fmt: skip
    dump(folder / "config.json", config)
    dump(folder / "preprocessor_config.json", {
        "image_processor_type": "GotOcr2ImageProcessorFast", "processor_class": "InternVLProcessor", "resample": 3,
        "size": {"height": 448, "width": 448}, "crop_to_patches": False, "min_patches": 1, "max_patches": 12,
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 1 / 255,
    })  # fmt: skip
    (folder / "chat_template.jinja").write_text(INTERNVL)
    write_weights(folder, (("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
                           ("model.", "")), 151645)  # fmt: skip


def qwen2_vl(folder: Path) -> None:
    """The flat config of the hub, mRoPE in three sections, 28-pixel tokens."""
    words = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
    ids = more_tokens(folder, *words)
    names = ("vision_start", "vision_end", "vision", "image", "video")
    text = text_part("qwen2", ids, 32768)
    config = {
        **{name: value for name, value in text.items() if name[0] != "_"},
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "tie_word_embeddings": False,
        **{f"{name}_token_id": ids[word] for name, word in zip(names, words)},
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        "vision_config": {"depth": 2, "embed_dim": 16, "mlp_ratio": 2, "num_heads": 2, "in_chans": 3,
                          "hidden_size": 32, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14,
                          "temporal_patch_size": 2},
    }  # fmt: skip
    dump(folder / "config.json", config)
    dump(folder / "preprocessor_config.json", {
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
        "image_mean": CLIP_MEAN, "image_std": CLIP_STD, "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
    })  # fmt: skip
    dump(folder / "chat_template.json", {"chat_template": QWEN})
    write_weights(folder, (("model.language_model.", "model."), ("model.visual.", "visual.")), 151645)


def write_weights(folder: Path, names: tuple[tuple[str, str], ...], end: int) -> None:
    """Random weights of the real class in one shard, under the names that the hub's files have."""
    config = AutoConfig.from_pretrained(folder)
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # the usual 0.02 would leave every logit near zero
            parameter.normal_(0, 0.15)
    stored = {}
    for name, tensor in model.state_dict().items():
        new = next((re.sub(f"^{re.escape(a)}", b, name) for a, b in names if name.startswith(a)), name)
        stored[new] = tensor.clone().contiguous()
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = [tokenizer.eos_token_id, tokenizer.pad_token_id] if end > 2 else tokenizer.eos_token_id
    dump(folder / "generation_config.json", {"eos_token_id": ends, "pad_token_id": tokenizer.pad_token_id})
