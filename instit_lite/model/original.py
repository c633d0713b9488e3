"""The original LLaVA layout. In: its config.json and key names. Out: a transformers config, and each key's new name.

Both INST-IT checkpoints go to `LlavaOnevisionForConditionalGeneration`: it holds every key, takes CLIP and SigLIP,
does AnyRes as the original, and pools video after the projector, bilinearly, as INST-IT's inference scripts do.
LlavaNextVideo pools before the projector and cannot take SigLIP's 27 x 27 grid; LlavaNext knows no video. One
difference stays: the stock video path ends a clip with one newline token, the original has none. `model/visual.py`
makes the features itself, without it. Paper section 4 and appendix on training.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from transformers import AutoConfig, LlamaConfig, LlavaOnevisionConfig, PreTrainedConfig, Qwen2Config
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from ..errors import ModelError

CLIP, SIGLIP = "clip_vision_model", "siglip_vision_model"
# The original config only names its tower, so the two published ones are written down here.
TOWERS = {
    "clip-vit-large-patch14-336": {
        "model_type": CLIP, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768,
    },
    "siglip-so400m-patch14-384": {
        "model_type": SIGLIP, "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
        "num_attention_heads": 16, "image_size": 384, "patch_size": 14,
    },
}  # fmt: skip
LANGUAGE = {"LlavaLlamaForCausalLM": (LlamaConfig, "vicuna_v1"), "LlavaQwenForCausalLM": (Qwen2Config, "qwen_1_5")}
MUST_BE = {  # what the target class does; any other value would be converted into another model
    "mm_projector_type": ("mlp2x_gelu",), "mm_patch_merge_type": ("spatial_unpad",),
    "mm_use_im_start_end": (None, False), "mm_resampler_type": (None,), "add_faster_video": (None, False),
    "mm_vision_select_feature": (None, "patch", "cls_patch"),
}  # fmt: skip
BUFFERS = r".*\.(position_ids|rotary_emb\.inv_freq)"  # older transformers saved them; they are computed anew
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
    """Read an original checkpoint's config.json.

    Raises `ModelError` where it is in transformers layout already, or says something the target class cannot do.
    """
    config, path = read_json(folder / "config.json"), folder / "config.json"
    if "text_config" in config:
        raise ModelError("this is in the transformers layout already", path=folder, cure="load it as it is")
    name = (config.get("architectures") or ["no architecture"])[0]
    if name not in LANGUAGE:
        raise ModelError(f"{name} is not one of {', '.join(LANGUAGE)}", path=path, cure="give an INST-IT checkpoint")
    odd = [f"{key} is {config.get(key)!r}" for key, allowed in MUST_BE.items() if config.get(key) not in allowed]
    if not str(config.get("image_aspect_ratio")).startswith("anyres"):
        odd.append(f"image_aspect_ratio is {config.get('image_aspect_ratio')!r}")
    if odd:
        cure = "only mlp2x_gelu, spatial_unpad and anyres are converted, as INST-IT and LLaVA-NeXT have them"
        raise ModelError("; ".join(odd), path=path, cure=cure)
    return config


def text_config(original: dict) -> PreTrainedConfig:
    """The language model's part: the original config is a Llama or Qwen2 config with LLaVA's fields mixed in."""
    kind = LANGUAGE[original["architectures"][0]][0]
    own = {*kind().to_dict(), "rope_theta", "rope_scaling"} - {"model_type", "transformers_version", "dtype"}
    return kind(**{key: value for key, value in original.items() if key in own and key != "architectures"})


def tower_config(original: dict, tower: Path | None) -> PreTrainedConfig:
    """The tower's part, from `tower`/config.json, else from `TOWERS` by the name in the original config.

    The original deletes SigLIP's last layer and its head when it builds the tower (it ignores
    `mm_vision_select_layer`), and reads the last hidden state, before the last norm; so does the config made here.
    """
    name = str(original.get("mm_vision_tower"))
    if tower is not None:
        raw = read_json(tower / "config.json")
        raw = raw.get("vision_config", raw)
    else:
        raw = TOWERS.get(Path(name).name, {})
    if raw.get("model_type") not in (CLIP, SIGLIP):
        cure = "give the CLIP or SigLIP folder with --tower"
        raise ModelError(f"vision tower {name!r} is not known", path=tower, cure=cure)
    raw = {key: value for key, value in raw.items() if key != "transformers_version"}
    if raw["model_type"] == SIGLIP:
        raw |= {"num_hidden_layers": raw["num_hidden_layers"] - 1, "vision_use_head": False}
    return AutoConfig.for_model(**raw)


def grids(original: dict, path: Path) -> list[list[int]]:
    """AnyRes sizes in pixels as [height, width]; the original writes [width, height]. The order decides ties."""
    found = original.get("image_grid_pinpoints")
    try:
        found = ast.literal_eval(found) if isinstance(found, str) else found
        return [[int(height), int(width)] for width, height in found]
    except (ValueError, SyntaxError, TypeError) as problem:
        cure = "write it as [[width, height], ...]"
        raise ModelError(f"image_grid_pinpoints is {found!r}", path=path / "config.json", cure=cure) from problem


def new_config(
    folder: Path, original: dict, tower: Path | None, ids: dict[str, int], rows: int
) -> LlavaOnevisionConfig:
    """The whole transformers config; `ids` of `<image>` and `<video>`, `rows` of the padded vocabulary."""
    vision, text, sizes = tower_config(original, tower), text_config(original), grids(original, folder)
    text.vocab_size = rows
    siglip = vision.model_type == SIGLIP
    whole = siglip or original.get("mm_vision_select_feature") == "cls_patch"
    ratio = original["image_aspect_ratio"]
    if ratio == "anyres":  # no cap in the original: one that no grid can reach
        ratio = f"anyres_max_{max(9, *(h * w // vision.image_size**2 for h, w in sizes))}"
    config = LlavaOnevisionConfig(
        vision_config=vision, text_config=text, image_grid_pinpoints=sizes, vision_aspect_ratio=ratio,
        image_token_index=ids["<image>"], video_token_index=ids["<video>"],
        vision_feature_layer=-1 if siglip else original.get("mm_vision_select_layer", -2),
        vision_feature_select_strategy="full" if whole else "default",
        tie_word_embeddings=text.tie_word_embeddings,
    )  # fmt: skip
    config.architectures = ["LlavaOnevisionForConditionalGeneration"]
    return config


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
    """The new name of a checkpoint's key; None for a buffer, an empty name where no rule knows the key."""
    if re.fullmatch(BUFFERS, key):
        return None
    for pattern, start in RENAMED:
        found = re.match(pattern, key)
        if found:
            return start + key[found.end() :]
    return ""


def new_tower_name(key: str, config: LlavaOnevisionConfig) -> str | None:
    """The new name of a key of a tower folder; None for what the original never reads: text half, SigLIP's last
    layer and head.
    """
    unread = r"(text_model|visual_projection|text_projection|logit_scale|logit_bias)\b"
    if config.vision_config.model_type == SIGLIP:
        unread += rf"|(vision_model\.)?(head|encoder\.layers\.{config.vision_config.num_hidden_layers})\."
    if re.match(unread, key):
        return None
    return new_name(f"model.vision_tower.vision_tower.{key}")
