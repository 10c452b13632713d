"""The model card: what a person should know of a network before using it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MEANING = {
    "regression": "values in the units of the training data",
    "binary": "the probability of the label 1",
    "multilabel": "a probability for each label, independent of the others",
    "multiclass": "a probability for each class; they add up to 1",
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


def write_card(config: Mapping[str, Any], name: str, sections: Mapping[str, str]) -> str:
    """Return the card of a network as Markdown.

    Args:
        config: Content of ``config.json``.
        name: Name of the folder.
        sections: Headline -> text, put before what is known without being told.

    Example:
        >>> config = {"class": "SAMSA", "arguments": {"channels": 8}, "parameters": 9, "versions": {"torch": "2.6"}, "task": None}
        >>> write_card(config, "mine", {"Data": "Ten molecules."}).splitlines()[:7]
        ['# mine', '', 'A SAMSA network with 9 weights.', '', '## Data', '', 'Ten molecules.']
    """
    task = config["task"]
    lines = [f"# {name}", "", _summary(config, task)]
    for headline, text in sections.items():
        lines += ["", f"## {headline}", "", text.strip()]
    if task is not None:
        lines += _task_lines(task)
        lines += [
            "",
            "## Use",
            "",
            "```",
            f"pyg-samsa predict {name} molecules.csv predictions.csv",
            "```",
            "",
            "```python",
        ]
        lines += [
            "from pyg_samsa.predict.predictor import MoleculePredictor",
            "",
            f'predictor = MoleculePredictor.from_pretrained("{name}")',
        ]
        lines += ['predictor.predict(["CCO", "c1ccccc1O"])', "```"]
    arguments = config["arguments"]
    lines += ["", "## Network", "", "| argument | value |", "|---|---|"]
    lines += [f"| {key} | {arguments[key]} |" for key in _SHOWN if key in arguments]
    lines += [
        "",
        "All arguments are in `config.json`. Versions: "
        + ", ".join(f"{key} {value}" for key, value in config["versions"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _summary(config: Mapping[str, Any], task: Mapping[str, Any] | None) -> str:
    text = f"A {config['class']} network with {config['parameters']:,} weights"
    return (
        f"{text}."
        if task is None
        else f"{text} that predicts {', '.join(task['target_names'])} from molecules: {_MEANING[task['kind']]}."
    )


def _task_lines(task: Mapping[str, Any]) -> list[str]:
    lines = ["", "## Predictions", ""]
    if task["kind"] == "regression":
        lines += ["Predictions are in the units of the training data.", ""]
    lines += [f"- {name}" for name in task["target_names"]]
    metrics = {split: values for split, values in task["metrics"].items() if isinstance(values, Mapping) and values}
    columns = list(dict.fromkeys(key for values in metrics.values() for key in values))
    if columns:
        lines += ["", "## Metrics", "", f"| split | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        lines += [
            f"| {split} | {' | '.join(_number(values.get(key)) for key in columns)} |"
            for split, values in metrics.items()
        ]
    return lines


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else ""
