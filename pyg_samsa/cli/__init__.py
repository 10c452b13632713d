"""The command ``pyg-samsa``. Each module here is the subcommand of its name, unless the name begins with an underscore.

A subcommand defines ``HELP`` (one line), ``EPILOG`` (examples), ``configure(parser)`` and ``run(args) -> int | None``,
and imports slow packages inside ``run``. ``LATE`` names the positional argument that takes words after options.
``args.verbosity`` is -1 for ``-q``, 1 for ``-v`` and otherwise 0.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import re
import sys
import time
from collections.abc import Sequence
from types import ModuleType

from pyg_samsa._version import __version__
from pyg_samsa.cli._arguments import add_verbosity
from pyg_samsa.cli._parser import Parser
from pyg_samsa.errors import EXIT_USER, SAMSAError, UserCodeError, suggest
from pyg_samsa.io.files import FULL, UNWRITABLE, describe_unwritable
from pyg_samsa.io.user_code import own_traceback

__all__ = ["main"]

EXIT_INTERRUPTED, EXIT_PIPE = 130, 141
_WAITING_SECONDS = 30.0
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
_SPACE, _AGAIN = "Free some space, or write to another disk.", "Then run the same command again."
_MEMORY = "Make the network, its batches or the data smaller, or close other programs."
_RIGHTS = "Choose another place for the output, or change the rights of this one."
# Order in the help; subcommands that are not listed here follow, sorted by name.
_ORDER = (
    "train",
    "tune",
    "predict",
    "serve",
    "explain",
    "embed",
    "report",
    "sweep",
    "baseline",
    "data",
    "convert",
    "export",
    "doctor",
)
_EPILOG = """\
examples:
  pyg-samsa doctor                                       check the installation
  pyg-samsa train --cfg quickstart                       train and test a small network: two minutes on two cores
  pyg-samsa report results/quickstart --open             show the results in the browser
  pyg-samsa train --csv esol.csv --target-columns logS   train on your own molecules
  pyg-samsa predict peptides "NCC(=O)NCC(=O)O"           predict with the model that comes with the package

`pyg-samsa COMMAND --help` shows the arguments of a command and more examples.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Errors of the input print one line and a hint to stderr. Bugs keep their traceback.

    Args:
        argv: Arguments without the name of the program; by default those of the process.

    Returns:
        Exit code: 0 for success, 2 for wrong arguments or settings, 3 for missing or wrong data, 4 for numerical
        errors, 130 for Ctrl-C.

    Example:
        >>> main(["train", "--cfg", "no_such_config"])
        2
    """
    # Idle OpenMP threads spin for a long time by default, which slows down everything else on the machine. Without any
    # spinning, a process alone takes half as long again. A short spin avoids both. Set it before torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    args = _parse(list(sys.argv[1:] if argv is None else argv))
    args.verbosity = args.verbose - args.quiet
    logging.basicConfig(level=logging.INFO if args.verbosity > 0 else logging.WARNING, format="%(message)s")
    try:
        return int(args.command.run(args) or 0)
    except SAMSAError as error:
        if isinstance(error, UserCodeError) and error.__cause__ is not None:
            print(own_traceback(error.__cause__), file=sys.stderr)
        if error.everywhere and any(int(os.environ.get(name) or 0) for name in _RANKS):
            # The first process tells it, and who started it then ends this one; an exit now might end that one first.
            time.sleep(_WAITING_SECONDS)
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint:  {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        resume = getattr(args.command, "resume_hint", None)
        print("\nstopped." + (f" {resume(args)}" if resume is not None else ""), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has gone. Without this, Python reports another error when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except (MemoryError, RuntimeError) as error:
        if not (asked := _asked_memory(error)):
            raise
        print(f"error: there is not enough memory: {asked}", file=sys.stderr)
        print(f"hint:  {_MEMORY}", file=sys.stderr)
        return EXIT_USER
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(f"error: {describe_unwritable(error)}", file=sys.stderr)
        resume = getattr(args.command, "resume_hint", None)
        again = (resume(args) if resume is not None else "") or _AGAIN
        print(f"hint:  {f'{_SPACE} {again}' if error.errno in FULL else _RIGHTS}", file=sys.stderr)
        return EXIT_USER


def _asked_memory(error: BaseException) -> str:
    """Return what an error of missing memory asked for; empty for other errors."""
    text = str(error).splitlines()[0] if str(error) else ""
    if isinstance(error, MemoryError):
        return text or "Python could not get more"
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which is not imported for this
        return text
    found = re.search(r"DefaultCPUAllocator: .*you tried to allocate (\d+) bytes", str(error))
    return f"one tensor needs {int(found[1]) / 2**30:,.1f} GiB" if found else ""


def _parse(argv: list[str]) -> argparse.Namespace:
    """Parse arguments; unlike with argparse alone, further words may follow options."""
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    options = [word for word in rest if word.startswith("-") and not word[1:2].isdigit()]
    if rest and (options or not _takes_late(args, rest)):
        near = suggest(options[0].partition("=")[0], args.parser._option_string_actions) if options else ""
        what = f"there is no option {options[0]}" if options else f"more arguments than expected: {' '.join(rest)}"
        args.parser.fail(what, near)
    return args


def _takes_late(args: argparse.Namespace, rest: list[str]) -> bool:
    """Give words that follow options to the argument that takes them, which argparse alone does not."""
    if hasattr(args, "opts"):
        args.opts = [*args.opts, *rest]
        return True
    late = getattr(args.command, "LATE", None)
    if late is None:
        return False
    given = getattr(args, late)
    if isinstance(given, list):
        given += [type(given[0])(word) for word in rest]
        return True
    if given != args.parser.get_default(late) or len(rest) > 1:
        return False
    setattr(args, late, rest[0])
    return True


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pyg-samsa",
        description="Train and use SAMSA networks (sampling self-attention) on graphs, point clouds and sequences.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyg-samsa {__version__}")
    common = Parser(add_help=False)
    add_verbosity(common)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in _commands().items():
        sub = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        module.configure(sub)
        sub.set_defaults(command=module, parser=sub)
    return parser


def _commands() -> dict[str, ModuleType]:
    names = sorted(
        (info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")),
        key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name),
    )
    return {name.replace("_", "-"): importlib.import_module(f"{__name__}.{name}") for name in names}
