"""Publishing. In: HTML from a fixed template and its plain-text twin. Out: one notebook output that carries
both.

JupyterLab's image renderer has no place for alt text, so every picture of the kit travels as `text/html` with
an `<img alt=…>` beside a `text/plain` twin.
"""

from __future__ import annotations

import os


def headless() -> bool:
    """Return True in a run without a person in front of it: the notebook runner sets `INSTIT_HEADLESS=1`."""
    return os.environ.get("INSTIT_HEADLESS") == "1"


def publish(html: str, plain: str, widget=None) -> None:
    """Show `html` with `plain` as its twin; with `widget`, a live notebook shows the widget instead.

    Outside IPython the plain twin is printed.
    """
    from IPython import get_ipython

    if get_ipython() is None:
        print(plain)
        return
    from IPython.display import display

    bundle = {"text/html": html, "text/plain": plain}
    if widget is not None and not headless():
        bundle = widget._repr_mimebundle_() | bundle
    display(bundle, raw=True)
