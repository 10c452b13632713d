"""``pyg-samsa baseline``: train a baseline without a network on the data of a config."""

from __future__ import annotations

import argparse

from pyg_samsa.cli._arguments import add_config, add_import, add_overrides, add_verbosity, import_modules
from pyg_samsa.cli.train import add_table, check_table, give_back_settings, table_options
from pyg_samsa.errors import ConfigError

HELP = "train boosted trees on fingerprints, as a baseline for networks"
EPILOG = """\
examples:
  pyg-samsa baseline fingerprint --cfg quickstart
  pyg-samsa baseline fingerprint --csv esol.csv --target-columns logS --split scaffold
  pyg-samsa baseline fingerprint --cfg peptides_func --model lightgbm
  pyg-samsa baseline fingerprint --cfg my.yaml --radius 3 boosting.trees 200 num_threads 8

Data, splits and metrics are those of the config; its network settings have no effect.
Baseline networks (GCN, GINE, GatedGCN, GPS) are trained with: pyg-samsa train --cfg baselines/peptides_func_gcn
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the baselines."""
    baselines = parser.add_subparsers(title="baselines", dest="baseline", metavar="BASELINE", required=True)
    trees = baselines.add_parser(
        "fingerprint",
        help="gradient-boosted trees on Morgan count fingerprints (ECFP)",
        description="Train gradient-boosted trees on Morgan count fingerprints (ECFP).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(trees)
    add_table(trees, training=False)
    trees.add_argument(
        "--model",
        choices=("auto", "sklearn", "lightgbm"),
        help="library of the trees; auto is LightGBM if installed, else sklearn (default: auto)",
    )
    trees.add_argument(
        "--radius", type=int, metavar="R", help="radius of the fragments around an atom, in bonds (default: 2)"
    )
    trees.add_argument("--size", type=int, metavar="S", help="length of a fingerprint (default: 2048)")
    add_import(trees, custom=True)
    add_verbosity(trees, argparse.SUPPRESS)
    add_overrides(trees, "overrides for the config file, such as boosting.trees 200")


def run(args: argparse.Namespace) -> int:
    """Run the baseline."""
    import_modules(args)
    check_table(args)
    from pyg_samsa.experiments import fingerprint_baseline as fingerprints

    asked = {f"fingerprint.{name}": getattr(args, name) for name in ("radius", "size")}
    asked["boosting.model"] = args.model
    opts = [word for key, value in asked.items() if value is not None for word in (key, str(value))]
    give_back_settings(args)
    config = args.cfg_file or ("csv" if args.csv else "")
    if not config:
        hint = "pyg-samsa baseline fingerprint --csv FILE --target-columns NAME"
        raise ConfigError("--csv", None, "a table of molecules, or a config as --cfg", hint=hint)
    fingerprints.run(config, [*table_options(args), *opts, *args.opts], verbosity=args.verbosity)
    return 0
