"""``python -m pyg_samsa``: the command line."""

import sys

from pyg_samsa.cli import main

if __name__ == "__main__":
    sys.exit(main())
