"""Programs of saved networks that run without this package: PyTorch's ``.pt2`` and ONNX."""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.hub.model_config import ModelConfig
from pyg_samsa.io.files import atomic_write
from pyg_samsa.nn import SAMSA, NodeTokenizer
from pyg_samsa.task import Task

FORMATS = ("pt2", "onnx")
ATTENTION = ("samsa", "full")
"""Operators of the networks that can be exported."""
SIZES = (1, 2, 3, 17, 60)
"""Numbers of nodes of the graphs on which a program is compared with its network."""
_DESCRIPTION = "description.json"
_OPSET = 18


class GraphProgram(nn.Module):
    """Predicts one graph: what an exported program computes.

    Args:
        network: A network that predicts graphs.
        task: What its outputs mean; outputs of classifications become probabilities.

    Shapes:
        - **input:** node features x [N, F], edge_index [2, E], edge features [E, Fe] (*optional*), features of the
          graph [1, G] (*optional*)
        - **output:** predictions [1, C]

    Example:
        >>> from pyg_samsa.nn import SAMSA
        >>> network = SAMSA.from_options(3, 1, channels=8, num_layers=1, heads=2, bridge=False).eval()
        >>> program = GraphProgram(network, Task("binary", ["active"]))
        >>> program(torch.ones(4, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([1, 1])
    """

    def __init__(self, network: SAMSA, task: Task) -> None:
        super().__init__()
        self.network, self.task = network, task

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        graph_features: Tensor | None = None,
    ) -> Tensor:
        """Return values, or probabilities."""
        features = {} if graph_features is None else {"graph_features": graph_features}
        return self.task.readable(self.network(x, edge_index, edge_attr, **features)).float()


def refuse_export(network: SAMSA, config: ModelConfig) -> str | None:
    """Return why a network cannot be exported, or None.

    Args:
        network: A saved network.
        config: Its description.

    Example:
        >>> from pyg_samsa.hub import load_pretrained
        >>> print(refuse_export(*load_pretrained("peptides")))
        None
    """
    options = config.options
    if config.task is None:
        return "it was saved without a task"
    if config.task.level != "graph" or options.get("towers", 1) != 1:
        return "it predicts nodes or pairs; only predictions of single graphs are exported"
    if type(network.tokenizer) is not NodeTokenizer:
        return (
            "its tokens are not nodes; codes of Graph-Bridge are computed in a loop whose length depends on the graph"
        )
    if options.get("positions", "none") != "none":
        return "it reads sequences"
    if options.get("pe_channels") and options.get("pe_kind") != "rwse":
        return "its positional encodings are no random walks"
    if options.get("attention", "samsa") not in ATTENTION:
        return f"its attention is {options['attention']}; {' and '.join(ATTENTION)} are exported"
    if options.get("sampling", "hard") not in ("hard", "soft", None):
        return f"its sampling is {options['sampling']}; without replacement is exported"
    return None


def export_program(
    network: SAMSA, config: ModelConfig, path: str | os.PathLike[str], *, kind: str | None = None
) -> dict[str, Any]:
    """Write a network as a program that predicts one graph, of any number of nodes and edges.

    The inputs are those of `GraphProgram`; molecules are graphs with OGB's features. The program also holds a
    description in JSON: the task with the names of the targets, the inputs, the descriptors, and the steps by which
    molecules are standardised before. In a ``.pt2`` file it is the extra file ``description.json``, in ONNX the
    metadata ``pyg_samsa``.

    Args:
        network: A network from `load_pretrained`, on the CPU.
        config: Its description, from there too.
        path: File to write.
        kind: ``"pt2"`` or ``"onnx"``; None for the suffix of ``path``.

    Raises:
        ConfigError: The network cannot be exported, or the format is unknown.
        MissingDependencyError: The packages for ONNX are not installed.

    Returns:
        The description.

    Example:
        >>> import tempfile
        >>> from pyg_samsa.hub import load_pretrained
        >>> path = tempfile.mkdtemp() + "/peptides.pt2"
        >>> export_program(*load_pretrained("peptides"), path)["inputs"]
        ['x', 'edge_index', 'edge_attr']

    Cost: Tens of seconds.
    """
    path = Path(path)
    kind = kind or path.suffix[1:]
    if kind not in FORMATS:
        raise ConfigError("format", kind, f"one of {', '.join(FORMATS)}", hint="The suffix of the file chooses it.")
    reason = refuse_export(network, config)
    if reason is not None or config.task is None:
        raise ConfigError("network", config.class_name, "one that can be exported", hint=f"Here {reason}.")
    onnx = _import_onnx() if kind == "onnx" else None
    inputs = example_inputs(config, nodes=20, edges=40)
    description = {
        "inputs": list(inputs),
        "task": config.task.as_dict(),
        "descriptors": list(config.descriptors),
        "extra_columns": [str(getattr(column, "name", column)) for column in config.extra_columns],
        "standardize": list(config.standardize),
    }
    program = trace(GraphProgram(network, config.task).eval(), inputs)
    text = json.dumps(description)
    with atomic_write(path) as partial:
        if onnx is None:
            with _quiet():
                torch.export.save(program, partial, extra_files={_DESCRIPTION: text})
        else:
            onnx(program, partial, text)
    return description


