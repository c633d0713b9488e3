"""The micro world: scripted clips of moving shapes whose every fact is known exactly.

In: a seed and a few knobs. Out: frames, exact visible masks, exact facts, sentences and questions about them,
and real mp4 files. This room knows nothing of marks, models or annotators: it is the world they look at.
"""
