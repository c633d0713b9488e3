"""Who is evaluated, behind one interface. In: the name of a model, questions with frames. Out: one text per question.

`open_model` gives a base of the kit, a published checkpoint as its own transformers class runs it, or a model behind an
OpenAI-compatible address. The paper's Table 2 stands beside what is run. Refuses to know what a bench holds true.
"""
