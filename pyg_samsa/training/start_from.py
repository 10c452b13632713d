"""Fine-tuning: initialise a network with the weights of an earlier run or of a saved network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn

from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.hub.folder import WEIGHTS, find_pretrained
from pyg_samsa.hub.load import read_weights
from pyg_samsa.nn import SAMSA
from pyg_samsa.options import Option
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.masked import MaskedNetwork
from pyg_samsa.training.run_folder import RunFolder

_KEY = "train.start_from"
_HEAD, _TOKENIZER, _VECTOR = "model.readout.", "model.tokenizer.", "model.modality"
_PARTS = "parts."
Source = Annotated[
    str | os.PathLike[str],
    Option(
        "Fine-tuning: a run's folder, a checkpoint or a saved network that gives the initial weights; empty for none."
    ),
]


def start_from(network: nn.Module, source: Source) -> list[str]:
    """Load the weights of an earlier network with the same architecture.

    The readout keeps its new weights where their shapes differ, so that a network can be trained on other targets. All
    other weights must exist and fit.

    From the run of several tasks (a trunk), the encoder is taken, and the tokenizer and the vector of the modality of
    the first task whose tokenizer fits. If none does, the modality is a new one, and its tokenizer keeps its new
    weights. The readout is new. The folder ``tasks/NAME`` of such a run is a source like any other: the network of that
    task.

    From training without labels, all but the readout is taken, even where its shapes fit.

    Args:
        network: A network as the runner trains it, such as :class:`~pyg_samsa.training.batch_network.BatchNetwork`;
            changed in place.
        source: The folder of a run (its best epoch, else its last), a checkpoint, a folder written by
            ``save_pretrained``, or the name of a network that comes with the package.

    Returns:
        Names of the weights that stay new.

    Raises:
        DataNotFoundError: There is no checkpoint and no saved network.
        DataIntegrityError: The file is damaged, or holds no network of this package.
        ConfigError: The networks differ in more than their heads; the first difference is named.

    Example:
        >>> import tempfile
        >>> from pyg_samsa.hub import save_pretrained
        >>> from pyg_samsa.nn import SAMSA
        >>> from pyg_samsa.training.batch_network import BatchNetwork
        >>> size = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
        >>> folder = save_pretrained(SAMSA.from_options([4], 3, **size), tempfile.mkdtemp())
        >>> start_from(BatchNetwork(SAMSA.from_options([4], 1, **size)), folder)
        ['model.readout.head.net.3.bias', 'model.readout.head.net.3.weight']
    """
    weights = _read(source)
    if not isinstance(network, MaskedNetwork):
        weights = _unmasked(weights)
    if _VECTOR in weights or _tasks_of(weights):
        _add_vector(network)
    expected = network.state_dict()
    weights, left_out = _of_trunk(weights, expected) if _tasks_of(weights) else (weights, (_HEAD,))
    new = [name for name in sorted(expected) if name not in weights or weights[name].shape != expected[name].shape]
    unused = sorted(name for name in weights.keys() - expected.keys() if not name.startswith(_HEAD))
    for name in [*(name for name in new if not name.startswith(left_out)), *unused]:
        there, here = (
            f"{name} {list(state[name].shape)}" if name in state else f"no {name}" for state in (weights, expected)
        )
        hint = f"Use the settings of the network (samsa.*, model.type) and the features that {source} was trained with."
        raise ConfigError(
            _KEY,
            str(source),
            f"the same network as the one to train: the saved one has {there}, the new one {here}",
            hint=hint,
        )
    network.load_state_dict(
        {name: value for name, value in weights.items() if name in expected and name not in new}, strict=False
    )
    return new


def _unmasked(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of a network that was trained without labels under the names of others, without its readout."""
    owners = [
        name.removesuffix("hidden")
        for name in weights
        if name.endswith((".node_encoder.hidden", ".edge_encoder.hidden"))
    ]
    found = {name: value for name, value in weights.items() if not (owners and name.startswith(_HEAD))}
    for owner in owners:
        del found[f"{owner}hidden"]
        for name in [name for name in found if name.startswith(f"{owner}encoder.")]:
            found[owner + name.removeprefix(f"{owner}encoder.")] = found.pop(name)
    return {
        name: value
        for name, value in found.items()
        if name.rpartition(".")[2] not in ("mean", "std") or "readout" in name
    }


def _tasks_of(weights: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tasks of a trunk; empty for the weights of another network."""
    parts = (name.removeprefix(_PARTS).partition(".")[0] for name in weights if name.startswith(_PARTS))
    return list(dict.fromkeys(parts))


def _of_trunk(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the weights of a trunk for a new task, and the beginnings of the names that may stay new."""
    wanted = _shapes(expected, _TOKENIZER)
    own: dict[str, Tensor] = {}
    for task in _tasks_of(weights):
        start = f"{_PARTS}{task}."
        own = {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
        own = {_without_wrapper(name): value for name, value in own.items()}
        if _shapes(own, _TOKENIZER) == wanted:
            return {name: value for name, value in own.items() if not name.startswith(_HEAD)}, (_HEAD,)
    encoder = {name: value for name, value in own.items() if name.startswith("model.encoder.")}
    return encoder, (_HEAD, _TOKENIZER, _VECTOR, "node_encoder.", "edge_encoder.")


def _shapes(weights: Mapping[str, Tensor], start: str) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items() if name.startswith(start)}


def _without_wrapper(name: str) -> str:
    """Return the name that a weight has without the wrapper that scales outputs to the units of the targets."""
    return name.removeprefix("network.")


def _add_vector(network: nn.Module) -> None:
    """Give a network that was made without it the vector of its modality."""
    model = getattr(network, "model", None)
    if isinstance(model, SAMSA) and model.modality is None:
        model.modality = nn.Parameter(next(model.encoder.parameters()).new_zeros(model.channels))
        if model.options is not None:
            model.options = {**model.options, "modality_vector": True}


def find_source(source: Source) -> Path:
    """Return the file with the weights of a source, see `start_from`.

    Raises:
        DataNotFoundError: There is no checkpoint and no saved network.

    Example:
        >>> find_source("peptides").name
        'model.safetensors'
    """
    path = Path(source).expanduser()
    run = RunFolder(path)
    checkpoint = next((file for file in (path, run.best, run.last) if file.is_file()), None)
    return find_pretrained(source) / WEIGHTS if checkpoint is None else checkpoint


def _read(source: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return weights under the names that they have in the network that the runner trains."""
    checkpoint = find_source(source)
    if checkpoint.name == WEIGHTS:
        return {f"model.{name}": value for name, value in read_weights(checkpoint).items()}
    content = AtomicCheckpointIO().load_checkpoint(checkpoint)
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataIntegrityError(
            checkpoint, "a checkpoint of this package", "one without weights", hint="Pass the folder of a run."
        )
    # A network whose outputs are scaled to the units of the targets wraps the one that is trained.
    prefix = "network.network." if any(name.startswith("network.network.") for name in state) else "network."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
