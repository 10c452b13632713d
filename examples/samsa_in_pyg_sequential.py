"""SAMSA operators in PyG's Sequential, with a message passing layer. Under a minute on one core, no download."""

import torch
from torch.nn import GELU, Linear
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINEConv, Sequential

from pyg_samsa.datasets import EmbeddedPeptides
from pyg_samsa.nn import AtomEncoder, BondEncoder, SAMSABlock, SAMSAConv, make_pool


def add(x, y):
    return x + y


def network(channels: int, targets: int) -> Sequential:
    """Return a network that combines message passing between neighbours and attention over the molecule."""
    message = torch.nn.Sequential(Linear(channels, channels), GELU(), Linear(channels, channels))
    return Sequential(
        "x, edge_index, edge_attr, batch",
        [
            (AtomEncoder(channels), "x -> x"),
            (BondEncoder(channels), "edge_attr -> e"),
            (GINEConv(message), "x, edge_index, e -> y"),
            (add, "x, y -> x"),
            # The operator alone, followed by a residual connection.
            (SAMSAConv(channels, heads=4, num_samples=16), "x, edge_index, batch -> y"),
            (add, "x, y -> x"),
            # The block contains norms, a feed-forward network and residual connections.
            (SAMSABlock(channels, heads=4, num_samples=16), "x, edge_index, batch -> x"),
            (make_pool("attention", channels), "x, batch -> x"),
            Linear(channels, targets),
        ],
    )


def main(root: str = "datasets", max_residues: int = 16, steps: int = 150) -> tuple[Sequential, list[float]]:
    """Train on short peptides, and return the network and the loss of each step."""
    torch.manual_seed(0)
    dataset = EmbeddedPeptides(root, max_residues=max_residues)
    train = DataLoader(dataset[dataset.split_idx["train"]], batch_size=32, shuffle=True)
    net = network(32, dataset.task.num_targets)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    losses: list[float] = []
    while len(losses) < steps:
        for batch in train:
            known = batch.y.isfinite()  # labels may be missing
            output = net(batch.x, batch.edge_index, batch.edge_attr, batch.batch)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(output[known], batch.y[known])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            if len(losses) % 25 == 0:
                print(f"step {len(losses)}: mean loss of the last 25 {sum(losses[-25:]) / 25:.3f}")
            if len(losses) == steps:
                break
    return net, losses


if __name__ == "__main__":
    main()
