"""instit_lite: the road of INST-IT (arXiv 2412.03565), small enough to read in a week and run on a laptop.

The rooms follow the data: scenes -> marks -> annotation -> dataset -> model -> training -> evaluation ->
classroom. Each room imports only from the rooms before it.
"""

__version__ = "0.1.0"