def trace(program: nn.Module, inputs: Mapping[str, Tensor]) -> torch.export.ExportedProgram:
    """Return the exported program of a `GraphProgram`, for all numbers of nodes from 1 and of edges from 0."""
    try:
        import torch.fx.experimental._config as shapes

        allow_one_node: Any = shapes.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    except (ImportError, AttributeError):
        hint = "Update PyTorch."
        raise ConfigError("torch", torch.__version__, "2.7 or newer, for exports", hint=hint) from None

    nodes, edges = torch.export.Dim("nodes", min=1), torch.export.Dim("edges", min=0)
    sizes: dict[str, Any] = {"x": {0: nodes}, "edge_index": {1: edges}, "edge_attr": {0: edges}, "graph_features": None}
    dynamic = {name: sizes[name] for name in inputs}
    with allow_one_node, _quiet(), torch.no_grad():
        return torch.export.export(program, (), dict(inputs), dynamic_shapes=dynamic, strict=False)


def example_inputs(config: ModelConfig, *, nodes: int, edges: int) -> dict[str, Tensor]:
    """Return inputs of a network: a random graph with random features, always the same.

    Args:
        config: Description of the network.
        nodes: Number of nodes, at least 1.
        edges: Number of edges.
    """
    options, generator = config.options, torch.Generator().manual_seed(nodes + edges)

    def features(rows: int, channels: Any) -> Tensor:
        if isinstance(channels, int):
            return torch.randn(rows, channels, generator=generator)
        return torch.stack([torch.randint(0, count, (rows,), generator=generator) for count in channels], dim=1)

    inputs = {
        "x": features(nodes, options["in_channels"]),
        "edge_index": torch.randint(0, nodes, (2, edges), generator=generator),
    }
    if options.get("edge_channels") is not None:
        inputs["edge_attr"] = features(edges, options["edge_channels"])
    if options.get("graph_channels"):
        inputs["graph_features"] = features(1, options["graph_channels"])
        inputs["graph_features"][0, 0] = math.nan  # a missing value
    return inputs


def load_program(path: str | os.PathLike[str], kind: str) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """Return the function of an exported program: inputs by name -> predictions [1, C].

    Args:
        path: From `export_program`.
        kind: ``"pt2"`` or ``"onnx"``.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
    """
    if kind == "pt2":
        with _quiet():
            module = torch.export.load(path).module()
        return torch.no_grad()(lambda inputs: module(**inputs))
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError("onnxruntime", "export", "Running ONNX") from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda inputs: torch.from_numpy(
        session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
    )


def compare_program(
    network: SAMSA, config: ModelConfig, path: str | os.PathLike[str], *, kind: str, sizes: Sequence[int] = SIZES
) -> float:
    """Return the largest difference between the predictions of an exported program and of its network.

    Where one of them is not a number, it is infinite.

    Args:
        network: The network.
        config: Its description.
        path: The program, from `export_program`.
        kind: ``"pt2"`` or ``"onnx"``.
        sizes: Numbers of nodes of the graphs that are compared.
    """
    assert config.task is not None
    expected, found = GraphProgram(network, config.task).eval(), load_program(path, kind)
    largest = 0.0
    with torch.no_grad():
        for nodes in sizes:
            inputs = example_inputs(config, nodes=nodes, edges=2 * (nodes - 1))
            difference = float((found(inputs) - expected(**inputs)).abs().max())
            if math.isnan(difference):
                return math.inf
            largest = max(largest, difference)
    return largest


def _import_onnx() -> Callable[[torch.export.ExportedProgram, Path, str], None]:
    """Return the function that writes a program as ONNX.

    Raises:
        MissingDependencyError: A package is not installed.
    """
    try:
        import onnx
        import onnxscript
    except ImportError as error:
        raise MissingDependencyError(error.name or "onnxscript", "export", "Writing ONNX") from None

    operators: Any = onnxscript.opset18

    def stable_sort(values: Any, *, stable: Any = None, dim: int = -1, descending: bool = False) -> Any:
        # Of equal values, TopK takes the one with the lower index first.
        count = operators.Gather(operators.Shape(values), [dim])
        return operators.TopK(values, count, axis=dim, largest=int(descending), sorted=1)

    def write(program: torch.export.ExportedProgram, path: Path, text: str) -> None:
        with _quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=_OPSET,
                output_names=["prediction"],
                custom_translation_table={torch.ops.aten.sort.stable: stable_sort},
            )
        assert made is not None
        model = made.model_proto
        onnx.helper.set_model_props(model, {"pyg_samsa": text})
        onnx.save(model, str(path))

    return write


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporters of PyTorch say about themselves."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
