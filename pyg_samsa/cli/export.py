"""``pyg-samsa export``: write a network as a program that runs without this package."""

from __future__ import annotations

import argparse
import os
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
  pyg-samsa export results/quickstart/0/model --format onnx   quickstart-0.onnx in the working folder

The program predicts one molecule, of any number of atoms and bonds, from the arrays of its graph. Networks whose tokens
are nodes can be exported (samsa.bridge False), with SAMSA or full attention; examples/serve_onnx.py serves one.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="folder of a run or of a saved network, or a shipped name")
    parser.add_argument(
        "out",
        type=Path,
        nargs="?",
        metavar="OUT",
        help="file to write, replaced if it exists; its suffix, .onnx or .pt2, is the format. Without it, a new file "
        "in the working folder with the name of the model, or of the run and its seed",
    )
    parser.add_argument("--format", choices=FORMATS, help="format, if the suffix of OUT does not say it")
    add_import(parser)


def run(args: argparse.Namespace) -> int:
    """Write the program and compare it with the network."""
    out, kind = _choose(args)
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


def _choose(args: argparse.Namespace) -> tuple[Path, str]:
    """Return the file to write and its format."""
    if args.out is None:
        if args.format is None:
            raise ConfigError("--format", None, FORMATS, hint="Or name the file to write, OUT.")
        out = Path(f"{_name(args.model)}.{args.format}")
        if os.path.lexists(out):
            hint = f"Pass {out} to replace it, or another name."
            raise ConfigError("OUT", str(out), "a new file where you do not name it, and this one exists", hint=hint)
        return out, args.format
    out = args.out.expanduser()
    kind = args.format or out.suffix[1:]
    if kind not in FORMATS:
        raise ConfigError(
            "OUT", str(args.out), "a file that ends in .onnx or .pt2", hint="Or pass --format onnx or pt2."
        )
    if out.suffix[1:] in FORMATS and out.suffix[1:] != kind:
        raise ConfigError("--format", kind, f"{out.suffix[1:]}, the suffix of OUT")
    return out, kind


def _name(model: str) -> str:
    """Return the name of a model for files: the last name of its folder, or those of a run and its seed.

    Example:
        >>> _name("results/quickstart/0/model"), _name("results/quickstart/0/"), _name("models/peptides")
        ('quickstart-0', 'quickstart-0', 'peptides')
    """
    from pyg_samsa.hub.folder import RUN_SUBFOLDER

    folder = Path(os.path.abspath(Path(model).expanduser()))
    if folder.name == RUN_SUBFOLDER:
        folder = folder.parent
    parts = (folder.parent.name, folder.name) if folder.name.isdecimal() else (folder.name,)
    return "-".join(filter(None, parts)) or "network"
