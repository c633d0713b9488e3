"""The original LLaVA layout. In: its config.json and key names. Out: a transformers config, and each key's new name.

Both INST-IT checkpoints go to `LlavaOnevisionForConditionalGeneration`: it holds every key, takes CLIP and SigLIP,
does AnyRes as the original, and pools video after the projector, bilinearly, as INST-IT's inference scripts do.
LlavaNextVideo pools before the projector and cannot take SigLIP's 27 x 27 grid; LlavaNext knows no video. One
difference stays: the stock video path ends a clip with one newline token, the original has none. `model/visual.py`
makes the features itself, without it. Paper section 4 and appendix on training.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from transformers import AutoConfig, LlamaConfig, LlavaOnevisionConfig, PreTrainedConfig, Qwen2Config
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from ..errors import ModelError
from .names import renamed

CLIP, SIGLIP = "clip_vision_model", "siglip_vision_model"
TOWER_FIELDS = (
    "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size",
    "patch_size",
)  # fmt: skip
TOWERS = {  # the original config only names its tower
    "clip-vit-large-patch14-336": (CLIP, 1024, 4096, 24, 16, 336, 14),
    "siglip-so400m-patch14-384": (SIGLIP, 1152, 4304, 27, 16, 384, 14),
}
LANGUAGE = {"LlavaLlamaForCausalLM": (LlamaConfig, "vicuna_v1"), "LlavaQwenForCausalLM": (Qwen2Config, "qwen_1_5")}
MUST_BE = {  # what the target class does; any other value would quietly become another model
    "mm_projector_type": r"mlp2x_gelu", "mm_patch_merge_type": r"spatial_unpad", "image_aspect_ratio": r"anyres.*",
    "mm_use_im_start_end": r"None|False", "mm_resampler_type": r"None", "add_faster_video": r"None|False",
    "mm_vision_select_feature": r"None|patch|cls_patch",
}  # fmt: skip
BUFFERS = r".*\.(position_ids|rotary_emb\.inv_freq)"  # saved by older transformers, computed anew by newer
RENAMED = (
    (r"model\.vision_tower\.vision_tower\.(vision_model\.)?", "model.vision_tower."),
    (r"model\.mm_projector\.0\.", "model.multi_modal_projector.linear_1."),
    (r"model\.mm_projector\.2\.", "model.multi_modal_projector.linear_2."),
    (r"model\.image_newline$", "model.image_newline"),
    (r"model\.(?=(embed_tokens|layers|norm)\.)", "model.language_model."),
    (r"lm_head\.", "lm_head."),
)


def read_json(path: Path) -> dict:
    """Read a JSON object; raises `ModelError` naming the file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as problem:
        reason = f"cannot be read ({type(problem).__name__})"
        raise ModelError(reason, path=path, cure="download the checkpoint again") from problem


def read_original(folder: Path) -> dict:
    """Read an original checkpoint's config.json; raises `ModelError` where it is not one, or one of another kind."""
    path, config = folder / "config.json", read_json(folder / "config.json")
    if "text_config" in config:
        raise ModelError("this is in the transformers layout already", path=folder, cure="load it as it is")
    name = (config.get("architectures") or ["no architecture"])[0]
    if name not in LANGUAGE:
        raise ModelError(f"{name} is not one of {', '.join(LANGUAGE)}", path=path, cure="give an INST-IT checkpoint")
    odd = [f"{k} is {config.get(k)!r}" for k, good in MUST_BE.items() if not re.fullmatch(good, str(config.get(k)))]
    grids = config.get("image_grid_pinpoints")
    if not (isinstance(grids, list) and all(isinstance(g, list) and len(g) == 2 for g in grids)):
        odd.append(f"image_grid_pinpoints is {grids!r}, not [[width, height], ...]")
    if odd:
        raise ModelError("; ".join(odd), path=path, cure="give a LLaVA-NeXT checkpoint as INST-IT's are")
    return config


def text_config(original: dict) -> PreTrainedConfig:
    """The language model's part: the original config is a Llama or Qwen2 config with LLaVA's fields mixed in."""
    kind = LANGUAGE[original["architectures"][0]][0]
    own = {*kind().to_dict(), "rope_theta", "rope_scaling"}
    own -= {"model_type", "transformers_version", "dtype", "architectures"}
    return kind(**{key: value for key, value in original.items() if key in own})


