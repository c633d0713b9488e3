"""Which option a reply chooses. In: a reply in free words, the options. Out: a letter, and the stage that found it.

Stages, strictest first: a letter alone, a letter that leads its reason, a statement ("the answer is C", "(D) is
right"), the only letter that is mentioned, the text of exactly one option. A reply that names two options, or a letter
with another option's text, chooses none: a capital that happens to stand in a sentence is never a choice.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

FOLD = re.IGNORECASE
ALONE = re.compile(r"\W*([a-d])(?:\W+\1)*\W*", FOLD)
LEADING = re.compile(
    r"(?:option |choice )?(?:([a-d])[.:)]|[(\[]([a-d])[)\]][.:]?|((?-i:[A-D]))(?:,| -| —|\n| because\b| \())(.*)", FOLD | re.DOTALL
)
BARE = r"((?-i:A(?! (?!and\b|or\b|is\b|as\b|can\b|seems\b|looks\b)[a-z])|[B-D]))(?![\w'’\]>]|-\w)"  # "A man" has an article
LETTER = rf"(?:[(\[]([a-d])[)\]]|(?<![\w\[<]){BARE}|(?<![\w/])([a-d])(?=\W*$))"
MORE = re.compile(rf"[)\]]?\s*(?:,|/|&|\bor\b|\band\b)\W*(?:or |and )?(?:option |choice )?[(\[]?{BARE}", FOLD)
NOUN = r"(?<![a-z])(?:answer|ans|option|choice|letter|guess|antwort|respuesta|réponse|ответ|答案)"
ABOUT = r"(?: (?:to|of|that|for|among|in|from)\b(?: (?!is\b|are\b)\S+){1,9})?"
IS = r"\s*(?:is|(?:must|should|will|would(?: have to)?|could|has to) be|ist|es|est|是|[:=.-])[\s:]*(?:the )?(?:option|choice|letter)?\s*"
STATED = (
    re.compile(NOUN + ABOUT + IS + LETTER, FOLD),
    re.compile(rf"\b(?:choose|select|pick|prefer|go(?:ing)? (?:with|for)|opt for|say) (?:the )?(?:{NOUN})?\s*{LETTER}", FOLD),
    re.compile(LETTER + r"(?: (?:is|seems|looks|appears)(?: to be)?|:) (?:the )?(?:one|only|right|correct|best|better|most)\b", FOLD),
    re.compile(LETTER + r" (?:best )?(?:describes|matches|fits)\b", FOLD),
    re.compile(rf"(?:[:→=-]|=>|\b(?:hence|thus|therefore|so|but),?(?: it's| it is)?)\s*(?:{NOUN} )?{LETTER}\W*$", FOLD),
)  # fmt: skip
MENTIONED = (re.compile(LETTER, FOLD),)
EDGE_BEFORE = re.compile(rf"(?:^|[.,;:!?(] ?|\b(?:{NOUN}|statement|in|only|is|be|that's|it's|\w+ly|maybe|perhaps) ?)$", FOLD)
DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|doubt|neither|nor|than|over|except|unlike|instead of|rule out|exclude)\b|n't)"
    r"(?: (?!but\b|so\b)[\w,]+){0,6} ?[(\[]?$", FOLD,
)
DENIED_AFTER = re.compile(
    r"\W*(?:(?:is|are|was|does|do|can) ?(?:not\b|n't)|cannot\b|is (?:wrong|incorrect|false|out)\b|"
    r"can be (?:excluded|ruled out)|: (?:wrong|incorrect|false|no)\b)", FOLD,
)
MENDED = re.compile(r"\b(?:wait|actually|correction|sorry|rather|final|second thought)\b", FOLD)
DENIAL = re.compile(r"\b(?:not|never|neither|nor|without)\b|n't\b")
SAYS = re.compile(r"(?:^|\b(?:is|are|be|that|at|in|only|think|say|see|mark|instance)|'s|:)(?: an?| the)?$")
SAID = re.compile(r"$| ?[,;.(]| (?:does|is|in colou?r)\b")


class Choice(NamedTuple):
    """`letter`: "A" to "D", or None; `stage`: "letter", "leading", "stated", "mentioned", "text" or "unparsed"."""

    letter: str | None
    stage: str


NONE = Choice(None, "unparsed")


def normalise(text: str) -> str:
    """Fold case, make runs of white space one space, drop one final full stop; nothing more."""
    return re.sub(r"\s+", " ", text.strip()).removesuffix(".").rstrip().casefold()


def parse_choice(text: str, options: dict[str, str] | None = None) -> str | None:
    """The chosen letter, "A" to "D", or None where the reply does not choose exactly one; see `read_choice`."""
    return read_choice(text, options).letter


def read_choice(text: str, options: dict[str, str] | None = None) -> Choice:
    """Read the chosen letter; without `options` no option's text is known, so only letters count."""
    text, options = plain(text), {k: normalise(plain(v)) for k, v in (options or {}).items()}
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    flat = " ".join(lines)
    for part in (flat, lines[-1]):
        if found := ALONE.fullmatch(part):
            return Choice(found[1].upper(), "letter")
    exact = [letter for letter, option in options.items() if option and option == normalise(flat)]
    if exact:
        return Choice(exact[0], "text") if len(exact) == 1 else NONE
    if found := LEADING.fullmatch("\n".join(lines)):
        return leading((found[1] or found[2] or found[3]).upper(), found[4], options)
    for stage in ("stated", "mentioned"):
        letters = claims(flat, stage, options)
        if letters:
            return Choice(letters[0], stage) if len(letters) == 1 and letters[0] else NONE
    letter, first = named(flat, options), re.match(r"([B-D]) ", flat)
    return Choice(letter, "text") if letter and (not first or first[1] == letter) else NONE


