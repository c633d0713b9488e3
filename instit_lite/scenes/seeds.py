"""Which seeds belong to whom. In: nothing. Out: the first seeds of the training and the bench scenes.

A scene is its seed: a bench is unseen as long as nobody trained on its seeds. The ranges never meet:

| range | who |
|---|---|
| 0 to under 1,000,000 | the base's first stages count upward from 0 (`make pretrain`); figures in notebooks |
| `TRAIN_SEED` up | scenes of the mini dataset and the general pictures mixed into the SFT |
| `BENCH_SEED` up | scenes of the bench; one bench takes `BENCH_SPAN` seeds, so bench k starts k spans later |
| 70,000,000 up | the other stages of the base (`training/`); 1,000,000,000 up: the check of its tower |
"""

from __future__ import annotations

TRAIN_SEED = 1_000_000
BENCH_SEED = 9_000_000
BENCH_SPAN = 1_000_000
