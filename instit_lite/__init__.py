"""instit_lite: the road of INST-IT (arXiv 2412.03565), small enough to read in a week and run on a laptop.

The rooms follow the data: scenes -> marks -> annotation -> dataset -> model -> training -> evaluation ->
classroom. Each room imports only from the rooms before it.
"""

import warnings

__version__ = "0.1.0"

# supervision says at import that it works without OpenCV, which is how the kit uses it.
warnings.filterwarnings("ignore", message=r"OpenCV .* is not installed", category=UserWarning)
