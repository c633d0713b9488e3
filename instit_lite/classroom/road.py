"""The picture of the road. In: titles of the notebooks that have a page. Out: one SVG, with links and a
description.
"""

from __future__ import annotations

import html

# Each step: the number of its notebook, its name, and what it hands to the next one.
STEPS = (
    ("01", "Set-of-Marks", "marked frames"),
    ("02", "Three equations", "annotations"),
    ("03", "Mini dataset", "dialogues"),
    ("04", "Visual tokens", "pooled tokens"),
    ("05", "QLoRA SFT", "an adapter"),
    ("06", "Evaluation", "scores, intervals"),
)
WIDTH, HEIGHT, GAP, BOX = 940, 120, 24, 130
DESCRIPTION = "The road of INST-IT from left to right: " + "; ".join(
    f"{name} gives {gives}" for _, name, gives in STEPS
)


def road_svg(pages: dict[str, str]) -> str:
    """Return the picture; `pages` maps a notebook's number to its page, for those that can be opened."""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="road-title" class="road" '
        'xmlns="http://www.w3.org/2000/svg">',
        f'<title id="road-title">{html.escape(DESCRIPTION)}</title>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
    ]
    for place, (number, name, gives) in enumerate(STEPS):
        left = place * (BOX + GAP) + 20
        box = (
            f'<rect x="{left}" y="12" width="{BOX}" height="58" rx="6"/>'
            f'<text x="{left + BOX / 2}" y="36" class="number">{number}</text>'
            f'<text x="{left + BOX / 2}" y="57">{html.escape(name)}</text>'
        )
        parts.append(f'<a href="{html.escape(pages[number])}">{box}</a>' if number in pages else box)
        parts.append(f'<text x="{left + BOX / 2}" y="94" class="gives">{html.escape(gives)}</text>')
        if place + 1 < len(STEPS):
            way = f"M{left + BOX} 41 H{left + BOX + GAP}"
            parts.append(f'<path d="{way}" class="arrow" marker-end="url(#tip)"/>')
    return "".join([*parts, "</svg>"])
