"""Prompt templates. In: a placeholder text for the visual tokens, a question, an answer. Out: prompt texts.

Every template is split where shared-prefix packing needs the split: one prefix that ends with the visual
tokens, then branches of question and answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """A chat format; the visual input always stands before the question, as in INST-IT."""

    name: str
    start: str  # everything before the visual tokens
    assistant: str  # between question and answer
    end: str  # closes the answer; supervised, so that the model learns to stop
    gap: str = "\n"  # between the visual tokens and the question
    again: str = ""  # before every question but the first, where turns follow one another
    frame: str = ""  # the name of a clip's frame, before its visual tokens; INST-IT writes none

    def prefix(self, visual: str) -> str:
        """Text shared by all questions about one visual input."""
        return f"{self.start}{visual}{self.gap}" if visual else self.start

    def opening(self, shared: bool) -> tuple[str, str]:
        """What stands right before a question, and what the question starts with.

        `shared`: visual tokens or a context stand before it. Without them a space that ends `start` goes to the
        question, because tokenizers join a space with the word that follows.
        """
        return (self.gap, "") if shared else split_space(self.start)

    def ask(self, question: str) -> str:
        """A question up to the point where the answer starts."""
        return f"{question}{self.assistant}"

    def answer(self, text: str) -> str:
        """An answer with its end mark: the only supervised text."""
        return f" {text}{self.end}" if self.assistant.endswith(":") else f"{text}{self.end}"


def split_space(text: str) -> tuple[str, str]:
    """Cut the spaces off the end of a text."""
    bare = text.rstrip(" ")
    return bare, text[len(bare) :]


TEMPLATES = {
    "micro": Template("micro", "<s>USER: ", " ASSISTANT:", "</s>", frame="<{}>"),
    "vicuna_v1": Template(
        "vicuna_v1",
        "<s>A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the human's questions. USER: ",
        " ASSISTANT:",
        "</s>",
        again="USER: ",
    ),
    "qwen_1_5": Template(
        "qwen_1_5",
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
        again="\n<|im_start|>user\n",
    ),
}
