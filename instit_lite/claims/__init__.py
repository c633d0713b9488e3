"""The paper's claims as experiments. In: declared arms and claims. Out: trained arms, kept answers, the ledger.

Each claim says in a few lines what is trained, on what, and what is compared; the rest of the room trains and answers
what is missing and turns answers into differences, intervals and verdicts. Refuses to know any result in advance: the
only numbers written here by hand are the paper's own, and margins declared before anything was measured.
"""
