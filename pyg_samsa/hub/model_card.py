"""The model card: a README for people who want to use a saved model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES
from pyg_samsa.hub.model_config import ModelConfig
from pyg_samsa.task import WORDS, Task

_OUTPUTS = {
    "regression": "values in the units of the training data",
    "binary": "the probability of the label 1",
    "multilabel": "a probability for each label, independent of the others",
    "multiclass": "a probability for each class; they sum to 1",
    WORDS: "a probability for each word of the vocabulary at each position",
}
_SHOWN = (
    "channels",
    "num_layers",
    "heads",
    "num_samples",
    "sampling",
    "dropout",
    "drop_path",
    "num_eval_samples",
    "attention",
)


def model_card(config: ModelConfig, name: str) -> str:
    """Return the model card as Markdown, with the metadata that the Hugging Face Hub reads.

    Args:
        config: Content of ``config.json``.
        name: Name of the model.

    Example:
        >>> config = ModelConfig("SAMSA", {"channels": 8}, 9, card={"Data": "Ten molecules."})
        >>> model_card(config, "mine").splitlines()[5:11]
        ['# mine', '', 'A SAMSA network with 9 weights.', '', '## Data', '']
    """
    lines = ["---", "library_name: pyg-samsa", "tags: [graph-machine-learning, pytorch-geometric]", "---", ""]
    lines += [f"# {name}", "", _summary(config)]
    for headline, text in config.card.items():
        lines += ["", f"## {headline}", "", text.strip()]
    if config.task is not None:
        lines += _predictions(config.task)
        lines += _inputs(config)
        lines += _metrics(config.metrics)
        if _reads_molecules(config):
            lines += _usage(name)
    lines += ["", "## Network", "", "| option | value |", "|---|---|"]
    lines += [f"| {key} | {config.options[key]} |" for key in _SHOWN if key in config.options]
    versions = ", ".join(f"{package} {version}" for package, version in config.versions.items())
    lines += ["", "All options are in `config.json`." + (f" Saved with {versions}." if versions else "")]
    return "\n".join(lines) + "\n"


def _summary(config: ModelConfig) -> str:
    text = f"A {config.class_name} network with {config.num_parameters:,} weights"
    if config.task is None:
        return f"{text}."
    source = " from molecules" if _reads_molecules(config) else ""
    return f"{text} that predicts {', '.join(_names(config.task))}{source}: {_OUTPUTS[config.task.kind]}."


def _reads_molecules(config: ModelConfig) -> bool:
    return config.options.get("in_channels") == list(ATOM_CARDINALITIES)


def _predictions(task: Task) -> list[str]:
    return ["", "## Predictions", "", *(f"- {name}" for name in _names(task))]


def _names(task: Task) -> Sequence[str]:
    """Return what is predicted; a vocabulary is too long for a card."""
    return [f"{task.positions} words, each one of {len(task.names):,}"] if task.kind == WORDS else task.names


def _inputs(config: ModelConfig) -> list[str]:
    lines = []
    if config.descriptors:
        lines.append(f"- descriptors, computed from the SMILES: {', '.join(config.descriptors)}")
    if config.extra_columns:
        names = ", ".join(f"`{name}`" for name in config.extra_columns)
        lines.append(f"- columns of the table: {names} (numbers; empty where unknown)")
    found = ["", "## Inputs beside the molecule", "", *lines] if lines else []
    if config.standardize:
        told = f"Molecules are standardised before, as in training: {', '.join(config.standardize)}."
        found += ["", "## Standardisation", "", told]
    return found


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    splits = {split: values for split, values in metrics.items() if isinstance(values, Mapping) and values}
    columns = list(dict.fromkeys(key for values in splits.values() for key in values))
    if not columns:
        return []
    head = ["", "## Metrics", "", f"| split | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    rows = (
        f"| {split} | {' | '.join(_number(values.get(key)) for key in columns)} |" for split, values in splits.items()
    )
    return [*head, *rows]


def _usage(name: str) -> list[str]:
    return [
        "",
        "## Use",
        "",
        "```",
        f"pyg-samsa predict {name} molecules.csv predictions.csv",
        "```",
        "",
        "```python",
        "from pyg_samsa.predict import MoleculePredictor",
        "",
        f'predictor = MoleculePredictor.from_pretrained("{name}")',
        'predictor.predict(["CCO", "c1ccccc1O"])',
        "```",
    ]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) and value == value else ""
