"""Classify point clouds, sets of points without edges, in plain PyTorch. About a minute on two cores, no download."""

import torch
from torch_geometric.loader import DataLoader

from pyg_samsa.datasets import Shapes
from pyg_samsa.nn import SAMSA


def main(root: str = "datasets", per_family: int = 60, num_points: int = 128, epochs: int = 8) -> float:
    """Train on procedural solids and return the accuracy on the test split."""
    torch.manual_seed(0)
    dataset = Shapes(root, per_family=per_family, num_points=num_points)
    train = DataLoader(dataset[dataset.split_idx["train"]], batch_size=32, shuffle=True)
    test = DataLoader(dataset[dataset.split_idx["test"]], batch_size=64)
    options = {"channels": 32, "num_layers": 3, "heads": 4, "num_samples": 32, "ffn_channels": 64}
    model = SAMSA.from_options(dataset.features.in_channels, dataset.task.num_targets, bridge=False, **options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * len(train))
    for epoch in range(epochs):
        model.train()
        for batch in train:
            loss = torch.nn.functional.cross_entropy(
                model(batch.x, batch=batch.batch, batch_size=batch.num_graphs), batch.y
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum(int((model(b.x, batch=b.batch, batch_size=b.num_graphs).argmax(1) == b.y).sum()) for b in test)
        accuracy = right / len(test.dataset)
        print(f"epoch {epoch + 1}: loss of the last batch {float(loss.detach()):.3f}, test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
