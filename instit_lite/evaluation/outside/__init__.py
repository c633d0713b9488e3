"""The benches of the paper beside its own. In: hub ids or folders, a `Model`. Out: their official metrics.

RefCOCOg, ViP-Bench, AI2D, ChartQA, EgoSchema, NExT-QA (paper Tables 3 to 5). Every item stays in the denominator, and
each figure has its interval. Refuses to know how a model answers.
"""