def plain(text: str) -> str:
    """Take away what only dresses a reply: thoughts, tags, Markdown, LaTeX, quotes around it, full-width letters."""
    text = unicodedata.normalize("NFKC", re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL | FOLD))
    text = re.sub(r"\\(?:boxed|text\w*|mathrm)\s*(?=\{)", "", text)
    text = re.sub(r"</?[a-z]+>|[*`$#\"“”{}]|__", "", text, flags=FOLD)
    return re.sub(r"['‘]([a-dA-D])['’]", r"(\1)", text).strip()


def leading(letter: str, rest: str, options: dict[str, str]) -> Choice:
    """A letter before its reason counts, unless the reason names another option, or goes on to list letters.

    Where options are gone through one by one, it is the one that is called right.
    """
    said, more = named(rest, options), MORE.match(f",{rest}")
    if (said and said != letter) or (more and more[1] != letter):
        return NONE
    lines = re.findall(r"(?:^|\s)[*(]?([A-D])[.:)] ?(.*)", rest)
    if not lines:
        return Choice(letter, "leading")
    right = [k for k, why in [(letter, rest), *lines] if re.match(r"\W*(?:right|correct|true|yes)\b", why, FOLD)]
    return Choice(right[0], "stated") if len(right) == 1 else NONE


def claims(text: str, stage: str, options: dict[str, str]) -> list[str]:
    """The different letters that a reply claims, "" for a claim that contradicts itself; denied ones are no claims.

    A statement after a correction ("wait, ...") stands alone. A mention counts at the edge of a clause, or after a
    word that announces it.
    """
    found: dict[int, tuple[int, str]] = {}
    for match in (m for pattern in (STATED if stage == "stated" else MENTIONED) for m in pattern.finditer(text)):
        letter, start, end = next(g for g in match.groups() if g).upper(), match.start(), match.end()
        end = end if stage == "mentioned" else match.end(match.lastindex)
        head, tail = text[:start], text[end:]
        if DENIED_BEFORE.search(head) or DENIED_AFTER.match(tail):
            continue
        says = [named(re.split(r"(?<=[.!?])\s", tail.lstrip(" .,:)]"))[0], options)]
        clear = not (stage == "stated" and MORE.match(tail))
        if stage == "mentioned":
            says.append(named(head.rstrip(" ,(-:"), options))
            clear = bool(EDGE_BEFORE.search(head) or re.match(r"[).,;:!?]|\W*$", tail) or match[0][0] in "([")
        found[end] = start, letter if clear and set(says) <= {None, letter} else ""
    order = sorted(found)
    if stage == "stated" and len(order) > 1 and MENDED.search(text[order[-2] : found[order[-1]][0]]):
        order = order[-1:]
    return list(dict.fromkeys(found[end][1] for end in order))


def named(text: str, options: dict[str, str]) -> str | None:
    """The one option whose text a reply holds and does not deny; a single word must be what the reply says."""
    text = normalise(text)
    spans = {
        m.span(): letter
        for letter, option in options.items() if option
        for m in re.finditer(rf"(?<![\w\[<]){re.escape(option)}(?![\w\]>])", text)
    }  # fmt: skip
    outer = {s: k for s, k in spans.items() if not any(a <= s[0] and s[1] <= b and (a, b) != s for a, b in spans)}
    if len(set(outer.values())) != 1:
        return None
    (start, end), letter = next(iter(outer.items()))
    head, tail = re.split(r"[.!?;] ", text[:start])[-1].rstrip(), text[end:]
    if DENIAL.search(head) or DENIED_AFTER.match(tail):
        return None
    return letter if " " in options[letter] or (SAYS.search(head) and SAID.match(tail)) else None
