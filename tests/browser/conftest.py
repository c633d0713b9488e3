"""One server and one browser for all browser tests, and one build folder: notebook 05 uses what 03 made."""

from __future__ import annotations

import pytest
from lab import PICTURES, copies, launch, server


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address and token of a JupyterLab on copies of the notebooks."""
    root = tmp_path_factory.mktemp("lab")
    copies(root / "notebooks")
    with server(root / "notebooks", root / "build") as (url, token):
        yield url, token


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as own:
        found = launch(own)
        yield found
        found.close()


@pytest.fixture
def page(browser, request):
    """A new page; a test that fails leaves a picture of it."""
    found, failed = browser.new_page(viewport={"width": 1280, "height": 1000}), request.session.testsfailed
    yield found
    if request.session.testsfailed > failed:
        picture = PICTURES / f"{request.node.callspec.id}.png"
        found.screenshot(path=picture)
        print(f"the page as it was left: {picture}")
    found.close()
