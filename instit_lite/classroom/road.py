"""The picture of the road. In: the pages of the notebooks. Out: one SVG, with links and a description."""

from __future__ import annotations

# Each step: the number of its notebook, its name, and what it hands to the next one.
STEPS = (
    ("01", "Set-of-Marks", "marked frames"),
    ("02", "Three equations", "annotations"),
    ("03", "Mini dataset", "dialogues"),
    ("04", "Visual tokens", "pooled tokens"),
    ("05", "QLoRA SFT", "an adapter"),
    ("06", "Evaluation", "scores, intervals"),
)
DESCRIPTION = "The road of INST-IT from left to right: " + "; ".join(
    f"{name} gives {gives}" for _, name, gives in STEPS
)
GAP, BOX = 24, 130  # pixels between boxes, and of a box
OPENING = f"""
<svg viewBox="0 0 940 120" role="img" aria-labelledby="road-title" class="road"
xmlns="http://www.w3.org/2000/svg">
<title id="road-title">{DESCRIPTION}</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z"/></marker></defs>
"""


def road_svg(pages: dict[str, str]) -> str:
    """Return the picture; `pages` maps a notebook's number to its page, for those that can be opened."""
    svg = OPENING
    for place, (number, name, gives) in enumerate(STEPS):
        left = place * (BOX + GAP) + 20
        middle = left + BOX / 2
        box = (
            f'<rect x="{left}" y="12" width="{BOX}" height="58" rx="6"/>'
            f'<text x="{middle}" y="36" class="number">{number}</text><text x="{middle}" y="57">{name}</text>'
        )
        svg += f'<a href="{pages[number]}">{box}</a>' if number in pages else box
        svg += f'<text x="{middle}" y="94" class="gives">{gives}</text>'
        if place + 1 < len(STEPS):
            svg += f'<path d="M{left + BOX} 41 h{GAP}" class="arrow" marker-end="url(#tip)"/>'
    return svg + "</svg>"
