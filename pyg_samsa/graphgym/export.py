"""After a run on molecules: the network of the best epoch in a folder of its own, ready for ``pyg-samsa predict``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch_geometric.graphgym.config import cfg

from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.graphgym.config import LoadedConfig
from pyg_samsa.hub.pretrained import CONFIG, save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.data_module import TaskSpec
from pyg_samsa.training.results import RunResult

FOLDER = "model"


def predicts_molecules(network: nn.Module, spec: TaskSpec) -> bool:
    """Say whether a trained network is a SAMSA on molecules with OGB's features that predicts for whole molecules."""
    inner = network.model if isinstance(network, BatchNetwork) else None
    features = (list(spec.in_channels or []) if not isinstance(spec.in_channels, int) else [], spec.edge_channels)
    return (
        type(inner) is SAMSA
        and inner.level == "graph"
        and inner.towers == 1
        and network.node_encoder is None
        and network.edge_encoder is None
        and features == (ATOM_CARDINALITIES, BOND_CARDINALITIES)
    )


def export_model(
    result: RunResult, network: nn.Module, spec: TaskSpec, dataset: Any, loaded: LoadedConfig
) -> Path | None:
    """Write ``model/`` into the folder of a run, with its metrics and how it was made; None where the network is not one for molecules.

    Args:
        result: What came out of the run; the network holds the weights that were tested.
        network: The trained network.
        spec: What the targets mean.
        dataset: Its ``target_scale`` scales regression outputs back, where it has one.
        loaded: What the configuration was read from.
    """
    if cfg.pe.kind != "none" or not predicts_molecules(network, spec):
        return None
    scale = getattr(dataset, "target_scale", None)
    task: dict[str, Any] = {"kind": spec.task, "target_names": list(spec.target_names), "featuriser": "ogb"}
    if scale is not None:
        task |= {"mean": scale[0].tolist(), "std": scale[1].tolist()}
    task["metrics"] = {"val": dict(result.val), "test": dict(result.test)}
    return save_pretrained(network.model, result.folder.path / FOLDER, task=task, card=_sections(result, spec, loaded))  # type: ignore[arg-type]


def _sections(result: RunResult, spec: TaskSpec, loaded: LoadedConfig) -> dict[str, str]:
    data = cfg.dataset.csv if cfg.dataset.name == "csv" else cfg.dataset.name
    sizes = ", ".join(f"{count:,} {split}" for split, count in spec.sizes.items())
    text = f"`{Path(data).name}`: {sizes} molecules.\n\nTrained for {result.epochs} epochs with seed {result.seed}; the weights are those of epoch "
    text += f"{result.best_epoch}, the best on the validation split. Configuration: `{loaded.name}`."
    return {"Training": text} | ({"Classes": _classes(result.per_class)} if result.per_class else {})


def _classes(per_class: Mapping[str, Any]) -> str:
    lines = [
        "Test average precision beside the base rate, which is what guessing reaches.",
        "",
        "| class | AP | base rate | positives |",
        "|---|---|---|---|",
    ]
    rows = zip(*(per_class[key] for key in ("name", "ap", "base_rate", "positives")), strict=True)
    return "\n".join([*lines, *(f"| {name} | {ap:.3f} | {rate:.3f} | {count} |" for name, ap, rate, count in rows)])


def print_models(console: Any, folders: list[Path]) -> None:
    """Print where models stand and how to go on."""
    from rich.text import Text

    for folder in folders:
        model = folder / FOLDER
        if (model / CONFIG).is_file():
            console.print(Text.assemble("  ", (f"{FOLDER + '/':<22}", "cyan"), "the trained network; go on with"))
            console.print(Text(f"    pyg-samsa predict {model} new.csv predictions.csv", style="bold"))
