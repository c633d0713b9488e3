"""Continuous SFT: packing, collating, the loss on answers, the trainer, checks before it, resuming
after a kill.

In: a base model and samples (frames with questions and answers). Out: an adapter folder and a log of losses.
This room does not know where samples come from, how marks are drawn, or how answers are scored.
"""
