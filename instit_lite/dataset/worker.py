"""One item in a process of its own. In: a request. Out: a line on what was made of it, or one typed error.

A decoder that hangs or crashes on a damaged file takes its process with it, not the batch.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

from ..errors import InstitError, UnreadableInput
from .annotate import Request, annotate_file

# Where there is a fork server, the libraries are loaded once, and each process begins as a copy of it.
CONTEXT = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
CONTEXT.set_forkserver_preload([__name__])
NAME = "annotate one item"


def annotate_apart(request: Request, limit: float) -> str:
    """Annotate one item within `limit` seconds. Raises `InstitError`, whatever becomes of the process."""
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=answer, args=(there, request, dict(os.environ)), name=NAME, daemon=True)
    process.start()
    there.close()
    try:
        told = here.recv() if here.poll(limit) else f"took longer than {limit:g} s"
    except EOFError:
        told = "ended the process that read it"
    process.kill()
    process.join()
    if isinstance(told, InstitError):
        raise told
    if isinstance(told, str):
        raise UnreadableInput(told, path=request.source, cure="cut or re-encode it, or raise --limit")
    return told[0]


def answer(there: Connection, request: Request, environment: dict[str, str]) -> None:
    """Annotate one item and send what came of it; a defect of the kit, too, becomes an error that names the item."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the batch is interrupted, and ends its processes
    os.environ.update(environment)
    try:
        done = annotate_file(request, say=lambda text: None)
        warned = f", warnings: {'; '.join(done.warnings)}" if done.warnings else ""
        there.send([f"frames: {done.n_frames}, marks: {done.mark_ids}, audit: {len(done.findings)} findings{warned}"])
    except Exception as problem:
        reason = f"cannot be annotated ({type(problem).__name__}: {problem})"
        told = InstitError(reason, cure="leave it out, and report this, with the file if you can")
        told = problem if isinstance(problem, InstitError) else told
        told.path = told.path or str(request.source)
        there.send(told)


def end_all() -> None:
    """End all processes that are at work."""
    for process in multiprocessing.active_children():
        if process.name == NAME:
            process.kill()
