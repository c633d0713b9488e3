"""A run that may be killed: ask numbered questions, then write all replies to one file.

    python kill_run.py ADDRESS KEY FOLDER COUNT CONCURRENCY
"""

import json
import sys
from pathlib import Path

from instit_lite.annotation.client import Client
from instit_lite.annotation.requests import Question
from instit_lite.annotation.schema import VIDEO, VideoReply
from instit_lite.profiles import atomic_write_text


def questions(count):
    return (Question(VIDEO, "Tell the clip.", [f"item {i}"], VideoReply) for i in range(count))


def run(address, key, folder, count, concurrency):
    """Ask, resuming from `folder/ledger`, and write `folder/final.json`."""
    client = Client.connect(
        address, "m", Path(folder) / "ledger", api_key=key, concurrency=concurrency, backoff=0.01, timeout=60
    )
    with client:
        replies = [reply.model_dump() for reply in client.ask_all(questions(count))]
    atomic_write_text(Path(folder) / "final.json", json.dumps(replies, indent=1))


if __name__ == "__main__":
    run(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]))
