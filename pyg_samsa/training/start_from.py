"""Fine-tuning: initialise a network with the weights of an earlier run or of a saved network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from torch import Tensor, nn

from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.hub.folder import WEIGHTS, find_pretrained
from pyg_samsa.hub.load import read_weights
from pyg_samsa.options import Option
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.run_folder import RunFolder

_KEY = "train.start_from"
_HEAD = "model.readout."
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
    weights, expected = _read(source), network.state_dict()
    new = [name for name in sorted(expected) if name not in weights or weights[name].shape != expected[name].shape]
    unused = sorted(name for name in weights.keys() - expected.keys() if not name.startswith(_HEAD))
    for name in [*(name for name in new if not name.startswith(_HEAD)), *unused]:
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
