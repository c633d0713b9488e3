"""Figures with alt text. In: matplotlib figures and image arrays. Out: opaque PNGs in a fixed HTML template.

Every picture states its alt text: the kind of picture, its axes or parts, and what is to be seen. Colour is
never the only channel: the style varies the dashes with the colours.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from ..errors import InstitError
from .display import publish

# Okabe and Ito's colours, which stay apart under the common colour-vision deficiencies.
PALETTE = {
    "blue": "#0072B2", "orange": "#D55E00", "green": "#009E73", "pink": "#CC79A7",
    "amber": "#E69F00", "sky": "#56B4E9", "black": "#000000", "grey": "#767676",
}  # fmt: skip
COLOUR_OF = {  # one thing has one colour in all figures
    "base": PALETTE["orange"], "after SFT": PALETTE["blue"], "no marks": PALETTE["amber"], "blind": PALETTE["sky"],
    "majority": PALETTE["grey"], "prior": PALETTE["black"], "image": PALETTE["pink"], "video": PALETTE["green"],
}  # fmt: skip
MARKER_OF = {"base": "s", "no marks": "v"}  # else a disc
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
CSS_PIXELS_PER_INCH = 96
DPI = 120


def use_style() -> None:
    """Set the kit's one matplotlib style; importing the classroom does it."""
    colours = [PALETTE[name] for name in ("blue", "orange", "green", "pink", "amber", "sky", "black")]
    mpl.rcParams.update({
        "figure.figsize": (7.0, 3.6), "figure.dpi": DPI, "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=colours) + cycler(linestyle=list(DASHES)),
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": "#dddddd",
        "font.size": 11, "axes.titlesize": 12, "axes.labelsize": 11,
        "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10, "legend.frameon": False,
        "lines.linewidth": 2.0, "lines.markersize": 6, "image.cmap": "cividis",
    })  # fmt: skip


def check_alt(alt: str) -> str:
    """Return `alt` with single spaces; raise `InstitError` where it says less than three words."""
    words = alt.split() if isinstance(alt, str) else []
    if len(words) < 3:
        cure = "say the kind of picture, its axes or parts, and the finding, in one or two sentences"
        raise InstitError(f"a picture needs alt text, and {alt!r} is none", cure=cure)
    return " ".join(words)


def image_html(png: bytes, alt: str, *, width: int, caption: str | None = None) -> str:
    """Return the picture template: `png` as a data URI, escaped alt text, `width` in CSS pixels."""
    alt = html.escape(check_alt(alt))
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return f'<figure class="instit-figure"><img src="{source}" alt="{alt}" width="{width}">{below}</figure>'


def figure_html(fig: Figure, *, alt: str, caption: str | None = None) -> str:
    """Return `fig` in the picture template, on opaque white, and close it."""
    if not isinstance(fig, Figure):
        cure = "return the figure itself, for example the first value of plt.subplots()"
        raise InstitError(f"a matplotlib Figure was expected, not {type(fig).__name__}", cure=cure)
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, facecolor="white", bbox_inches="tight")
    plt.close(fig)
    with Image.open(buffer) as picture:
        width = round(picture.width * CSS_PIXELS_PER_INCH / DPI)
    return image_html(buffer.getvalue(), alt, width=width, caption=caption)


def data_at(fig: Figure, across: float, down: float) -> tuple[float, float] | None:
    """Return the data point (x, y) under a place of a picture that `figure_html` made, None beside all axes.

    `across` and `down` are shares of the picture's width and height, from its top left corner.
    """
    cut = fig.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"])  # in inches: what `savefig` keeps
    point = fig.dpi * (cut.x0 + across * cut.width), fig.dpi * (cut.y1 - down * cut.height)
    axis = next((axis for axis in fig.axes if axis.bbox.contains(*point)), None)
    return None if axis is None else tuple(axis.transData.inverted().transform(point).tolist())


def show_figure(fig: Figure, *, alt: str, caption: str | None = None) -> None:
    """Show `fig` with alt text and close it; raise `InstitError` where `alt` says nothing."""
    publish(figure_html(fig, alt=alt, caption=caption), check_alt(alt))


def to_rgb(array: np.ndarray) -> np.ndarray:
    """Return an image as uint8 [H, W, 3]; takes uint8, bool, or float in [0, 1], with 1, 3 or no channels."""
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


def show_image(array: np.ndarray, *, alt: str, caption: str | None = None, width: int | None = None) -> None:
    """Show one image `width` CSS pixels wide (default: its own, at most 720), tiny ones enlarged."""
    image = Image.fromarray(to_rgb(array))
    if image.width < 192:
        image = ImageOps.scale(image, math.ceil(192 / image.width), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    width = width or min(image.width, 720)
    publish(image_html(buffer.getvalue(), alt, width=width, caption=caption), check_alt(alt))


def show_images(
    images: Sequence, titles: Sequence[str] | None = None, *, alt: str, columns: int = 4, size: float = 2.4
) -> None:
    """Show images side by side, each `size` inches wide, under their `titles`; wrap after `columns`."""
    show_figure(image_grid(images, titles, columns=columns, size=size), alt=alt)


def band(axis: Axes, spans: Sequence, name: str) -> None:
    """Draw intervals (`mean`, `low`, `high`) over 1, 2, ... as a line with its band, in the look of `name`."""
    places = range(1, len(spans) + 1)
    axis.plot(places, [one.mean for one in spans], marker=MARKER_OF.get(name, "o"), color=COLOUR_OF[name], label=name)
    axis.fill_between(places, [one.low for one in spans], [one.high for one in spans], color=COLOUR_OF[name], alpha=0.2)


def dots(axis: Axes, spans: Sequence, name: str, shift: float) -> None:
    """Draw intervals over 0, 1, ... as dots with bars, moved by `shift`, in the look of `name`."""
    means = np.array([one.mean for one in spans])
    reach = np.abs(np.array([[one.low for one in spans], [one.high for one in spans]]) - means)
    look = {"marker": MARKER_OF.get(name, "o"), "color": COLOUR_OF[name], "linestyle": "none"}
    axis.errorbar(np.arange(len(spans)) + shift, means, reach, label=name, **look)


def not_measured(axis: Axes, x: float, y: float) -> None:
    """Say in a chart's row that it has no value; lines behind the words stay off them."""
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axis.text(x, y, "not measured", ha="center", va="center", fontsize=9, color=PALETTE["grey"], bbox=behind, zorder=3)


def image_grid(
    images: Sequence, titles: Sequence[str] | None = None, *, columns: int = 4, size: float = 2.4
) -> Figure:
    """Return the figure that `show_images` shows; `fig.axes` begins with one axis an image."""
    if len(images) == 0 or (titles is not None and len(titles) != len(images)):
        raise InstitError(f"{len(images)} images with {0 if titles is None else len(titles)} titles")
    images = [to_rgb(image) for image in images]
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    height = size * images[0].shape[0] / images[0].shape[1] + (0.3 if titles else 0.05)
    fig, axes = plt.subplots(rows, columns, figsize=(size * columns, height * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, titles or [""] * len(images)):
        sharp = image.shape[1] < size * DPI
        axis.imshow(image, interpolation="nearest" if sharp else "antialiased")
        axis.set_title(title, fontsize=10, parse_math=False)  # a dollar in a text is a dollar
    return fig


use_style()
