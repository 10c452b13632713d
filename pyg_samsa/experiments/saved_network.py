"""Saves the network of a run on molecules for ``pyg-samsa predict``."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from pyg_samsa.datasets.features import MOLECULES, Features
from pyg_samsa.datasets.splits import counted_splits
from pyg_samsa.hub import save_pretrained
from pyg_samsa.hub.folder import CONFIG, PREDICTOR_SUBFOLDER, RUN_SUBFOLDER
from pyg_samsa.hub.model_config import read_config
from pyg_samsa.nn import SAMSA
from pyg_samsa.training.adaptation import merged
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.masked import MaskedNetwork
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_plan import RunPlan


def predicts_molecules(network: nn.Module, features: Features) -> bool:
    """Say whether a trained network is a SAMSA on molecules with OGB's features that predicts for whole molecules.

    Example:
        >>> network = BatchNetwork(SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2))
        >>> predicts_molecules(network, Features(5))
        False
    """
    inner = _own_network(network)
    return (
        inner is not None
        and inner.readout.level == "graph"
        and inner.readout.towers == 1
        and (not inner.tokenizer.pe_channels or inner.tokenizer.pe_kind is not None)
        and (features.in_channels, features.edge_channels) == (MOLECULES.in_channels, MOLECULES.edge_channels)
    )


def _own_network(network: nn.Module) -> Any:
    """Return the SAMSA with a readout that reads the features of the data as they are; None for other networks."""
    inner = network.model if isinstance(network, BatchNetwork) else None
    if type(inner) is not SAMSA or inner.readout is None:
        return None
    return inner if network.node_encoder is None and network.edge_encoder is None else None


def export_model(result: RunResult, network: nn.Module, plan: RunPlan) -> Path | None:
    """Write ``model/`` into the folder of a run, with its metrics and how it was made.

    Args:
        result: Result of the run.
        network: The trained network, with the weights that were tested.
        plan: Plan of the run.

    Returns:
        The folder; None where the network is not a SAMSA for molecules.
    """
    if not predicts_molecules(network, plan.dataset.features):
        return None
    names = ("descriptors", "extra_columns", "standardize")
    return _export(result, network, plan, **{name: getattr(plan.dataset.features, name) for name in names})


def _export(result: RunResult, network: nn.Module, plan: RunPlan, **inputs: Any) -> Path:
    metrics = {"val": dict(result.val), "test": dict(result.test)}
    model: Any = merged(network).model
    described: dict[str, Any] = {"task": plan.dataset.task, "metrics": metrics, "card": _sections(result, plan)}
    return save_pretrained(model, result.folder.path / RUN_SUBFOLDER, **described, **inputs)


def export_task(result: RunResult, network: nn.Module, plan: RunPlan) -> Path | None:
    """Write ``model/`` into the folder of a task of a mixture, whatever its modality.

    Args:
        result: Result of the task.
        network: Its network, with the weights that were tested.
        plan: Plan of the task.

    Returns:
        The folder; None where the network has parts of other code, which a saved network cannot describe.
    """
    if predicts_molecules(network, plan.dataset.features):
        return export_model(result, network, plan)
    inner = _own_network(network)
    if inner is None or inner.options is None or isinstance(network, MaskedNetwork):
        return None
    return _export(result, network, plan)


def _sections(result: RunResult, plan: RunPlan) -> dict[str, str]:
    data = plan.config["dataset"]
    name = Path(data["csv"] or data["name"]).name
    counts, of_nodes = counted_splits(plan.dataset)
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    noun = "molecules" if plan.dataset.features.in_channels == MOLECULES.in_channels else "rows"
    noun = "nodes of one graph" if of_nodes else noun
    text = f"`{name}`: {sizes} {noun}.\n\nTrained for {result.epochs} epochs with seed {result.seed}; "
    chosen = ", the best on the validation split" if plan.monitor else "; nothing was validated"
    text += f"the weights are those of epoch {result.best_epoch}{chosen}. "
    text += f"Configuration: `{plan.name}`."
    return {"Training": text} | ({"Classes": _classes(result.per_class)} if result.per_class else {})


def _classes(per_class: Mapping[str, Any]) -> str:
    lines = [
        "Test average precision; the base rate is that of a random order.",
        "",
        "| class | AP | base rate | positives |",
        "|---|---|---|---|",
    ]
    rows = zip(*(per_class[key] for key in ("name", "ap", "base_rate", "positives")), strict=True)
    return "\n".join([*lines, *(f"| {name} | {ap:.3f} | {rate:.3f} | {count} |" for name, ap, rate, count in rows)])


def print_models(console: Any, folders: list[Path]) -> None:
    """Print the folders of the saved models, and the command that predicts with them."""
    from rich.text import Text

    for folder in folders:
        model = folder / RUN_SUBFOLDER
        if (model / CONFIG).is_file():
            console.print(
                Text.assemble("  ", (f"{RUN_SUBFOLDER + '/':<22}", "cyan"), "the trained network; predict with")
            )
            console.print(Text(f"    {predict_command(model)}", style="bold"))


def predict_command(folder: Path) -> str:
    """Return the command that predicts with the folder of a run or of a saved network.

    Args:
        folder: The folder. If its networks need modules of the user's own, the command imports them.

    Example:
        >>> from pyg_samsa.hub import find_pretrained
        >>> predict_command(find_pretrained("peptides")).split()[-2:]
        ['new.csv', 'predictions.csv']
    """
    networks = [folder, *sorted((folder / PREDICTOR_SUBFOLDER).glob("*"))]
    needed = [read_config(path).modules for path in networks if (path / CONFIG).is_file()]
    imports = [word for module in dict.fromkeys(itertools.chain(*needed)) for word in ("--import", module)]
    return shlex.join(["pyg-samsa", "predict", str(folder), "new.csv", "predictions.csv", *imports])
