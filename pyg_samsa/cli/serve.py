"""``pyg-samsa serve``: a local web page for predictions."""

from __future__ import annotations

import argparse
import sys

from pyg_samsa.cli._arguments import add_device, add_import, import_modules

HELP = "open a local web page for predictions with one model or several"
EPILOG = """\
examples:
  pyg-samsa serve peptides                               the model that comes with the package
  pyg-samsa serve results/esol/0 --open                  your own predictor; opens the browser
  pyg-samsa serve results/esol/0 results/logd/0          several models side by side
  pyg-samsa serve results/esol/0 --port 8080 --max-rows 50000 --max-mb 20

The page takes pasted or drawn molecules and CSV, Excel, SDF and Parquet files. It needs no network. It is seen on this
computer alone, unless --host names another address: then everybody who reaches that address can use the page. Files
that are sent to it are kept in a temporary folder, which is removed when the server ends. The REST interface below the
page is described by /api/openapi.json.
"""
LATE = "models"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> configure(parser)
        >>> parser.parse_args(["peptides"]).host
        '127.0.0.1'
    """
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="folder of a run, of a predictor or of a saved network, or name of a packaged model, such as peptides",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port, 0 for a free one (default: 8000)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    add_import(parser)
    for option, default, text in (
        ("--max-mb", 200, "largest file in MiB"),
        ("--max-rows", 1_000_000, "most rows of a table"),
        ("--max-atoms", 1_000, "molecules with more atoms get an error instead of a prediction"),
        ("--max-minutes", 60, "longest prediction of a table; finished rows are kept"),
    ):
        parser.add_argument(option, type=int, default=default, metavar="N", help=f"{text} (default: {default})")
    parser.add_argument(
        "--no-neighbors",
        dest="neighbors",
        action="store_false",
        help="do not read the training molecules, which the page compares with yours",
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads of the models (default: one per core)"
    )
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from pyg_samsa.options import check_integer
    from pyg_samsa.web.limits import Limits
    from pyg_samsa.web.server import check_installed, serve

    check_installed()
    check_integer("--threads", args.threads, low=0)
    limits = Limits(args.max_mb, args.max_rows, args.max_atoms, args.max_minutes)
    import_modules(args)
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)

    def started(address: str) -> None:
        if args.verbosity >= 0:
            print(f"{address}  Ctrl-C ends the server", flush=True)
        if args.open:
            import webbrowser

            webbrowser.open(address)

    if args.verbosity >= 0:
        print(f"Loading {', '.join(args.models)} ...", file=sys.stderr, flush=True)
    options = {"device": args.device, "threads": torch.get_num_threads(), "neighbors": args.neighbors}
    serve(args.models, host=args.host, port=args.port, limits=limits, started=started, **options)
    return 0
