"""What a notebook needs to teach and to be trusted: figures, widgets, predictions, the runner, the report.

In: matplotlib figures, images, pure drawing functions, notebooks. Out: pictures with alt text, controls with
a static twin, strictly executed notebooks and one report page. Of INST-IT it knows one thing: how to
draw the ledger of claims (`claim_figures`, `claim_curves`).
"""

from .figures import (
    COLOUR_OF, PALETTE, band, dots, figure_html, image_grid, show_figure, show_image, show_images, use_style,
)  # fmt: skip
from .predictions import predict, reveal
from .resources import Meter
from .start import start
from .widgets import explorer

__all__ = [
    "COLOUR_OF", "Meter", "PALETTE", "band", "dots", "explorer", "figure_html", "image_grid", "predict", "reveal",
    "show_figure", "show_image", "show_images", "start", "use_style",
]  # fmt: skip
