"""Which option a reply chooses. In: a reply in free words, the options. Out: a letter, or None.

Stages, strictest first: a letter alone, a letter that leads its reason, a statement ("the answer is C", "(D) is
right"), the only letter that is mentioned, the text of exactly one option. A reply that names two options, or a letter
with another option's text, chooses none: a capital that happens to stand in a sentence is never a choice.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 4000  # characters that are read, from the end
BARE = r"((?-i:A(?! (?!and\b|or\b|is\b|as\b|can\b|seems\b|looks\b)[a-z])|[B-D]))(?![\w'’\]>]|-\w)"  # not "A man"
LETTER = rf"(?:[(\[]([a-d])[)\]]|(?<![\w\[<]){BARE}|(?<![\w/])([a-d])(?=\W*$))"
NOUN = r"(?<![a-z])(?:answer|ans|option|choice|letter|guess|antwort|respuesta|réponse|ответ|答案)"
ABOUT = r"(?: (?:to|of|that|for|among|in|from)\b(?: (?!is\b|are\b)\S+){1,9})?"
WOULD = r"(?:must|should|will|would(?: have to)?|could|has to) be"
IS = rf"\s*(?:is|{WOULD}|ist|es|est|是|[:=.-])[\s:]*(?:the )?(?:option|choice|letter)?\s*"
VERB = r"\b(?:choose|select|pick|prefer|go(?:ing)? (?:with|for)|opt for|say)"
LIKE = r"(?: (?:is|seems|looks|appears)(?: to be)?|:)"
SO = r"(?:[:→=-]|=>|\b(?:hence|thus|therefore|so|but),?(?: it's| it is)?)"
LEADING, STATED, MENTIONED = STAGES = (
    [r"^(?:option |choice )?(?:([a-d])[.:)]|[(\[]([a-d])[)\]][.:]?|((?-i:[A-D]))(?=,| -| —|\n| because\b| \())"],
    [
        NOUN + ABOUT + IS + LETTER,
        rf"{VERB} (?:the )?(?:{NOUN})?\s*{LETTER}",
        rf"{LETTER}{LIKE} (?:the )?(?:one|only|right|correct|best|better|most)\b",
        rf"{LETTER} (?:best )?(?:describes|matches|fits)\b",
        rf"{SO}\s*(?:{NOUN} )?{LETTER}\W*$",
    ],
    [LETTER],
)
MORE = rf"[)\]]?\s*(?:,|/|&|\bor\b|\band\b)\W*(?:or |and )?(?:option |choice )?[(\[]?{BARE}"
LISTED = r"(?:^|\s)[(*]?(?-i:[A-D])[.:)](?: |$)"
ANNOUNCED = rf"(?:^|[.,;:!?(\n] ?|\b(?:{NOUN}|statement|in|only|is|be|that's|it's|\w+ly|maybe|perhaps) ?)$"
DENIED_BEFORE = (
    r"(?:\b(?:not|never|doubt|neither|nor|than|over|except|unlike|instead of|rule out|exclude)\b|n't)"
    r"(?: (?!but\b|so\b)[\w,]+){0,6} ?[(\[]?$"
)
DENIED_AFTER = (
    r"\W*(?:(?:is|are|was|does|do|can) ?(?:not\b|n't)|cannot\b|is (?:wrong|incorrect|false|out)\b|"
    r"can be (?:excluded|ruled out)|:? (?:wrong|incorrect|false|no)\b)"
)
MENDED = r"\b(?:wait|actually|correction|sorry|rather|final|second thought)\b"
DENIAL = r"\b(?:not|never|neither|nor|without)\b|n't\b"
SAYS = r"(?:^|\b(?:is|are|be|that|at|in|only|think|say|see|mark|instance)|'s|:)(?: an?| the)?$"
SAID = r"$| ?[,;.(]| (?:does|is|in colou?r)\b"


def has(pattern: str, text: str) -> bool:
    """Whether a pattern occurs, in capitals or not."""
    return bool(re.search(pattern, text, re.IGNORECASE))


def normalise(text: str) -> str:
    """Fold case, make runs of white space one space, drop one final full stop; nothing more."""
    return re.sub(r"\s+", " ", text.strip()).removesuffix(".").rstrip().casefold()


def parse_choice(text: str, options: dict[str, str] | None = None) -> str | None:
    """The chosen letter, "A" to "D", or None where the reply does not choose exactly one.

    Without `options` no option's text is known, so that only letters count.
    """
    text, options = plain(text[-LONGEST:]), {k: normalise(plain(v)) for k, v in (options or {}).items()}
    for part in (text, text.rpartition("\n")[2]):
        if alone := re.fullmatch(r"\W*([a-d])(?:\W+\1)*\W*", part, re.IGNORECASE):
            return alone[1].upper()
    if exact := [letter for letter, option in options.items() if option and option == normalise(text)]:
        return exact[0] if len(exact) == 1 else None
    for stage in STAGES:
        if letters := claims(text, stage, options):
            return letters[0] or None if len(letters) == 1 else None
    letter, first = named(text, options), re.match(r"([B-D]) ", text)
    return None if first and first[1] != letter else letter


def plain(text: str) -> str:
    """Take away what only dresses a reply: thoughts, tags, Markdown, LaTeX, quotes, full-width letters, empty lines."""
    text = unicodedata.normalize("NFKC", re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL | re.IGNORECASE))
    text = re.sub(r"\\(?:boxed|text\w*|mathrm)\s*(?=\{)", "", text)
    text = re.sub(r"</?[a-z]+>|[*`$#\"“”{}]|__", "", text, flags=re.IGNORECASE)
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"['‘]([a-dA-D])['’]", r"(\1)", text).strip())


def claims(text: str, stage: list[str], options: dict[str, str]) -> list[str]:
    """The different letters that a reply claims, "" for a claim that contradicts itself; denied ones are no claims.

    A statement after a correction ("wait, ...") stands alone. A mere mention counts at the edge of a clause, or after a
    word that announces it.
    """
    found: dict[int, tuple[int, str]] = {}
    for match in (m for pattern in stage for m in re.finditer(pattern, text, re.IGNORECASE)):
        letter = match[match.lastindex].upper()
        end = match.end() if stage is MENTIONED else match.end(match.lastindex)
        head, tail = text[: match.start()], text[end:]
        if has(DENIED_BEFORE, head[-80:]) or re.match(DENIED_AFTER, tail, re.IGNORECASE):
            continue
        says = {named(re.split(r"(?<=[.!?])\s", tail.lstrip(" .,:)]\n"))[0], options)}
        clear = not re.match(MORE, tail, re.IGNORECASE)
        if stage is LEADING:
            says, clear = {named(tail, options)}, clear and not has(LISTED, tail.lstrip(".:)"))
        if stage is MENTIONED:
            says.add(named(head.rstrip(" ,(-:"), options))
            clear = has(ANNOUNCED, head[-80:]) or re.match(r"[).,;:!?\n]|\W*$", tail) or match[0][0] in "(["
        found[end] = match.start(), letter if clear and says <= {None, letter} else ""
    order = sorted(found)
    if stage is STATED and len(order) > 1 and has(MENDED, text[order[-2] : found[order[-1]][0]]):
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
    if has(DENIAL, head) or re.match(DENIED_AFTER, tail):
        return None
    return letter if " " in options[letter] or (has(SAYS, head) and re.match(SAID, tail)) else None
