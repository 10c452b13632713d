"""``pyg-samsa baseline``: what a network has to beat, on the data of a GraphGym configuration."""

from __future__ import annotations

import argparse

HELP = "what a network has to beat: boosted trees on fingerprints"
EPILOG = """\
examples:
  pyg-samsa baseline fingerprint --cfg quickstart        Morgan counts and boosted trees
  pyg-samsa baseline fingerprint --cfg peptides_func --model lightgbm
  pyg-samsa baseline fingerprint --cfg my.yaml --radius 3 fingerprint.trees 200 num_threads 8

Data, splits and metrics are those of the configuration; what it says about the network has no effect. Networks that are baselines are
configurations of their own: pyg-samsa train --cfg baselines/peptides_func_gcn
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the baselines."""
    baselines = parser.add_subparsers(title="baselines", dest="baseline", metavar="BASELINE", required=True)
    trees = baselines.add_parser("fingerprint", help="gradient-boosted trees on Morgan count fingerprints (ECFP)")
    trees.add_argument(
        "--cfg",
        dest="cfg_file",
        metavar="FILE",
        required=True,
        help="YAML file, or the name of a packaged configuration",
    )
    trees.add_argument(
        "--model",
        choices=("auto", "sklearn", "lightgbm"),
        help="trees; auto is LightGBM where it is installed (default: auto)",
    )
    trees.add_argument(
        "--radius", type=int, metavar="R", help="bonds around an atom that its fragments reach (default: 2)"
    )
    trees.add_argument("--size", type=int, metavar="S", help="counts of a fingerprint (default: 2048)")
    trees.add_argument("-q", "--quiet", action="count", default=argparse.SUPPRESS, help="say only results and errors")
    trees.add_argument(
        "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="also say what the libraries say"
    )
    trees.add_argument("opts", nargs="*", metavar="key value", help="settings that go before the file's")


def run(args: argparse.Namespace) -> int:
    """Run the baseline."""
    from pyg_samsa.experiments import fingerprint_baseline as fingerprints

    asked = {f"fingerprint.{name}": getattr(args, name) for name in ("model", "radius", "size")}
    opts = [word for key, value in asked.items() if value is not None for word in (key, str(value))]
    fingerprints.run(args.cfg_file, [*args.opts, *opts], verbosity=args.verbosity)
    return 0
