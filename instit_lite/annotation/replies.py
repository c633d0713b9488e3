"""Replies in. In: the HTTP status and the raw body of an answer, the schema asked for. Out: a verdict.

Every call ends in one of eight outcomes. `retry` and `reask` go on; a question ends as `done`, as `refused`,
`truncated`, `filtered` or `quarantined`, which concern it alone, or as `fatal`, which stops the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import EndpointError, InstitError, ReplyError

PASSING = (408, 409, 425, 429)  # and every 5xx: worth another try
SPENT = ("insufficient_quota", "billing", "credit balance", "payment")  # no waiting mends these
WEB_PAGE = "answers with a web page"


class Outcome(StrEnum):
    """What became of a call."""

    DONE = "done"
    RETRY = "retry"
    REASK = "reask"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    QUARANTINED = "quarantined"
    FATAL = "fatal"


@dataclass(frozen=True)
class Verdict:
    """An outcome and why; `parsed` and `model`, as it called itself, where it is done.

    `wait`: seconds that the endpoint asked to wait. `tokens`: (prompt, completion) as it counted them. `billed`:
    whether it may charge for the call. `busy`: it wants fewer calls. `content`: what it said that did not fit.
    """

    outcome: Outcome
    reason: str = ""
    cure: str = ""
    error: type[InstitError] = EndpointError
    parsed: Any = None
    model: str = ""
    wait: float | None = None
    tokens: tuple[int, int] | None = None
    billed: bool = True
    busy: bool = False
    content: str = ""

    def problem(self, path: str) -> InstitError:
        """Return the typed error of a question that was not answered."""
        problem = self.error(self.reason, path=path, cure=self.cure)
        problem.outcome = str(self.outcome)
        return problem


def judge(status: int, headers: Mapping[str, str], body: str, kind: str, schema: type[BaseModel] | None) -> Verdict:
    """Judge the answer to a question of `kind`; with `schema` None, any text will do."""
    good = 200 <= status < 300
    return judge_body(body, kind, schema) if good else judge_status(status, headers, body)


def judge_status(status: int, headers: Mapping[str, str], body: str) -> Verdict:
    """Judge an answer that is no success."""
    said, lower = " ".join(body.split())[:200].rstrip("."), body.lower()
    reason, cure = f"answers HTTP {status}: {said}", "check address, model and credit"
    if status in (401, 403):
        return Verdict(Outcome.FATAL, f"refuses the key (HTTP {status})", "set OPENAI_API_KEY anew", billed=False)
    if 300 <= status < 400:
        place = headers.get("location", "elsewhere").split("?")[0]
        return Verdict(Outcome.FATAL, f"redirects to {place}", "give the final address", billed=False)
    if status in (402, 404) or status == 429 and any(word in lower for word in SPENT):
        return Verdict(Outcome.FATAL, reason, cure, billed=False)
    if status in PASSING or status >= 500:
        busy = status == 429
        return Verdict(Outcome.RETRY, reason, "try later", wait=told_wait(headers), billed=False, busy=busy)
    cure = "mend the request, or leave it out"
    return Verdict(Outcome.QUARANTINED, reason, cure, billed=False, content=body[:5000])


def told_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`, a number or a date; None where there are none."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        told = headers["retry-after"].strip()
        if re.fullmatch(r"[\d.]+", told):
            return float(told)
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def judge_body(body: str, kind: str, schema: type[BaseModel] | None) -> Verdict:
    """Judge the body of a success; nothing that a model writes raises here."""
    if body.lstrip()[:1] == "<":
        return Verdict(Outcome.RETRY, f"{WEB_PAGE}, not an API reply",
                       "log in to the network if it is a login page; check that the address ends in /v1")  # fmt: skip
    try:
        envelope = json.loads(body)
        choice = envelope["choices"][0]
        finish, message = choice.get("finish_reason"), choice["message"]
        refusal, content = message.get("refusal"), message.get("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Verdict(Outcome.RETRY, f"the answer to {kind!r} is not an API reply: {body.strip()[:60]!r}",
                       "check that the address ends in /v1")  # fmt: skip
    rest = {"error": ReplyError, "tokens": tokens_of(envelope), "model": str(envelope.get("model") or "unnamed")}
    if finish == "content_filter":
        return Verdict(Outcome.FILTERED, f"the endpoint's filter stopped the reply to {kind!r}", LEAVE_OUT, **rest)
    if refusal:
        said = str(refusal)[:200].rstrip(".")
        return Verdict(Outcome.REFUSED, f"the model refused {kind!r}: {said}", LEAVE_OUT, **rest)
    if finish == "length":
        reason = f"the reply to {kind!r} was cut short at the token limit"
        return Verdict(Outcome.TRUNCATED, reason, "raise max_tokens", **rest)
    if not isinstance(content, str) or not content.strip():
        return Verdict(Outcome.REASK, f"the reply to {kind!r} is empty", ASK_AGAIN, **rest)
    if schema is None:
        return Verdict(Outcome.DONE, parsed=content, **rest)
    try:
        parsed = schema.model_validate(find_json(content))
    except (ValueError, RecursionError) as problem:
        reason = f"the reply to {kind!r} is not what the schema asks for: {say_fault(problem)}"
        return Verdict(Outcome.REASK, reason, ASK_AGAIN, content=content, **rest)
    odd = "" if finish in ("stop", None) else f"finish_reason {str(finish)[:40]!r}"
    return Verdict(Outcome.DONE, odd, parsed=parsed, **rest)


LEAVE_OUT = "leave this item out"
ASK_AGAIN = "ask again, or use a model that supports json_schema"


def tokens_of(envelope: dict[str, Any]) -> tuple[int, int] | None:
    """Return what the endpoint counted, (prompt, completion) tokens, None where it does not say."""
    usage = envelope.get("usage")
    counted = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
    return tuple(counted) if counted and all(type(n) is int and n >= 0 for n in counted) else None


def say_fault(problem: Exception) -> str:
    """Say the first few faults in one line, as the model that made them shall read it."""
    if not isinstance(problem, ValidationError):
        return str(problem).split("\n")[0][:200] or type(problem).__name__
    faults = problem.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, f['loc'])) or 'the whole text'}: {f['msg']}" for f in faults[:5])


def find_json(content: str) -> Any:
    """Return the JSON in a text, out of fences, thoughts and prose; raise `ValueError` where there is none.

    A name that stands twice and numbers that are none are refused, not mended.
    """
    text = re.sub(r"^.*</think>", "", content, flags=re.DOTALL)
    start = text.find("{")
    if start < 0:
        raise ValueError("there is no JSON object in the text")
    decoder = json.JSONDecoder(object_pairs_hook=distinct_names, parse_constant=refuse_constant)
    return decoder.raw_decode(text, start)[0]


def distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
