"""The mini dataset: from annotations to INST-IT records, and from records to dialogues.

In: `ClipAnnotation` and `FrameAnnotation`, or INST-IT's own json files. Out: key-exact records, LLaVA
dialogues by the paper's four rules, the Arrow form, mixes with general data, splits by clip and statistics.
This room knows texts and paths; it opens no picture and knows no model.
"""
