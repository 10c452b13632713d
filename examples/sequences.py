"""Evaluate nested lists such as [MAX 2 9 [MIN 4 7] 0], as sequences of tokens. A minute or two, no download."""

import torch

from pyg_samsa.datasets import ListOps
from pyg_samsa.nn import SAMSA
from pyg_samsa.training import SplitData


def main(root: str = "datasets", num_train: int = 4000, epochs: int = 3) -> float:
    """Train on short expressions and return the accuracy on the test split."""
    torch.manual_seed(0)
    dataset = ListOps(root, min_length=10, max_length=40, max_depth=3, num_train=num_train, num_val=200, num_test=500)
    data = SplitData(dataset, dataset.split_idx, batch_size=64, tokens_per_batch=1600, edges_are_tokens=False)
    options = {"channels": 64, "num_layers": 3, "heads": 4, "num_samples": 16, "ffn_channels": 128}
    model = SAMSA.from_options(
        dataset.features.in_channels, dataset.task.num_targets, bridge=False, positions="sinusoidal", **options
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(epochs):
        model.train()
        for batch in data.loader("train", epoch=epoch):
            loss = torch.nn.functional.cross_entropy(
                model(batch.x, batch=batch.batch, batch_size=batch.num_graphs), batch.y
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            pairs = [(model(b.x, batch=b.batch, batch_size=b.num_graphs).argmax(1), b.y) for b in data.loader("test")]
        accuracy = sum(int((pred == y).sum()) for pred, y in pairs) / 500
        print(f"epoch {epoch + 1}: loss of the last batch {float(loss.detach()):.3f}, test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
