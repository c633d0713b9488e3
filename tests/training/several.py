"""What `test_several_processes.py` starts twice at once: runs, each in a folder below the one given."""

import os
import shutil
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from tiny import SIDE, TURNS, frames, tiny_model
from transformers import TrainerCallback

from instit_lite.model.load import Base
from instit_lite.model.templates import TEMPLATES
from instit_lite.model.tokenizer import micro_tokenizer
from instit_lite.training import sft
from instit_lite.training.collator import Sample
from instit_lite.training.processes import processes
from instit_lite.training.settings import SftSettings
from instit_lite.training.sft import run_sft

# 7 samples in batches of 4: the last batch of a pass is short, and one process finds it empty but for a blank
PLAIN = SftSettings(steps=5, batch=4, rank=4, lr=1e-2, save_every=3, nf4=False)
RUNS = {
    "plain": PLAIN,
    "parts": SftSettings(steps=3, batch=4, accumulate=4, rank=4, lr=1e-2, packing="one_per_sample"),
    "resumed": PLAIN,
}


def exact(patch):
    """Whole fp32 factors: where products round them to bf16, a batch's shape shows in the fourth digit of a loss."""
    patch.setattr(sft, "fast_cpu", nullcontext)


class Killed(Exception):
    pass


class KillAfter(TrainerCallback):
    """Die after step 4: with an error, or `outright`, which nothing in the process can see coming."""

    def __init__(self, outright=False):
        self.outright = outright

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 4:
            if self.outright:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Killed


def base():
    tokenizer = micro_tokenizer()
    return Base(tiny_model(tokenizer), tokenizer, TEMPLATES["micro"], SIDE, "tiny", Path("nowhere"))


def samples():
    """Pictures, clips and texts, so that one process may see no picture where the other does."""
    kinds = [("image", 1), ("text", 0), ("video", 3), ("text", 0), ("image", 2), ("image", 1), ("video", 2)]
    made = []
    for i, (kind, n) in enumerate(kinds):
        made.append(Sample(frames(n, i) if n else None, kind, TURNS[: 1 + i % len(TURNS)]))
    return made


def kill(folder):
    with pytest.raises(Killed):
        run_sft(base(), samples(), PLAIN, folder, say=lambda line: None, callbacks=[KillAfter()])


def main(folder):
    kill(folder / "resumed")
    if processes().main:
        shutil.copytree(folder / "resumed", folder / "killed")
    processes().wait()
    for name, settings in RUNS.items():
        run_sft(base(), samples(), settings, folder / name, say=print)


if __name__ == "__main__":
    exact(pytest.MonkeyPatch())
    if sys.argv[2:] == ["outright"]:
        run_sft(base(), samples(), PLAIN, sys.argv[1], callbacks=[KillAfter(outright=True)])
    main(Path(sys.argv[1]))
