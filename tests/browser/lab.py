"""JupyterLab without a person: a server on the loopback, a headless browser, a notebook that runs."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "build" / "browser"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
CURE = (
    "no browser was found. Cure: install Chromium (Debian and Ubuntu: apt-get install chromium), or let playwright "
    "bring one: .venv/bin/python -m playwright install --with-deps chromium; or name one: BROWSER_PATH=/path/to/chrome"
)
SETTINGS = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}
START = 120  # seconds that a server or a kernel may take to come up on a busy machine


@contextmanager
def server(folder: Path, build: Path):
    """Serve JupyterLab on `folder`, without the settings of whoever runs this; give its address and token."""
    own, token = folder.parent / "jupyter", secrets.token_hex(16)
    for name, values in SETTINGS.items():
        path = own / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    places = {"CONFIG_DIR": own / "config", "DATA_DIR": own / "data", "RUNTIME_DIR": own / "runtime"}
    environment = os.environ | {f"JUPYTER_{name}": str(path) for name, path in places.items()} | {
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
        "INSTIT_BUILD": str(build), "INSTIT_HEADLESS": "0", "MPLBACKEND": "Agg",
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--expose-app-in-browser",
               f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--allow-root"]  # fmt: skip
    with open(own / "lab.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield address(process, own), token
    finally:
        process.terminate()  # kernels end with their server
        try:
            process.wait(timeout=START)
        except subprocess.TimeoutExpired:
            process.kill()


def address(process: subprocess.Popen, own: Path) -> str:
    """The address of a server, as soon as it answers."""
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        for file in (own / "runtime").glob(f"jpserver-{process.pid}.json"):
            try:
                url = json.loads(file.read_text())["url"]
                urllib.request.urlopen(f"{url}login", timeout=5)
                return url
            except (OSError, ValueError):
                pass
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not come up:\n{(own / 'lab.log').read_text()[-2000:]}")


def launch(playwright):
    """Start a browser: the one of `BROWSER_PATH`, one of this machine, or playwright's own."""
    path = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and not Path(playwright.chromium.executable_path).exists():
        raise AssertionError(CURE)
    return playwright.chromium.launch(executable_path=path, args=QUIET)


def copies(folder: Path) -> list[str]:
    """Copy the notebooks to a folder, in profile smoke; give their names."""
    folder.mkdir(parents=True)
    for path in sorted((ROOT / "notebooks").glob("0*_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        cell.source = cell.source.replace('"micro"', '"smoke"')
        nbformat.write(notebook, folder / path.name)
    return sorted(path.name for path in folder.iterdir())


READY = """name => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.context?.path === name && panel.context.isReady && panel.content.widgets.length > 1
    && panel.sessionContext?.session?.kernel?.status === 'idle';
}"""
RUN = """() => {
  window.ran = undefined;
  jupyterapp.commands.execute('notebook:run-all-cells').then(() => window.ran = true, error => window.ran = String(error));
}"""
STATE = """() => jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code').map(cell => ({
  first: cell.model.sharedModel.source.split('\\n')[0], count: cell.model.executionCount,
  errors: cell.model.outputs.toJSON().filter(output => output.output_type === 'error').map(output => output.evalue)}))"""


def run_all(page, url: str, token: str, name: str, limit: float) -> None:
    """Open a notebook, run all of its cells, wait until the kernel is idle; an error fails."""
    page.goto(f"{url}lab/workspaces/{name[:2]}/tree/{name}?token={token}&reset", timeout=1000 * START)
    page.wait_for_function(READY, arg=name, timeout=1000 * START)
    page.evaluate(RUN)
    page.wait_for_function("() => window.ran !== undefined", timeout=1000 * limit)
    cells = page.evaluate(STATE)
    failed = [f"{cell['first']}: {error}" for cell in cells for error in cell["errors"]]
    assert not failed and page.evaluate("window.ran") is True, failed
    assert all(cell["count"] for cell in cells), [cell["first"] for cell in cells if not cell["count"]]
    page.wait_for_function(READY, arg=name, timeout=1000 * START)


if __name__ == "__main__":  # is there a browser?
    from playwright.sync_api import sync_playwright

    try:
        with sync_playwright() as own:
            launch(own).close()
    except Exception as problem:
        sys.exit(f"error: {problem}" if str(problem) == CURE else f"error: {problem}\n{CURE}")
