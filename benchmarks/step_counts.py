"""``python -m benchmarks.step_counts``: what a training step asks of an accelerator, counted without one.

The step of peptides_func.yaml runs on the CPU, on the path for accelerators (`functional.device_path`). Every operation
that makes or changes a tensor counts as one launch: on a GPU, it starts at least one kernel. An operation whose result
the host must read, such as ``item`` or ``nonzero``, counts as a wait. Kernels in Triton are not part of this path.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.workloads import peptide_batch

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal")
"""Operations that return values to the host, or whose shape depends on values."""
_FREE = ("detach", "alias", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")


class StepCounts(NamedTuple):
    """What a step asked for.

    Attributes:
        launches: Operations that make or change a tensor.
        waits: Operations that wait for the device.
        written: Bytes that they write.
        most: Operations that are launched most often, with their number.
    """

    launches: int
    waits: int
    written: int
    most: tuple[tuple[str, int], ...]


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.waits = self.written = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.name().split("::")[1].partition(".")[0]
        if name in WAITS or (name in ("index", "index_put", "index_put_") and _has_mask(args)):
            self.waits += 1
        changed = _changed(func, args, kwargs or {})
        # A view shares the memory of an input. It costs nothing.
        made = [] if func.is_view else [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        written = {id(tensor): tensor for tensor in [*changed, *made]}.values()
        if name not in _FREE and written:
            self.names[name] += 1
            self.written += sum(tensor.numel() * tensor.element_size() for tensor in written)
        return out


def _has_mask(args: Any) -> bool:
    return any(leaf.dtype == torch.bool for leaf in tree_leaves(args[1]) if isinstance(leaf, Tensor))


def _changed(func: Any, args: Any, kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Return the arguments that an operation writes to."""
    values = list(args) + [kwargs.get(argument.name) for argument in func._schema.arguments[len(args) :]]
    found: list[Any] = []
    for argument, value in zip(func._schema.arguments, values, strict=True):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found += tree_leaves(value)
    return [leaf for leaf in found if isinstance(leaf, Tensor)]


def count_step(step: Callable[[], object], *, most: int = 8) -> StepCounts:
    """Run a step once and count what it launches.

    Args:
        step: A training step or a part of it; backward passes count too.
        most: Number of names in the result.

    Example:
        >>> x = torch.ones(4)
        >>> count_step(lambda: (x.view(2, 2) + 1).sum().item())
        StepCounts(launches=2, waits=1, written=20, most=(('add', 1), ('sum', 1)))
    """
    with _Counter() as counter:
        step()
    return StepCounts(counter.names.total(), counter.waits, counter.written, tuple(counter.names.most_common(most)))


def of_network(layers: int, *, bf16: bool, root: str, graphs: int = 32, **options: Any) -> StepCounts:
    """Count a training step of the network of peptides_func.yaml on a batch of real peptides.

    Args:
        layers: Number of blocks.
        bf16: Under autocast to bfloat16.
        root: Folder of prepared data sets.
        graphs: Peptides of the batch.
        options: Options of the network that differ.
    """
    from pyg_samsa.functional.device_path import accelerator_path
    from pyg_samsa.metrics import build
    from pyg_samsa.nn import SAMSA
    from pyg_samsa.training import losses
    from pyg_samsa.training.batch_network import BatchNetwork
    from pyg_samsa.training.module import TaskModule
    from pyg_samsa.training.optimizers import adamw, parameter_groups

    dataset, batch = peptide_batch(root, graphs)
    size = {"channels": 128, "heads": 8, "num_samples": 256, "ffn_channels": 512, "dropout": 0.3, "drop_path": 0.2}
    targets = dataset.task.num_targets
    torch.manual_seed(0)
    model = SAMSA.from_options(
        dataset.features.in_channels,
        targets,
        edge_channels=dataset.features.edge_channels,
        **{**size, **options, "num_layers": layers},
    )
    module = TaskModule(
        BatchNetwork(model),
        loss=losses.build("bce"),
        metrics={"ap": build("ap", num_targets=targets)},
        optimizer=torch.optim.AdamW,
    )
    module.guard = _NoGuard()  # type: ignore[assignment]
    optimizer = adamw(parameter_groups(module.network, 0.01), lr=4e-4)

    def step() -> None:
        autocast: Any = torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext()
        with accelerator_path():
            with autocast:
                loss = module._step(batch, "train", "step")[0]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 2.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    step()  # the first step makes the moments of the optimiser
    return count_step(step)


class _NoGuard:
    """Reads no loss; on a GPU, the guard reads it with the next step."""

    def watch(self, value: Tensor, where: str, checks: Any = ()) -> None:
        """Take a loss and do nothing."""


def of_depth(layers: int, *, bf16: bool, root: str, graphs: int = 32, **options: Any) -> dict[str, Any]:
    """Count a step by those of two and three blocks, as every further block adds the same.

    Returns:
        Launches, waits and bytes written of the whole step and of one block, and the launches of a block by name.
    """
    two, three = (of_network(count, bf16=bf16, root=root, graphs=graphs, **options) for count in (2, 3))
    block = {name: getattr(three, name) - getattr(two, name) for name in ("launches", "waits", "written")}
    whole = {name: getattr(two, name) + (layers - 2) * value for name, value in block.items()}
    return {"layers": layers, "step": whole, "block": block}


def main(argv: list[str] | None = None) -> int:
    """Print and save the counts of a step in float32 and in bfloat16."""
    from rich.console import Console

    from benchmarks.report import plain_table
    from pyg_samsa.io.files import atomic_write

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step_counts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--layers", type=int, default=24, help="blocks of the network (default: 24)")
    parser.add_argument("--graphs", type=int, default=32, help="peptides of the batch (default: 32)")
    parser.add_argument("--root", default="datasets", help="folder of prepared data sets (default: datasets)")
    parser.add_argument(
        "--out", default="results/step_counts.json", help="file of the result (default: results/step_counts.json)"
    )
    args = parser.parse_args(argv)
    found = {
        precision: of_depth(args.layers, bf16=precision == "bf16", root=args.root, graphs=args.graphs)
        for precision in ("float32", "bf16")
    }
    with atomic_write(Path(args.out)) as partial:
        partial.write_text(json.dumps(found, indent=1), encoding="utf-8")
    Console().print(plain_table(COLUMNS, cells(found)))
    return 0


COLUMNS = ("precision", "part", "launches", "waits", "MB written")


def cells(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the counts of all precisions as rows of `COLUMNS`.

    Args:
        found: Precision -> counts, from `of_depth`.
    """
    rows = []
    for precision, counts in found.items():
        for part, name in (("step", f"step, {counts['layers']} blocks"), ("block", "one block")):
            values = counts[part]
            megabytes = f"{values['written'] / 1e6:,.1f}"
            rows.append([precision, name, f"{values['launches']:,}", f"{values['waits']}", megabytes])
    return rows


if __name__ == "__main__":
    sys.exit(main())
