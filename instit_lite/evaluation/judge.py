"""Judges of open-ended answers. In: questions, true answers, replies. Out: scores, each with who gave it.

A judge sees texts only, as upstream's does (paper, section 3.4, Figure 4). Its scores are bounded, and what it did not
score is unscored and counted, never 0. The offline judge follows rules; any OpenAI-compatible model can be another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from tqdm.auto import tqdm

from ..annotation.prompts import load_prompt
from ..annotation.schema import Strict
from ..errors import EndpointError, ReplyError
from ..profiles import atomic_write_text
from . import rules
from .judge_call import Client, ask_as
from .predictions import Run

AT_ONCE = 8  # calls of a model judge


class Score(NamedTuple):
    """One answer's score: `value` from 0 to 1, None where unscored; why; and the judge's identity."""

    value: float | None
    reason: str
    judge: dict


Judge = Callable[[str, str, str], Score]  # of question, truth, reply


class Grade(Strict):
    """What a model judge fills in. Words, because the only bounds that every endpoint takes are a list of them."""

    reason: str
    tenths: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]


def hash_of(text: str) -> str:
    """A short SHA-256, to tell prompts and rules apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


RULES = {"model": "instit-lite-rules", "prompt": hash_of(Path(rules.__file__).read_text(encoding="utf-8"))}


def rules_judge(question: str, truth: str, reply: str) -> Score:
    """The offline judge."""
    return Score(rules.judge_by_rules(question, truth, reply), "", RULES)


def model_judge(client: Client) -> Judge:
    """A judge that asks a model; its instructions are in `prompts/judge.md`. `client`: see `judge_call.connect`.

    The ledger of `client` keeps every reply, so that a judged file costs nothing again, and a killed run goes on.
    """
    system = load_prompt("judge", Path(__file__).parent / "prompts")["system"]
    prompt = {"prompt": hash_of(system + json.dumps(Grade.model_json_schema()))}

    def judge(question: str, truth: str, reply: str) -> Score:
        text = json.dumps({"question": question, "reference": truth, "answer": reply}, ensure_ascii=False)
        try:
            grade, who = ask_as(client, "grade", system, text, Grade)
        except (EndpointError, ReplyError) as problem:
            return Score(None, str(problem), {"model": client.model} | prompt)
        return Score(int(grade.tenths) / 10, grade.reason, who | prompt)

    return judge


def judge_all(judge: Judge, texts: Iterable[tuple[str, str, str]]) -> list[Score]:
    """Score many replies, a model's several at a time; the order is kept."""
    texts, offline = list(texts), judge is rules_judge
    pool = ThreadPoolExecutor(1 if offline else AT_ONCE)
    try:
        return list(tqdm(pool.map(lambda text: judge(*text), texts), total=len(texts), disable=offline, unit="answer"))
    finally:
        pool.shutdown(cancel_futures=True)  # who interrupts pays for no further call


def judged(judge: Judge, run: Run, path: Path | None = None) -> Run:
    """The run with marks for its open-ended answers, None where unscored; an empty answer is 0 and costs no call.

    `path`: a file of JSON lines with question, truth, answer, score, reason and identity of each.
    """
    scores = {k: Score(0.0, "empty answer", {}) for k, one in enumerate(run.answered) if one.item.format == "open"}
    said = {k: run.answered[k] for k in scores if run.answered[k].text.strip()}
    scores |= zip(said, judge_all(judge, ((one.item.question, one.item.answer, one.text) for one in said.values())))
    if path is not None:
        lines = [
            {"question_id": one.item.question_id, "split": one.item.split, "question": one.item.question,
             "ground_truth": one.item.answer, "model_prediction": one.text, **scores[k]._asdict()}
            for k, one in enumerate(run.answered) if k in scores
        ]  # fmt: skip
        atomic_write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    answered = [one._replace(mark=scores[k].value) if k in scores else one for k, one in enumerate(run.answered)]
    return run._replace(answered=answered)
