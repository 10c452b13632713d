import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn import SAMSA
from pyg_samsa.nn.tokenizers.tokens import Tokens


def make_network(**options):
    torch.manual_seed(0)
    settings = {"edge_channels": 3, "channels": 16, "num_layers": 3, "heads": 4, **options}
    if settings.get("attention") != "full":
        settings.setdefault("num_samples", 4)
    model = SAMSA.from_options(5, 2, **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 0:
                parameter.fill_(0.7)
        for block in model.encoder.blocks:
            if hasattr(block.conv, "support_score"):
                block.conv.support_score.sub_(1.0)  # fewer support pairs among the sampled ones
    return model


def make_graph(nodes, bonds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.tensor(bonds, dtype=torch.long).reshape(-1, 2).T
    edge_index = torch.stack([pairs, pairs.flip(0)], dim=2).flatten(1)
    edge_attr = torch.randn(pairs.size(1), 3, generator=generator, dtype=torch.float64).repeat_interleave(2, 0)
    return Data(
        x=torch.randn(nodes, 5, generator=generator, dtype=torch.float64), edge_index=edge_index, edge_attr=edge_attr
    )


GRAPHS = {
    "rings": make_graph(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (1, 4)], 1),
    "one node": make_graph(1, [], 2),
    "two isolated nodes": make_graph(5, [(0, 1), (3, 1)], 3),
    "no edges": make_graph(3, [], 4),
    "star": make_graph(9, [(0, i) for i in range(1, 9)], 5),
}


def predict_without(model, data, without=()):
    """The whole network, with some tokens removed from the output of Graph-Bridge: predictions [out_channels]."""

    def remove(module, args, tokens):
        keep = [row for row in range(tokens.x.size(0)) if row not in without]
        return Tokens(tokens.x[keep], RaggedIndex(torch.tensor([0, len(keep)])), torch.tensor(keep[:1]), None)

    hook = model.tokenizer.bridge.register_forward_hook(remove)
    with torch.no_grad():
        out = model.eval()(data.x, data.edge_index, data.edge_attr, graph_features=data.get("graph_features"))[0]
    hook.remove()
    return out


class Detached(torch.nn.Module):
    """Scores without a gradient: that of hard sampling is straight-through, which no finite difference shows."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, x):
        return self.score(x).detach()


def detach_scores(model):
    for block in model.encoder.blocks:
        block.conv.score = Detached(block.conv.score)
    return model


@pytest.fixture
def network():
    """Makes a network of two outputs in float64: ``network(num_layers=2)``."""
    return make_network


@pytest.fixture
def graph():
    """Makes a graph: ``graph(3, [(0, 1)])``."""
    return make_graph


@pytest.fixture
def graphs():
    """Small graphs with and without edges."""
    return list(GRAPHS.values())


@pytest.fixture(params=GRAPHS)
def data(request):
    """One of the small graphs; a test with it runs for each."""
    return GRAPHS[request.param]


@pytest.fixture
def predict():
    """Predicts with a network without some tokens."""
    return predict_without


@pytest.fixture
def detached():
    """Takes the gradient of the sampling scores out of a network."""
    return detach_scores
