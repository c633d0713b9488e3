"""Kill a run again and again, and count what the server was made to answer; used by a test and by `make soak`."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from kill_run import run

from instit_lite.annotation.ledger import Ledger
from instit_lite.annotation.server import LoopbackServer, running

RUN = Path(__file__).parent / "kill_run.py"


def answer(server, delay):
    """Answer by the item's number after a short while, and count the answer as billed."""

    def reply(request):
        item = request["messages"][1]["content"][0]["text"]
        time.sleep(delay * random.random())
        with server.lock:
            server.billed[item] += 1
        return {"video_level_caption": f"[1] is in {item} ü"}

    return reply


def kill_and_resume(folder, kills, items, concurrency, seed=0, delay=0.01, faults=()):
    """Kill a run `kills` times after a random number of calls, let it end, and say what happened, as a dict.

    The same items are then asked by an uninterrupted run, to compare the final files.
    """
    rng = random.Random(seed)
    server = LoopbackServer(None)
    server.billed = Counter()
    server.answer = answer(server, delay)
    done = 0
    with running(server):
        (folder / "killed").mkdir(parents=True)
        (folder / "whole").mkdir()
        command = [sys.executable, RUN, server.base_url, server.key, folder / "killed", str(items), str(concurrency)]
        marks = sorted(rng.sample(range(1, items), kills))  # billed answers at which to kill
        for mark in marks:
            server.fail(faults)
            child = subprocess.Popen(command)
            while child.poll() is None and len(server.billed) < mark:
                time.sleep(0.002)
            if child.poll() is None:
                time.sleep(rng.random() * 0.02)
                child.kill()
                done += child.wait() == -9
        server.faults.clear()
        assert subprocess.run(command).returncode == 0
        billed, extra = server.billed.total(), server.billed.total() - len(server.billed)
        run(server.base_url, server.key, folder / "whole", items, concurrency)
    ledger = Ledger(folder / "killed" / "ledger")
    final = (folder / "killed" / "final.json").read_bytes()
    return {
        "kills": done, "items": items, "billed": billed, "billed again": extra, "limit": done * concurrency,
        "answers": len(ledger.bodies), "lost": items - len({row["video_level_caption"] for row in json.loads(final)}),
        "damaged lines": ledger.damaged, "same": final == (folder / "whole" / "final.json").read_bytes(),
    }  # fmt: skip
