"""A published checkpoint as its own class runs it. In: a folder or hub id. Out: a `Model`.

Weights, tokenizer, chat template and picture settings are the checkpoint's; how frames go in is in `seeing`. No
processor class is built, because those that know clips need torchvision, which the kit never imports.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from ...errors import ModelError, PreflightError
from ...model.load import check_files, default_dtype, load_model, resolve
from ...training.stage import place
from ..report import model_fingerprint
from ..score import UNFINISHED
from .asked import Asked
from .seeing import WAYS, Seen

DOCS = "docs/models-and-benches.md says what to do instead"


class StockModel:
    """A checkpoint behind the one interface; one question at a time, since no two need have pictures of one size."""

    together = 1

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pictures: Any, chat: str, name: str
    ) -> None:
        self.model, self.tokenizer, self.pictures = model, tokenizer, pictures
        self.chat, self.name = chat, name
        known = model.generation_config.eos_token_id
        ends = [*(known if isinstance(known, list) else [known]), tokenizer.eos_token_id]
        self.ends = sorted({token for token in ends if token is not None})  # the ids that end an answer

    def identity(self) -> dict[str, str]:
        return {"model": self.name, "class": type(self.model).__name__, "weights": model_fingerprint(self)}

    def answer(self, items: Sequence[Asked], *, blind: bool = False, max_new_tokens: int = 128) -> list[str]:
        return [self.answer_one(item, blind, max_new_tokens) for item in items]

    @torch.inference_mode()
    def answer_one(self, item: Asked, blind: bool, max_new_tokens: int) -> str:
        """Answer one question greedily."""
        clip, config = item.split == "video" or len(item.frames) > 1, self.model.config
        see = WAYS[config.model_type]
        seen = Seen({}, "image", []) if blind else see(self.model, self.pictures, item.frames, clip)
        text, bos = self.prompt(item.prompt, seen), self.tokenizer.bos_token
        own = bool(bos) and text.startswith(bos)  # else the tokenizer writes one, where it has one
        ids = self.tokenizer(text, add_special_tokens=not own, return_tensors="pt")["input_ids"].to(self.model.device)
        needed, room = ids.shape[1] + max_new_tokens, config.get_text_config().max_position_embeddings
        if needed > room:
            reason = f"{item.key} with {len(item.frames)} frames needs {needed:,} positions, the model has {room:,}"
            raise PreflightError(reason, cure="show fewer frames, or ask a model with a longer context")
        shown = seen.more | ({"mm_encoder_outputs": seen.outputs} if seen.outputs else {})
        if seen.more:  # Qwen2-VL counts positions of pictures in three directions
            shown["mm_token_type_ids"] = (ids == config.image_token_id) + 2 * (ids == config.video_token_id)
        greedy = GenerationConfig(do_sample=False, num_beams=1, max_new_tokens=max_new_tokens, eos_token_id=self.ends,
                                  pad_token_id=self.ends[0])  # fmt: skip
        whole = torch.ones_like(ids)
        rows = self.model.generate(input_ids=ids, attention_mask=whole, generation_config=greedy, **shown)
        new = rows[0, ids.shape[1] :].tolist()
        text = self.tokenizer.decode(new, skip_special_tokens=True).strip()
        return text if new and new[-1] in self.ends else f"{text} {UNFINISHED}"

    def prompt(self, question: str, seen: Seen) -> str:
        """The chat template's text, with as many signs in place of each picture as it has visual tokens."""
        content: list[dict[str, str]] = []
        for number in range(1, len(seen.counts) + 1):
            content += [{"type": "text", "text": seen.label.format(number)}] if seen.label else []
            content.append({"type": seen.kind})
        content.append({"type": "text", "text": question})
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], chat_template=self.chat, tokenize=False, add_generation_prompt=True
        )
        sign = self.tokenizer.convert_ids_to_tokens(getattr(self.model.config, f"{seen.kind}_token_id"))
        head, *tails = text.split(sign)
        if len(tails) != len(seen.counts):
            reason = f"{len(tails)} signs {sign} for {len(seen.counts)} pictures"
            raise PreflightError(reason, cure="take the sign out of the question, or mend the chat template")
        return head + "".join(seen.around.format(sign * n) + tail for n, tail in zip(seen.counts, tails))


def stock_model(name: str, *, dtype: torch.dtype | None = None, **options: Any) -> StockModel:
    """Load a checkpoint folder, or a hub id, of a class that `WAYS` knows.

    `options` go to `from_pretrained`: `quantization_config`, `device_map`. Without them the model goes to the GPU where
    there is one. Raises `ModelError` where files are missing, or no class of `transformers` fits.
    """
    folder = resolve(name)
    check_files(folder, name)
    disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type not in WAYS:
            raise ModelError(f"there is no way to show a {config.model_type} model frames", path=folder, cure=DOCS)
        model = load_model(folder, config, AutoModelForImageTextToText, dtype=dtype or default_dtype(), **options)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        pictures = AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as problem:
        cure = f"download it again; where it brings its own code, {DOCS}"
        raise ModelError(f"no class of transformers loads it ({problem})", path=folder, cure=cure) from problem
    older = folder / "chat_template.json"  # the tokenizer reads a newer one by itself
    chat = json.loads(older.read_text("utf-8"))["chat_template"] if older.exists() else tokenizer.chat_template
    if not isinstance(chat, str):
        cure = "copy chat_template.json or chat_template.jinja from the checkpoint's page"
        raise ModelError("has no chat template, so nobody knows how to ask it", path=folder, cure=cure)
    return StockModel(model.eval() if options else model.eval().to(place()), tokenizer, pictures, chat, name)
