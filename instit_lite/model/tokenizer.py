"""The micro tokenizer: one token per word or sign. In: the micro-language. Out: a real fast tokenizer.

`[1]` is three tokens, `[`, `1`, `]`, as in large tokenizers: the digit on a mark, the digit in a question and
a printed digit share one embedding.
"""

from __future__ import annotations

import re

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ..scenes.language import vocabulary

SPECIALS = ("<pad>", "<s>", "</s>", "<image>", "<video>", "<unk>")


def micro_tokenizer() -> PreTrainedTokenizerFast:
    """Build the word-level tokenizer over the micro-language; ids 0 to 5 are `SPECIALS`."""
    words = [*SPECIALS, "USER", "ASSISTANT", *vocabulary()]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), behavior="removed", invert=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=["<image>", "<video>"],
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    return tokenizer


def tidy(text: str) -> str:
    """Undo the spaces that word-level decoding puts around signs: `[ 1 ] is red .` -> `[1] is red.`"""
    text = re.sub(r"\s+([\]>.,?:])", r"\1", text.strip())
    return re.sub(r"([\[<])\s+", r"\1", text)
