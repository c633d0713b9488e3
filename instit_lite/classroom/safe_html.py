"""HTML that cannot act. In: HTML of unknown origin, or a plain text. Out: HTML with known tags and no
scripts.

What a model wrote may stand in an output, so that nothing of it is trusted; only the kit's own picture
template, in which every text is escaped and the image is data, passes as it is.
"""

from __future__ import annotations

import re
import secrets

import bleach

TAGS = set(
    "a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr "
    "i kbd li ol p pre s span strong sub summary sup table tbody td tfoot th thead tr ul".split()
)
ATTRIBUTES = {
    "*": ["class", "id"],
    "a": ["href", "title"],
    "abbr": ["title"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan", "scope"],
    "details": ["open"],
}
PICTURE = re.compile(
    r'<figure class="instit-figure"><img src="data:image/png;base64,[A-Za-z0-9+/=]+" alt="[^"<>]*" '
    r'width="\d+">'
    r"(?:<figcaption>[^<>]*</figcaption>)?</figure>"
)
ACTIVE = re.compile(r"<(style|script)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)


def clean(html: str) -> str:
    """Return `html` without scripts, styles, event handlers, foreign images and unknown tags."""
    return bleach.clean(ACTIVE.sub("", html), tags=TAGS, attributes=ATTRIBUTES, strip=True)


def clean_output(html: str) -> str:
    """Return `html` cleaned, but with the kit's own pictures kept."""
    pictures = PICTURE.findall(html)
    token = secrets.token_hex(8)
    cleaned = clean(PICTURE.sub(f"[{token}]", html))
    for picture in pictures:
        cleaned = cleaned.replace(f"[{token}]", picture, 1)
    return cleaned
