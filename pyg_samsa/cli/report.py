"""``pyg-samsa report``: write an HTML report of one run or several."""

from __future__ import annotations

import argparse
from pathlib import Path

from pyg_samsa.errors import ConfigError
from pyg_samsa.io.files import check_file

HELP = "write an HTML report of one run or several"
EPILOG = """\
examples:
  pyg-samsa report results/quickstart                    mean and standard deviation over the seeds
  pyg-samsa report results/quickstart/0 --out page.html
  pyg-samsa report results/peptides_func results/peptides_func_bag
  pyg-samsa report results/sweep-samples --open          all runs of a sweep, opened in the browser

The report is one HTML file: metrics, learning curves, confusion matrix or calibration, precision and recall of each
class, the worst predictions, settings and environment. Runs of the same experiment with several seeds are averaged.
"""


LATE = "runs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folder of a run, such as results/quickstart/0, or a folder that contains runs",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="HTML file to write (default: report.html in the first folder)"
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="headline (default: the names of the experiments)")
    parser.add_argument("--open", action="store_true", help="open the report in the browser")


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    path = (args.out or args.runs[0] / "report.html").expanduser()
    if args.out is not None or path.parent.is_dir():
        check_file("--out", path)
    from pyg_samsa.io.progress import progress_bar
    from pyg_samsa.training.run_record import find_run_folders, read_run
    from pyg_samsa.viz.report import write_report

    folders = find_run_folders([path.expanduser() for path in args.runs])
    records = []
    with progress_bar("Reading runs", len(folders), enabled=args.verbosity >= 0 and len(folders) > 4) as advance:
        for folder in folders:
            records.append(read_run(folder))
            advance(1)
    try:
        write_report(records, path, title=args.title)
    except ConfigError as error:
        raise error.renamed("--out") if error.key == "path" else error from None
    if args.verbosity >= 0:
        print(f"{path}  {len(records)} run{'s' * (len(records) != 1)}, {path.stat().st_size / 1e6:.1f} MB")
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0
