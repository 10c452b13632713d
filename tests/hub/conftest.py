import pytest
import torch

from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task


@pytest.fixture
def task():
    return Task("regression", ["logS"])


@pytest.fixture
def metrics():
    return {"test": {"mae": 0.4, "r2": float("nan")}}


@pytest.fixture
def network():
    """Builds a small network."""

    def build(**options):
        torch.manual_seed(0)
        sizes = {"edge_channels": 2, "channels": 8, "num_layers": 2, "heads": 2, "num_samples": 4}
        model = SAMSA.from_options(**{"in_channels": [5, 3], "out_channels": 1, **sizes, **options})
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "alpha" in name:  # at zero the blocks do nothing
                    weight += 0.3
        return model.eval()

    return build


@pytest.fixture
def inputs():
    nodes = torch.tensor([[0, 1], [4, 2], [2, 0], [1, 1]])
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    return nodes, edges, torch.linspace(-1, 1, 8).view(4, 2), torch.tensor([0, 0, 0, 1])


@pytest.fixture
def saved(tmp_path, network, task, metrics):
    return save_pretrained(network(), tmp_path / "model", task=task, metrics=metrics, card={"Data": "Ten molecules."})
