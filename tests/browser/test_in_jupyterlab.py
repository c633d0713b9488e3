"""Every notebook runs in JupyterLab, and every explorer answers its controls: the figure changes, its alt text with it.

Pictures of what was seen stay in build/browser/.
"""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from lab import PICTURES, ROOT, run_all
from PIL import Image

pytestmark = pytest.mark.browser
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("0*_*.ipynb"))
LIMIT = 1800  # seconds for one notebook: 05 trains, and the machine may be busy
ANSWER = 120_000  # milliseconds until a figure follows its control: some ask a model
CONTROLS = "select, .noUi-handle, input[type=checkbox]"
LOOK = "root => { const i = root.querySelector('img'); return i && [i.src, i.alt]; }"
MOVED = """([root, source]) => {
  const error = root.querySelector('[role=alert]'), picture = root.querySelector('img');
  return error ? error.textContent : picture && picture.src !== source;
}"""


def move(page, control) -> str:
    """Move one control, sliders and boxes with the keyboard; say what it is called."""
    control.focus()
    if control.get_attribute("type") == "checkbox":
        page.keyboard.press("Space")
    elif control.get_attribute("role") == "slider":
        last = control.get_attribute("aria-valuenow") == control.get_attribute("aria-valuemax")
        page.keyboard.press("ArrowLeft" if last else "ArrowRight")
    else:  # a list opens a window of the system, which a headless browser does not have
        control.select_option(index=control.evaluate("list => (list.selectedIndex + 1) % list.options.length"))
    return name_of(control)


def name_of(control) -> str:
    """The name by which a screen reader calls a control."""
    return control.evaluate("c => c.getAttribute('aria-label') || [...c.labels || []].map(l => l.textContent).join(' ')")


def answer(page, root, before) -> list[str]:
    """Wait until the figure is another than `before`; return its source and alt text."""
    said = page.wait_for_function(MOVED, arg=[root, before[0]], timeout=ANSWER).json_value()
    assert said is True, said
    return root.evaluate(LOOK)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs_and_its_explorers_follow(name, lab, page):
    run_all(page, *lab, name, LIMIT)
    roots = page.locator(".instit-explorer")
    assert roots.count() >= 1
    for k, root in enumerate(roots.element_handles(), start=1):
        root.scroll_into_view_if_needed()
        controls = root.query_selector_all(CONTROLS)
        assert controls
        for control in controls:
            before = root.evaluate(LOOK)
            assert before, root.inner_text()
            label = move(page, control)
            after = answer(page, root, before)
            assert label, f"{name}: a control has no name"
            assert after[1] != before[1], f"{name}: the alt text does not follow {label!r}: {after[1]}"
        root.screenshot(path=PICTURES / f"{name[:2]}-explorer-{k}.png")
    if name.startswith("01"):
        check_click(page, roots.first.element_handle())
    if name.startswith("03"):
        check_keys(page)


def check_click(page, root) -> None:
    """A click on an instance gives it its mark, as ticking its box does, and a second one takes it away."""
    box, picture = root.query_selector_all("input[type=checkbox]")[-1], page.locator(".instit-clickable img")
    if box.is_checked():
        before = root.evaluate(LOOK)
        move(page, box)
        answer(page, root, before)
    without = root.evaluate(LOOK)
    move(page, box)
    marked = answer(page, root, without)
    across, down = middle_of_change(without[0], marked[0])
    for expected in (without, marked):
        before, size = root.evaluate(LOOK), picture.bounding_box()
        picture.click(position={"x": across * size["width"], "y": down * size["height"]})
        assert answer(page, root, before) == expected, "the click did not do what the box does"
    assert box.is_checked()


def middle_of_change(one: str, other: str) -> tuple[float, float]:
    """Where two pictures differ most, in shares of width and height; their titles are left out."""
    a, b = (np.asarray(Image.open(BytesIO(b64decode(source.split(",")[1]))).convert("L"), int) for source in (one, other))
    change = abs(a - b) > 40
    change[: len(change) // 8] = False
    rows, columns = np.nonzero(change)
    return float(columns.mean() / change.shape[1]), float(rows.mean() / change.shape[0])


def check_keys(page) -> None:
    """On the verification page a key decides, and the next text is shown."""
    root = page.locator("[class*=instit-verify-]").first
    root.get_by_role("button", name="Accept (A)").focus()
    for key, said in (("a", "Kept: accept."), ("r", "Kept: reject."), ("ArrowLeft", "Item")):
        showing = root.locator("[data-showing]").get_attribute("data-showing")
        page.keyboard.press(key)
        page.wait_for_function("([root, was]) => root.querySelector('[data-showing]').dataset.showing !== was",
                               arg=[root.element_handle(), showing], timeout=ANSWER)  # fmt: skip
        assert said in root.locator("[data-showing]").inner_text()
