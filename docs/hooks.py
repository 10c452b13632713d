"""Hooks of MkDocs: generate the reference pages from the code, and convert equations to MathML.

The reference of settings, configs, commands and names is generated when the site is built, so it always matches the
code. Pages show equations without scripts and without a network.
"""

from __future__ import annotations

import argparse
import html
import logging
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from docstrings import documented  # noqa: E402  # beside this file

log = logging.getLogger("mkdocs.hooks.pyg_samsa")

GROUPS = {
    "": "Run",
    "samsa": "Network: `samsa.*`",
    "sft": "SFT: `sft.*`",
    "flt": "FLT: `flt.*`",
    "point_net": "PointNet: `point_net.*`",
    "pe": "Positional encodings: `pe.*`",
    "dataset": "Data: `dataset.*`",
    "train": "Training: `train.*`",
    "model": "Loss: `model.*`",
    "optim": "Optimiser and schedule: `optim.*`",
    "boosting": "Boosted trees: `boosting.*`",
    "gaussian_process": "Gaussian processes: `gaussian_process.*`",
    "fingerprint": "Fingerprints of the baseline: `fingerprint.*`",
    "gt": "Names of GraphGPS: `gt.*`",
    "gnn": "Message passing: `gnn.*`",
    "wandb": "Weights & Biases: `wandb.*`",
}
# The most important settings of GraphGym itself.
GRAPHGYM = {
    "out_dir": "Folder of all results.",
    "seed": "Seed of the weights, the order of the data and the noise.",
    "accelerator": "Where to train; `auto` takes a GPU where there is one.",
    "devices": "Number of devices, or `auto`.",
    "num_workers": "Number of processes that load batches.",
    "num_threads": "Number of CPU threads of PyTorch.",
    "metric_best": "Metric that chooses the epoch; `auto` is the first of the task.",
    "metric_agg": "`argmin` if a lower value of the metric is better.",
    "custom_metrics": "Metrics to report; empty for those of the task.",
    "print": "Destination of the messages of GraphGym itself.",
    "dataset.format": "`samsa`, or a format of GraphGym or GraphGPS.",
    "dataset.name": "Name of the data set; `pyg-samsa data list` prints all.",
    "dataset.dir": "Folder of the data sets.",
    "dataset.task": "`graph` or `node`.",
    "dataset.task_type": "Kind of task; checked against the data set.",
    "dataset.split": "Fractions of training, validation and test graphs, if the data set has no split.",
    "train.batch_size": "Number of graphs per batch.",
    "train.eval_period": "Number of epochs between validations.",
    "train.auto_resume": "Whether to continue the newest folder with the same settings and seed.",
    "model.type": "Network: `samsa`, or the name of another registered network.",
    "model.loss_fun": "Loss.",
    "optim.optimizer": "Optimiser.",
    "optim.base_lr": "Learning rate.",
    "optim.weight_decay": "Weight decay.",
    "optim.scheduler": "Schedule of the learning rate.",
    "optim.max_epoch": "Number of epochs.",
}


