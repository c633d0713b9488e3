"""The bench, the answers, the score. In: a base and an adapter, or files of predictions. Out: accuracies with intervals.

Beside the score stands what a reader can try: ask one question, move a mark, see where the model looks.
Refuses to know how a model was trained. An answer that cannot be read is wrong and is counted; a figure comes
with its interval, with chance, with the most frequent answer and with the same model without the picture.
"""
