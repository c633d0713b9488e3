"""Figures with alt text. In: matplotlib figures and image arrays. Out: opaque PNG pictures in a fixed HTML
template.

Every picture states its alt text: the kind of picture, its axes or parts, and what is to be seen. Colour is
never the only channel: vary markers and line styles too (`PALETTE` gives the colours, `MARKERS` and `DASHES`
the rest).
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from PIL import Image

from ..errors import InstitError
from .display import publish

# Okabe and Ito's colours, which stay apart under the common colour-vision deficiencies.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "pink": "#CC79A7",
    "amber": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
    "grey": "#767676",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
CSS_PIXELS_PER_INCH = 96
DPI = 120


def use_style() -> None:
    """Set the kit's one matplotlib style; importing the classroom does it."""
    colours = [PALETTE[name] for name in ("blue", "orange", "green", "pink", "amber", "sky", "black")]
    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 3.6),
            "figure.dpi": DPI,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "savefig.transparent": False,
            "axes.facecolor": "white",
            "axes.prop_cycle": cycler(color=colours) + cycler(linestyle=list(DASHES)),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.axisbelow": True,
            "grid.color": "#dddddd",
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "lines.linewidth": 2.0,
            "lines.markersize": 6,
            "image.cmap": "cividis",
        }
    )


def check_alt(alt: str) -> str:
    """Return `alt` with single spaces; raise `InstitError` where it says less than three words."""
    words = alt.split() if isinstance(alt, str) else []
    if len(words) < 3:
        raise InstitError(
            f"a picture needs alt text, and {alt!r} is none",
            cure="say the kind of picture, its axes or parts, and the finding, in one or two sentences",
        )
    return " ".join(words)


def image_html(png: bytes, alt: str, *, width: int, caption: str | None = None) -> str:
    """Return the picture template: `png` as a data URI, escaped alt text, `width` in CSS pixels."""
    alt = html.escape(check_alt(alt), quote=True)
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure class="instit-figure"><img src="data:image/png;base64,{data}" alt="{alt}" '
        f'width="{int(width)}">{below}</figure>'
    )


def figure_png(fig: Figure) -> tuple[bytes, int]:
    """Render `fig` on opaque white and close it; return the PNG and its width in CSS pixels."""
    if not isinstance(fig, Figure):
        raise InstitError(
            f"a matplotlib Figure was expected, not {type(fig).__name__}",
            cure="return the figure itself, for example the first value of plt.subplots()",
        )
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, facecolor="white", bbox_inches="tight")
    plt.close(fig)
    with Image.open(buffer) as picture:
        width = round(picture.width * CSS_PIXELS_PER_INCH / DPI)
    return buffer.getvalue(), width


def figure_html(fig: Figure, *, alt: str, caption: str | None = None) -> str:
    """Return `fig` in the picture template and close it."""
    alt = check_alt(alt)
    png, width = figure_png(fig)
    return image_html(png, alt, width=width, caption=caption)


def show_figure(fig: Figure, *, alt: str, caption: str | None = None) -> None:
    """Show `fig` with alt text and close it, so that the notebook does not show it twice.

    Raises `InstitError` where `alt` says nothing or `fig` is no matplotlib figure.
    """
    publish(figure_html(fig, alt=alt, caption=caption), check_alt(alt))


def to_rgb(array: np.ndarray) -> np.ndarray:
    """Return an image as uint8 [H, W, 3]; takes uint8, bool, or float in [0, 1], with 1, 3 or no channels.

    Raises `InstitError` for other shapes and for floats outside [0, 1].
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise InstitError(f"an image is [H, W] or [H, W, 3], not {list(array.shape)}")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        if not (np.nanmin(array) >= 0 and np.nanmax(array) <= 1):
            raise InstitError("a float image holds values from 0 to 1", cure="rescale it, or pass uint8")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise InstitError(f"an image is uint8, bool or float, not {array.dtype}")
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def show_image(
    array: np.ndarray, *, alt: str, caption: str | None = None, width: int | None = None
) -> None:
    """Show one image pixel for pixel, `width` CSS pixels wide.

    By default an image is shown at its own size, and a tiny one is enlarged to at least 192 pixels with sharp
    pixels; none is shown wider than 720.
    """
    image = Image.fromarray(to_rgb(array))
    alt = check_alt(alt)
    if image.width < 192:
        times = -(-192 // image.width)
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    shown = min(image.width, 720) if width is None else width
    publish(image_html(buffer.getvalue(), alt, width=shown, caption=caption), alt)


def show_images(
    images: Sequence, titles: Sequence[str] | None = None, *, alt: str, columns: int | None = None,
    size: float = 2.4, caption: str | None = None,
) -> None:
    """Show images side by side under their titles.

    `images` is a flat sequence, wrapped after `columns` (default 4), or a list of rows (each a list of
    images); `titles` is flat, one per image; `size` is the width of one image in inches.
    """
    if len(images) and isinstance(images[0], (list, tuple)):
        columns = columns or max(len(row) for row in images)
        images = [image for row in images for image in [*row, *[None] * (columns - len(row))]]
    shown = sum(image is not None for image in images)
    if not shown or (titles is not None and len(titles) != shown):
        raise InstitError(f"{shown} images with {0 if titles is None else len(titles)} titles")
    columns = min(columns or 4, len(images))
    rows = -(-len(images) // columns)
    first = to_rgb(next(image for image in images if image is not None))
    height = size * first.shape[0] / first.shape[1] + (0.3 if titles else 0.05)
    fig, axes = plt.subplots(rows, columns, figsize=(size * columns, height * rows), squeeze=False)
    remaining = iter(titles or [])
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, images):
        if image is not None:
            image = to_rgb(image)
            sharp = image.shape[1] < size * DPI
            axis.imshow(image, interpolation="nearest" if sharp else "antialiased")
            axis.set_title(next(remaining, ""), fontsize=10)
    show_figure(fig, alt=alt, caption=caption)


use_style()