# Replacements for TeX commands that the converter does not know.
TEX = {
    r"\\[bB]igg?[lr]\s*(\\[lr]angle)": r"\1",
    r"\\arg\\m": r"\\mathrm{arg}\\,\\m",
    r"\\_": "_",
    r"\\([lr])Vert(?![a-zA-Z])": lambda match: rf"\{'left' if match[1] == 'l' else 'right'}\|",
    r"\{aligned\}": "{split}",
}
# Symbols that the converter takes for letters, or puts too much space around.
SIGNS = {
    "<mi>&#x0007E;</mi>": "<mo>&#x0223C;</mo>",
    "<mi>&#x02032;</mi>": "<mo>&#x02032;</mo>",
    "<mo>&#x0002F;</mo>": '<mo lspace="0" rspace="0">&#x0002F;</mo>',
}


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages; those that say in a clone how to build them give way."""
    for path, text in _pages():
        if (told := files.get_file_from_path(path)) is not None:
            files.remove(told)
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(html: str, **kwargs: Any) -> str:
    """Replace equations by MathML."""
    return re.sub(
        r'<(span|div) class="arithmatex">(.*?)</\1>',
        lambda match: _mathml(match[2], kwargs["page"].file.src_uri),
        html,
        flags=re.DOTALL,
    )


@cache
def _mathml(source: str, page: str) -> str:
    text = html.unescape(source).strip()
    block = text.startswith(r"\[")
    tex = " ".join(text[2:-2].split())
    for command, known in TEX.items():
        tex = re.sub(command, known, tex)
    try:
        mathml = convert(tex, display="block" if block else "inline")
    except Exception as error:  # the converter raises a dozen kinds
        log.warning("%s: equation %r cannot be read: %s: %s", page, tex, type(error).__name__, error)
        return source
    if re.search(r"\\|<mi>&(?:amp;)?</mi>", re.sub(r"</?math[^>]*>", "", mathml)):
        log.warning("%s: equation %r has a command that is not known", page, tex)
    for found, better in SIGNS.items():
        mathml = mathml.replace(found, better)
    tag = "div" if block else "span"
    return f'<{tag} class="equation" data-search-exclude>{mathml}</{tag}>'


def _pages() -> Iterator[tuple[str, str]]:
    yield "reference/configuration.md", _configuration()
    yield "reference/configs.md", _configs()
    yield "reference/graphgps.md", _graphgps()
    yield "reference/cli.md", _commands()
    for room in documented():
        yield f"reference/api/{room}.md", _room(room)


def _configuration() -> str:
    from torch_geometric.graphgym.config import cfg, set_cfg

    import pyg_samsa.experiments.fingerprint_baseline  # noqa: F401  # adds its settings
    from pyg_samsa.graphgym.settings import ALIASES, NO_EFFECT, SETTINGS, value_of

    lines = [
        "# Settings",
        "",
        "This page lists the settings that this package adds to GraphGym's configuration. Write them into a YAML "
        "file, or append them to a command: `pyg-samsa train --cfg quickstart samsa.layers 4 optim.max_epoch 10`. "
        "The command line overrides the file. An unknown name or a value that is not allowed raises an error that "
        "suggests the nearest valid one.",
        "",
    ]
    groups: dict[str, list[Any]] = {group: [] for group in GROUPS}
    for setting in SETTINGS.values():
        if setting.added:
            groups.setdefault(setting.key.rpartition(".")[0], []).append(setting)
    for group, settings in groups.items():
        if settings:
            lines += [f"## {GROUPS.get(group, f'`{group}.*`')}", "", *_setting_table(settings), ""]
    set_cfg(cfg)
    lines += [
        "## GraphGym's own",
        "",
        "The settings of GraphGym that a config is likely to need, with their defaults in this package.",
        "",
    ]
    lines += ["| setting | default | allowed | what it does |", "|---|---|---|---|"]
    for key, text in GRAPHGYM.items():
        allowed = _allowed(SETTINGS[key]) if key in SETTINGS else ""
        lines.append(f"| `{key}` | {_code(value_of(key, cfg))} | {allowed} | {text} |")
    lines += [
        "",
        f"Aliases: {', '.join(f'`{name}` for `{meant}`' for name, meant in ALIASES.items())}.",
        "",
    ]
    unused = ", ".join(f"`{key}`" for key in sorted(NO_EFFECT))
    lines += [f"These settings have no effect; a run that sets them prints a note: {unused}.", "", *_giving_way()]
    return "\n".join(lines)


def _giving_way() -> list[str]:
    from pyg_samsa.graphgym.data_defaults import DATA_RULES
    from pyg_samsa.graphgym.defaults import RULES

    lines = [
        "## Settings that give way",
        "",
        "If a setting of the command line contradicts a default or a setting of the file, the default or the setting "
        "of the file changes, and the header of the run lists it in the line `changed`. Two settings of the command "
        "line that contradict each other are an error, and so are two settings of the file. Details give way to "
        "choices, such as the options of an operator to another operator, and not the other way round.",
        "",
        "| setting | gives way to | becomes |",
        "|---|---|---|",
    ]
    rules = [(rule.what, rule.because, rule.becomes) for rule in [*RULES, *DATA_RULES]]
    return [*lines, *(f"| {' | '.join(map(_cell, rule))} |" for rule in rules), ""]


def _setting_table(settings: list[Any]) -> list[str]:
    rows = ["| setting | default | allowed | what it does |", "|---|---|---|---|"]
    return rows + [
        f"| `{setting.key}` | {_code(setting.default)} | {_allowed(setting)} | {_cell(setting.option.help)} |"
        for setting in settings
    ]


def _allowed(setting: Any) -> str:
    option = setting.option
    if option.choices:
        return ", ".join(_code(choice) for choice in option.choices)
    words = {bool: "`True`, `False`", int: "whole number", float: "number", str: "text", list: "list"}
    kind = " or ".join(words[kind] for kind in setting.types if kind in words)
    bounds = ((" ≥ ", option.low), (" > ", option.above), (" ≤ ", option.high), (" < ", option.below))
    return kind + ",".join(f"{sign}{bound:g}" for sign, bound in bounds if bound is not None)


def _code(value: Any) -> str:
    return f"`{value}`" if str(value) else "empty"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _configs() -> str:
    from pyg_samsa.graphgym.config import PACKAGED, packaged_configs

    lines = [
        "# Packaged configurations",
        "",
        "`pyg-samsa train --cfg NAME` runs one of these configs, from any folder. In the repository they are the files "
        "of `graphgym_configs/`.",
        "",
    ]
    names = [name for name in packaged_configs() if not name.startswith("grids/")]
    lines += [
        "| name | what it is |",
        "|---|---|",
        *(f"| `{name}` | {_cell(_first_comment(PACKAGED / f'{name}.yaml'))} |" for name in names),
    ]
    lines += [
        "",
        "## Grids",
        "",
        "`pyg-samsa sweep NAME` runs one of these grids; see [Sweep over settings](../howto/sweep.md).",
        "",
        "| name | what it varies |",
        "|---|---|",
    ]
    lines += [
        f"| `{path.stem}` | {_cell(_first_comment(path))} |" for path in sorted((PACKAGED / "grids").glob("*.yaml"))
    ]
    return "\n".join(lines) + "\n"


def _graphgps() -> str:
    from pyg_samsa.datasets import catalog
    from pyg_samsa.graphgym import graphgps_keys as table
    from pyg_samsa.graphgym.settings import LOCAL_OF_GRAPHGPS
    from pyg_samsa.nn import OPERATORS

    lines = [
        "# Settings of GraphGPS",
        "",
        "This page lists what the settings in configs of GraphGPS, LRGB and Exphormer mean in this package. "
        "`group.*` stands for all other settings of a group. See [Use configs of GraphGPS](../howto/graphgps.md).",
        "",
        "| setting | handled | meaning here, or why it has none |",
        "|---|---|---|",
    ]
    for name, key in sorted(table.KEYS.items()):
        meaning = key.meaning[0].upper() + key.meaning[1:].rstrip(".") + "."
        if key.harmless and key.handled != table.SAME:
            values = " or ".join(_code(value) if str(value) else "nothing" for value in key.harmless)
            meaning += f" Only {values} is possible." if key.handled == table.REFUSED else f" Not listed for {values}."
        lines.append(f"| `{name}` | {table.HANDLED[key.handled]} | {_cell(meaning)} |")
    networks = {
        name: f"`model.type {ours}`" if ours else "see `gnn.layer_type`" for name, ours in table.NETWORKS.items()
    }
    layers = {name: f"`model.type {ours}`" for name, ours in table.CONVOLUTIONS.items()}
    encodings = {name: f"`pe.kind {ours}`" for name, ours in table.ENCODINGS.items()}
    encodings[table.BIAS] = "`graphormer.*`: degrees, a graph token, biases by shortest paths"
    encodings[table.DISTANCES] += " with `pe.role mapped_gate`"
    attention = {"Transformer": "full attention, `model.type gps`", "Performer": "FAVOR+, `model.type gps`"}
    attention["BiasedTransformer"] = "full attention with the biases of `GraphormerBias`, `model.type gps`"
    attention |= {name.upper(): f"`model.type samsa` with `samsa.attention {name}`" for name in OPERATORS}
    locals_ = {name: f"`samsa.local {ours}`" if ours else "none" for name, ours in LOCAL_OF_GRAPHGPS.items()}
    for title, taken, refused in (
        ("Networks: `model.type`", networks, table.REFUSED_NETWORKS),
        ("Layers of `custom_gnn`: `gnn.layer_type`", layers, {}),
        ("Message passing: `gt.layer_type`, before the `+`", locals_, {}),
        ("Attention: `gt.layer_type`, after the `+`", attention, table.REFUSED_ATTENTION),
        ("Encodings in `dataset.node_encoder_name`, after a `+`", encodings, table.REFUSED_ENCODINGS),
        ("Encoders of features", {**table.NODE_ENCODERS, **table.EDGE_ENCODERS}, {}),
        ("Heads: `gnn.head`", table.HEADS, table.REFUSED_HEADS),
    ):
        lines += ["", f"## {title}", "", "| name | here |", "|---|---|"]
        lines += [f"| `{name}` | {_cell(text)} |" for name, text in taken.items() if name]
        lines += [f"| `{name}` | refused: {_cell(reason)} |" for name, reason in refused.items()]
    lines += ["", "## Data sets", "", "| format | name | name here |", "|---|---|---|"]
    pairs = [pair for pair in catalog.available() if pair[0] != "samsa"]
    lines += [f"| `{format}` | `{name}` | `{catalog.canonical(format, name)}` |" for format, name in pairs]
    return "\n".join([*lines, ""])


def _first_comment(path: Path) -> str:
    """Return the first paragraph of comments."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or not line.strip("# "):
            break
        found.append(line.lstrip("# "))
    return " ".join(found)


