"""`python -m instit_lite.claims`. In: options. Out: the ledger; see `run`."""

from __future__ import annotations

import argparse
import sys

from ..errors import InstitError
from .options import add_options
from .run import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m instit_lite.claims", description="Measure the paper's claims.")
    add_options(parser)
    try:
        sys.exit(main(parser.parse_args()))
    except InstitError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
