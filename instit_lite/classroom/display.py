"""Publishing. In: HTML and its plain-text twin. Out: one notebook output that carries both.

JupyterLab's image renderer has no place for alt text, so pictures travel as `text/html` with `<img alt=…>`.
"""

from __future__ import annotations

import os

from IPython import get_ipython
from IPython.display import display


def headless() -> bool:
    """Return True in a run without a person in front of it: the notebook runner sets `INSTIT_HEADLESS=1`."""
    return os.environ.get("INSTIT_HEADLESS") == "1"


def publish(html: str, plain: str, widget=None, update=None):
    """Show `html`, or in a live notebook `widget`; outside IPython print the twin `plain`.

    Returns what a later call takes as `update`, to put its picture in the place of this one; None outside IPython.
    """
    if get_ipython() is None:
        print(plain)
        return None
    bundle = {"text/html": html, "text/plain": plain}
    if widget is not None and not headless():
        bundle = widget._repr_mimebundle_() | bundle
    if update is None:
        return display(bundle, raw=True, display_id=True)
    update.update(bundle, raw=True)
    return update
