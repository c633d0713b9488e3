"""A process that annotates one item after another. In: requests as JSON lines. Out: outcomes as JSON lines.

A decoder that hangs or crashes on a damaged file takes its process with it, not the batch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import errors
from .annotate import Request, annotate_file

PATHS = ("source", "out", "boxes", "masks", "coco", "youtube_vis")
ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """One such process, started when it is first asked, and anew after it ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, request: Request, limit: float) -> str:
        """Annotate one item; return a line on it. Raises `InstitError`, also after `limit` seconds."""
        if self.process is None or self.process.poll() is not None:
            path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "instit_lite.dataset.worker"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, encoding="utf-8", env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # an interrupt goes to the batch, which ends its workers
            )  # fmt: skip
        late = threading.Event()
        timer = threading.Timer(limit, lambda: (late.set(), self.end()))
        timer.start()
        try:
            print(posed(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            code = self.process.wait()
            reason = f"took longer than {limit:g} s" if late.is_set() else f"ended the process that read it (exit {code})"
            raise errors.UnreadableInput(reason, path=request.source, cure="cut or re-encode it, or raise --limit")
        return understood(line)

    def end(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.kill()


def posed(request: Request) -> str:
    """Write a request as a line."""
    return json.dumps(asdict(request), default=str)


def understood(line: str) -> str:
    """Return what a line tells of an item that was annotated; raise the error that it tells of."""
    told = json.loads(line)
    if "error" in told:
        raise getattr(errors, told["error"], errors.InstitError)(told["reason"], path=told["path"], cure=told["cure"])
    return told["done"]


def answer(line: str) -> dict[str, Any]:
    """Annotate one item; whatever goes wrong, a defect of the kit too, becomes an outcome."""
    fields = json.loads(line)
    request = Request(**{k: Path(v) if k in PATHS and v is not None else v for k, v in fields.items()})
    try:
        done = annotate_file(request, say=lambda text: None)
    except errors.InstitError as problem:
        return {"error": type(problem).__name__, "reason": problem.reason, "path": problem.path, "cure": problem.cure}
    except Exception as problem:
        reason = f"cannot be annotated ({type(problem).__name__}: {problem})"
        cure = "leave it out, and report this, with the file if you can"
        return {"error": "UnreadableInput", "reason": reason, "path": str(request.source), "cure": cure}
    warned = f", warnings: {'; '.join(done.warnings)}" if done.warnings else ""
    return {"done": f"frames: {done.n_frames}, marks: {done.mark_ids}, audit: {len(done.findings)} findings{warned}"}


def main() -> None:
    """Answer until the input ends; what the libraries print does not get among the answers."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(line)), file=out, flush=True)


if __name__ == "__main__":
    main()