def tower_config(folder: Path, original: dict, tower: Path | None) -> PreTrainedConfig:
    """The tower's part, from `tower`/config.json, else from `TOWERS` by the name in the original config.

    The original deletes SigLIP's last layer and its head, ignoring `mm_vision_select_layer`, and reads the last state
    before the last norm; so does the config made here. CLIP keeps every layer and is read at -2.
    """
    name = str(original.get("mm_vision_tower"))
    raw = read_json(tower / "config.json") if tower else dict(zip(TOWER_FIELDS, TOWERS.get(Path(name).name, ())))
    raw = raw.get("vision_config", raw)
    if raw.get("model_type") not in (CLIP, SIGLIP):
        cure = "give the CLIP or SigLIP folder with --tower"
        raise ModelError(f"vision tower {name!r} is not known", path=tower or folder, cure=cure)
    if raw["model_type"] == SIGLIP:
        raw = raw | {"num_hidden_layers": raw["num_hidden_layers"] - 1, "vision_use_head": False}
    return AutoConfig.for_model(**{key: value for key, value in raw.items() if key != "transformers_version"})


def new_config(
    folder: Path, original: dict, tower: Path | None, ids: dict[str, int], rows: int
) -> LlavaOnevisionConfig:
    """The whole transformers config; `ids` of `<image>` and `<video>`, `rows` of the padded vocabulary.

    AnyRes sizes are [width, height] in the original and [height, width] here; their order decides ties and stays.
    """
    vision, text = tower_config(folder, original, tower), text_config(original)
    text.vocab_size = rows
    sizes = [[height, width] for width, height in original["image_grid_pinpoints"]]
    siglip, ratio = vision.model_type == SIGLIP, original["image_aspect_ratio"]
    if ratio == "anyres":  # no cap in the original: one that no grid can reach
        ratio = f"anyres_max_{max(9, *(h * w // vision.image_size**2 for h, w in sizes))}"
    whole = siglip or original.get("mm_vision_select_feature") == "cls_patch"
    return LlavaOnevisionConfig(
        vision_config=vision, text_config=text, image_grid_pinpoints=sizes, vision_aspect_ratio=ratio,
        image_token_index=ids["<image>"], video_token_index=ids["<video>"],
        vision_feature_layer=-1 if siglip else original.get("mm_vision_select_layer", -2),
        vision_feature_select_strategy="full" if whole else "default",
        tie_word_embeddings=text.tie_word_embeddings, architectures=["LlavaOnevisionForConditionalGeneration"],
    )  # fmt: skip


def preprocessor(config: LlavaOnevisionConfig) -> dict:
    """The image processor's JSON: AnyRes tiles and the squashed picture, bicubic, normalised as the tower wants."""
    side, clip = config.vision_config.image_size, config.vision_config.model_type == CLIP
    return {
        "image_processor_type": "LlavaOnevisionImageProcessor", "do_convert_rgb": True, "do_resize": True,
        "size": {"height": side, "width": side}, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "do_pad": True, "image_grid_pinpoints": config.image_grid_pinpoints,
        "image_mean": list(OPENAI_CLIP_MEAN) if clip else [0.5] * 3,
        "image_std": list(OPENAI_CLIP_STD) if clip else [0.5] * 3,
    }  # fmt: skip


def new_name(key: str) -> str | None:
    """The new name of a checkpoint's key; None for a buffer, empty where no rule knows it."""
    return None if re.fullmatch(BUFFERS, key) else renamed(key, RENAMED)


def new_tower_name(key: str, config: LlavaOnevisionConfig) -> str | None:
    """The same for a key of a tower's folder; None also for the text half and SigLIP's last layer and head."""
    unread = r"(text_model|visual_projection|text_projection|logit_scale|logit_bias)\b"
    if config.vision_config.model_type == SIGLIP:
        unread += rf"|(vision_model\.)?(head|encoder\.layers\.{config.vision_config.num_hidden_layers})\."
    return None if re.match(unread, key) else new_name(f"model.vision_tower.vision_tower.{key}")
