"""Names of weights in files. In: a key of a checkpoint that `transformers` loads. Out: its parameter's name.

Checkpoints on the hub keep the names of the classes that wrote them, and `from_pretrained` translates. Who
reads the files without it has to do the same.
"""

from __future__ import annotations

import re

Rules = tuple[tuple[str, str], ...]  # what a key starts with, what stands there instead; the first that fits

RENAMED: Rules = (
    (r"(model\.)?vision_tower\.(vision_model\.)?", "model.vision_tower."),
    (r"(model\.)?multi_modal_projector\.", "model.multi_modal_projector."),
    (r"(model\.)?image_newline$", "model.image_newline"),
    (r"(language_model\.)?lm_head\.", "lm_head."),
    (r"language_model\.model\.|(model\.)?language_model\.", "model.language_model."),
)


def renamed(key: str, rules: Rules) -> str:
    """A key with another start; empty where no rule fits."""
    found = ((re.match(pattern, key), start) for pattern, start in rules)
    return next((start + key[match.end() :] for match, start in found if match), "")


def parameter_name(key: str) -> str:
    """The parameter that a stored tensor belongs to; a key that no rule knows is returned as it is."""
    return renamed(key, RENAMED) or key


def lora_target(key: str) -> str:
    """The weight that a tensor of peft's adapter file belongs to."""
    return re.sub(r"\.lora_[AB]\.weight$", ".weight", key.removeprefix("base_model.model."))