def _commands() -> str:
    from pyg_samsa.cli import _parser

    # argparse wraps to the width of the terminal.
    with mock.patch.dict(os.environ, {"COLUMNS": "92", "NO_COLOR": "1"}):
        parser = _parser()
        lines = ["# Command line", "", "This page shows the output of `--help` for each command.", "", *_help(parser)]
        for name, command in _subcommands(parser):
            lines += [f"## pyg-samsa {name}", "", *_help(command)]
            for inner, action in _subcommands(command):
                lines += [f"### pyg-samsa {name} {inner}", "", *_help(action)]
    return "\n".join(lines)


def _help(parser: argparse.ArgumentParser) -> list[str]:
    return ["```text", parser.format_help().strip(), "```", ""]


def _subcommands(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    return [
        (name, command)
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    ]


def _room(room: str) -> str:
    from importlib import import_module

    package = f"pyg_samsa.{room}"
    summary = (import_module(package).__doc__ or "").strip().split("\n\n")[0]
    lines = [f"# {package}", "", summary, ""]
    group = None
    for entry in documented()[room]:
        if entry.group != group:
            group = entry.group
            lines += [f"## `{group}`" if "." in group else f"## {group}", ""]
        level = 3 if entry.group else 2
        lines += [f"::: {entry.path}", "    options:", f"      heading_level: {level}", ""]
    return "\n".join(lines)
