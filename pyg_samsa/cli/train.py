"""``pyg-samsa train``: train, select and test a model by a GraphGym configuration."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import textwrap

from pyg_samsa.errors import ConfigError

HELP = "train, select and test a model by a GraphGym configuration"
EPILOG = """\
examples:
  pyg-samsa train --cfg quickstart                       a packaged configuration
  pyg-samsa train --cfg my.yaml --repeat 4               four seeds, mean and deviation
  pyg-samsa train --cfg my.yaml optim.max_epoch 10 samsa.layers 4
  pyg-samsa train --cfg my.yaml train.auto_resume True   continue where it stopped
  pyg-samsa train --list                                 the packaged configurations

`python -m graphgym` takes the same arguments.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add GraphGym's arguments."""
    parser.add_argument("--cfg", dest="cfg_file", metavar="FILE", help="YAML file, or the name of a packaged configuration")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="runs, with seeds seed, seed + 1, ... (default: 1)")
    parser.add_argument("--mark_done", "--mark-done", action="store_true", help="rename the YAML file to FILE_done when all runs are done")
    parser.add_argument("--list", action="store_true", help="list the packaged configurations and stop")
    parser.add_argument("opts", nargs="*", metavar="key value", help="settings that go before the file's")


def run(args: argparse.Namespace) -> int:
    """Run the experiment."""
    if args.list:
        return _list()
    if not args.cfg_file:
        cure = "pyg-samsa train --list shows the packaged ones."
        raise ConfigError("--cfg", None, "a YAML file or the name of a packaged configuration", hint=cure)
    from pyg_samsa.graphgym import runner
    from pyg_samsa.graphgym.config import PACKAGED, find_config

    path = find_config(args.cfg_file)
    if args.mark_done and PACKAGED in path.resolve().parents:
        raise ConfigError("--mark_done", str(path), "a configuration of your own: packaged ones stay")
    runner.run(args.cfg_file, args.opts, repeat=args.repeat, verbosity=args.verbosity)
    if args.mark_done and runner.is_main_process():
        os.rename(path, f"{path}_done")
    return 0


def resume_hint(args: argparse.Namespace) -> str:
    """Return how to continue a run that was stopped."""
    opts = [word for word in args.opts if word != "train.auto_resume"]
    words = ["pyg-samsa", "train", "--cfg", args.cfg_file, *(["--repeat", str(args.repeat)] if args.repeat > 1 else []), *opts]
    return f"Continue after the last whole epoch with:\n  {shlex.join([*words, 'train.auto_resume', 'True'])}"


def _list() -> int:
    from pyg_samsa.graphgym.config import PACKAGED, packaged_configs

    room = shutil.get_terminal_size().columns - 24
    for name in packaged_configs():
        lines = (PACKAGED / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        first = next((line.lstrip("# ").rstrip() for line in lines if line.startswith("#")), "")
        print(f"{name:<24}{textwrap.shorten(first, max(20, room), placeholder=' ...')}")
    return 0
