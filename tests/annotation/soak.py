"""What is too long for every change: kills, speed, many at once, memory. Run by `make soak`; says what it measured.

    python tests/annotation/soak.py [--quick]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from killing import kill_and_resume

from instit_lite.annotation.client import Client
from instit_lite.annotation.pictures import encode_picture
from instit_lite.annotation.requests import Question
from instit_lite.annotation.schema import VIDEO, VideoReply
from instit_lite.annotation.server import LoopbackServer, running

QUICK = "--quick" in sys.argv
SIDE = 141  # of random pixels: a PNG of about 60 KB
SERVE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from soak import serve
serve()
"""


def serve():
    """A server in a process of its own, until its input is closed; it answers at once."""
    server = LoopbackServer(lambda request: {"video_level_caption": "[1] waits at <1>."})
    with running(server):
        print(server.base_url, server.key, flush=True)
        sys.stdin.read()
        print(json.dumps({"calls": server.calls, "cpu": time.process_time()}), flush=True)


def pictures():
    rng = np.random.default_rng(0)
    return [encode_picture(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)) for _ in range(16)]


def load(folder, calls, at_once, name):
    """Ask many questions with two pictures each; print and return requests per second."""
    posted = pictures()
    size = [len(p.uri) * 3 // 4 // 1000 for p in posted]
    command = [sys.executable, "-c", SERVE, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        address, key = child.stdout.readline().split()
        client = Client.connect(address, "m", folder / f"{name}.ledger", api_key=key, concurrency=at_once)
        with client:
            warm = [Question(VIDEO, "warm", [f"{i}", posted[0], posted[1]], VideoReply) for i in range(at_once)]
            assert len(list(client.ask_all(warm))) == at_once
            questions = (
                Question(VIDEO, "s", [f"{i}", posted[i % 16], posted[(i + 1) % 16]], VideoReply) for i in range(calls)
            )
            process, begun, spent = psutil.Process(), time.monotonic(), time.process_time()
            before = process.memory_info().rss
            answered = sum(1 for _ in client.ask_all(questions))
            seconds, spent = time.monotonic() - begun, time.process_time() - spent
            grown = (process.memory_info().rss - before) / 2**20
        told = json.loads(child.communicate("")[0])
    served = told["cpu"] / told["calls"]
    print(f"{name}: {answered} calls with two pictures of {min(size)} KB, {at_once} at once: {answered / seconds:.0f}/s; "
          f"CPU per call: client {1000 * spent / calls:.1f} ms, server {1000 * served:.1f} ms; "
          f"retried {client.retried}; memory +{grown:.0f} MB", flush=True)  # fmt: skip
    assert answered == calls and client.retried == 0 and client.asked == calls + at_once
    return answered / seconds, grown


def main():
    cores, busy = os.cpu_count(), os.getloadavg()[0]
    print(f"{cores} cores, load {busy:.1f} before anything of this began", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        speed, _ = load(folder, 300 if QUICK else 2000, 64, "speed")
        load(folder, 300 if QUICK else 1000, 256, "many at once")
        _, grown = load(folder, 500 if QUICK else 10_000, 64, "soak")
        kills, items = (5, 200) if QUICK else (50, 2000)
        told = kill_and_resume(folder / "kills", kills=kills, items=items, concurrency=8, seed=1)
        print(f"kills: {told}", flush=True)
    assert told["kills"] == kills and told["lost"] == 0 and told["same"] and told["answers"] == items
    assert told["billed again"] <= told["limit"]
    assert grown < 50, f"the soak grew by {grown:.0f} MB"
    if speed < 250:
        print(f"below 250 calls a second, on {cores} cores with a load of {busy:.1f} from elsewhere")
        sys.exit(busy < 0.5)


if __name__ == "__main__":
    main()
