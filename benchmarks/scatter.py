"""``python -m benchmarks.scatter``: times PyG's reductions and training steps with torch-scatter and without it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch_geometric.typing
from torch import Tensor
from torch_geometric.utils import scatter, segment, softmax

from benchmarks.timing import take_turns
from pyg_samsa.nn import GNN, SAMSA

_NODES, _GRAPHS, _CHANNELS = 4000, 100, 64
_QUICK = 40


def workloads(nodes: int, graphs: int, device: torch.device) -> dict[str, Callable[[], Any]]:
    """Return what is timed: reductions over graphs, forward and backward, and training steps.

    Args:
        nodes: Nodes of the batch; every node has four edges.
        graphs: Graphs of the batch.
        device: Where to compute.
    """
    torch.manual_seed(0)
    x = torch.randn(nodes, _CHANNELS, device=device, requires_grad=True)
    batch = torch.arange(nodes, device=device) * graphs // nodes
    ptr = torch.cat([batch.new_zeros(1), batch.bincount().cumsum(0)])
    ends = torch.randint(max(1, nodes // graphs), (4 * nodes,), device=device)
    edges = torch.stack([torch.arange(nodes, device=device).repeat(4), ptr[batch.repeat(4)] + ends])

    def both(reduce: Callable[[], Tensor]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(reduce().square().sum(), x)

    work: dict[str, Callable[[], Any]] = {
        f"scatter {name}": both(lambda name=name: scatter(x, batch, dim_size=graphs, reduce=name))  # type: ignore[misc]
        for name in ("sum", "mean", "max")
    }
    work["segment sum"] = both(lambda: segment(x, ptr, reduce="sum"))
    work["softmax"] = both(lambda: softmax(x, ptr=ptr))
    features = torch.randn(nodes, 8, device=device), edges, torch.randn(4 * nodes, 4, device=device), batch
    networks: dict[str, torch.nn.Module] = {
        name: GNN(8, 1, edge_channels=4, layer="gps" if name == "PNA" else name.lower(), **options)  # type: ignore[arg-type]
        for name, options in {"GINE": {}, "GatedGCN": {}, "PNA": {"local": "pna"}}.items()
    }
    samsa = {"channels": 64, "num_layers": 4, "heads": 4, "num_samples": 8, "bridge": False, "local": "gine"}
    networks["GINE+SAMSA"] = SAMSA.from_options(8, 1, edge_channels=4, **samsa)
    for name, network in networks.items():
        network.to(device)
        work[f"training step of {name}"] = lambda network=network: network(*features).square().sum().backward()  # type: ignore[misc]
    return work


@contextmanager
def torch_scatter(used: bool) -> Iterator[None]:
    """Let PyG use torch-scatter, or not."""
    before = torch_geometric.typing.WITH_TORCH_SCATTER
    torch_geometric.typing.WITH_TORCH_SCATTER = used
    try:
        yield
    finally:
        torch_geometric.typing.WITH_TORCH_SCATTER = before


def _with(used: bool, run: Callable[[], Any]) -> Callable[[], Any]:
    def go() -> Any:
        with torch_scatter(used):
            return run()

    return go


def main(argv: list[str] | None = None) -> int:
    """Print a table of milliseconds; return 0, or 2 where torch-scatter is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scatter", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each (default: 9)")
    parser.add_argument("--quick", action="store_true", help="a small batch, as a test")
    args = parser.parse_args(argv)
    if not torch_geometric.typing.WITH_TORCH_SCATTER:
        print("torch-scatter is not installed. `make scatter` builds it.", file=sys.stderr)
        return 2
    device = torch.device(args.device)
    size = (_QUICK, 4) if args.quick else (_NODES, _GRAPHS)
    print(f"{'milliseconds on ' + args.device:<32}{'with':>10}{'without':>10}{'ratio':>8}")
    for name, run in workloads(*size, device).items():
        times = take_turns({"with": _with(True, run), "without": _with(False, run)}, device, rounds=args.rounds)
        used, bare = (1e3 * times[kind].median for kind in ("with", "without"))
        print(f"{name:<32}{used:>10.2f}{bare:>10.2f}{used / bare:>8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
