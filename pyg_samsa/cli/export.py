"""``pyg-samsa export``: write a network as a program that runs without this package."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pyg_samsa.cli._arguments import add_import, import_modules
from pyg_samsa.errors import ConfigError, NumericalError
from pyg_samsa.io.files import check_file

HELP = "write a network as a program for ONNX Runtime or PyTorch"
FORMATS = ("pt2", "onnx")
TOLERANCE = 1e-3
EPILOG = """\
examples:
  pyg-samsa export results/quickstart/0/model network.onnx    for ONNX Runtime; needs the extra export
  pyg-samsa export peptides network.pt2                       for torch.export.load and AOTInductor

The program predicts one molecule, of any number of atoms and bonds, from the arrays of its graph. Networks whose tokens
are nodes can be exported (samsa.bridge False), with SAMSA or full attention; examples/serve_onnx.py serves one.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="folder of a run or of a saved network, or a shipped name")
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write; its suffix, .onnx or .pt2, is the format")
    parser.add_argument("--format", choices=FORMATS, help="format, if the suffix of OUT does not say it")
    add_import(parser)


def run(args: argparse.Namespace) -> int:
    """Write the program and compare it with the network."""
    out = args.out.expanduser()
    kind = args.format or out.suffix[1:]
    if kind not in FORMATS:
        raise ConfigError(
            "OUT", str(args.out), "a file that ends in .onnx or .pt2", hint="Or pass --format onnx or pt2."
        )
    if out.suffix[1:] in FORMATS and out.suffix[1:] != kind:
        raise ConfigError("--format", kind, f"{out.suffix[1:]}, the suffix of OUT")
    check_file("OUT", out)
    import_modules(args)
    from pyg_samsa.hub import load_pretrained
    from pyg_samsa.hub.program import SIZES, compare_program, export_program

    started = time.perf_counter()
    network, config = load_pretrained(args.model)
    description = export_program(network, config, out, kind=kind)
    largest = compare_program(network, config, out, kind=kind)
    if not largest <= TOLERANCE:
        out.unlink()
        hint = "Please report it, with the config.json of the network."
        raise NumericalError(f"{out}", f"differs from the network by {largest:.0e}; it was deleted", hint=hint)
    if args.verbosity >= 0:
        size, seconds = out.stat().st_size / 1e6, time.perf_counter() - started
        print(f"{out}  {size:.1f} MB, {seconds:.0f} s; inputs: {', '.join(description['inputs'])}")
        print(f"Graphs of {SIZES[0]} to {SIZES[-1]} nodes: it differs from the network by at most {largest:.0e}.")
    return 0
