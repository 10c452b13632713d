"""``pyg-samsa convert``: print a configuration of GraphGPS, LRGB or Exphormer in settings of this package."""

from __future__ import annotations

import argparse
from pathlib import Path

from pyg_samsa.cli._arguments import add_import, add_overrides, import_modules
from pyg_samsa.io.files import check_file

HELP = "print a config of GraphGPS, LRGB or Exphormer in settings of this package"
EPILOG = """\
examples:
  pyg-samsa convert zinc-GPS+RWSE.yaml                        print the config, with comments on what changed
  pyg-samsa convert zinc-GPS+RWSE.yaml --out zinc.yaml        write it to a file
  pyg-samsa convert zinc-GPS+RWSE.yaml gt.layer_type GINE+SAMSA    change settings, by the names of either package

`pyg-samsa train --cfg` reads such configs without conversion, and lists what it cannot honour.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file, or name of a packaged config")
    parser.add_argument("--out", type=Path, metavar="FILE", help="YAML file to write (default: print)")
    add_import(parser, custom=True)
    add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Print or write the configuration."""
    if args.out is not None:
        check_file("--out", args.out)
    import_modules(args)
    import pyg_samsa.experiments.fingerprint_baseline  # noqa: F401  # adds its settings
    from pyg_samsa.graphgym.conversion import convert
    from pyg_samsa.io.files import atomic_write

    text = convert(args.config, args.opts) + "\n"
    if args.out is None:
        print(text, end="")
        return 0
    with atomic_write(args.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if args.verbosity >= 0:
        print(args.out)
    return 0
