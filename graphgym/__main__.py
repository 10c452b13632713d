"""``python -m graphgym --cfg FILE [--repeat N] [key value ...]``: the same as ``pyg-samsa train``."""

import sys

from pyg_samsa.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
