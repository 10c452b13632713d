"""A head of the user's own, registered as PyG's documentation shows, in the networks ``samsa`` and ``gnn``."""

import pytest
import torch
from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.run import run
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.own_head import own_head
from pyg_samsa.graphgym.without_effect import unused_settings


class SumHead(nn.Module):
    """The sum over the nodes of a linear layer."""

    def __init__(self, dim_in, dim_out):
        super().__init__()
        self.lin = nn.Linear(dim_in, dim_out)

    def forward(self, batch):
        rows = self.lin(batch.x)
        return rows.new_zeros(batch.num_graphs, rows.size(1)).index_add(0, batch.batch, rows), batch.y


@pytest.fixture
def head(monkeypatch):
    monkeypatch.setitem(register.head_dict, "own_sum", SumHead)


@pytest.mark.parametrize("num_eval_samples", [1, 2])
def test_the_network_samsa_hands_its_nodes_to_the_head(config, head, num_eval_samples):
    from pyg_samsa.graphgym.loader import load_for_runner
    from pyg_samsa.graphgym.plan import make_plan

    samsa = {"num_eval_samples": num_eval_samples}
    loaded = load_config(config(gnn={"head": "own_sum"}, samsa=samsa))
    dataset = load_for_runner(progress=False)
    torch.manual_seed(0)
    network = make_plan(loaded, dataset, seed=0).build_network().eval()
    batch = torch_batch(dataset)
    prediction, target = network(batch)
    nodes = [
        network.model.encode(batch.x, batch.edge_index, batch.edge_attr, batch.batch, draw=draw)
        for draw in range(num_eval_samples)
    ]
    expected = sum(network.head.lin(tokens.x[tokens.node_rows]) for tokens in nodes) / num_eval_samples
    torch.testing.assert_close(prediction, torch.zeros(3, 3).index_add(0, batch.batch, expected))
    assert target is batch.y
    assert batch.x.dtype == torch.int64


def test_a_head_computes_in_full_precision_under_autocast(config, head):
    from pyg_samsa.graphgym.loader import load_for_runner
    from pyg_samsa.graphgym.plan import make_plan

    loaded = load_config(config(gnn={"head": "own_sum"}))
    dataset = load_for_runner(progress=False)
    network = make_plan(loaded, dataset, seed=0).build_network().eval()
    with torch.autocast("cpu", torch.bfloat16):
        prediction, _ = network(torch_batch(dataset))
    assert prediction.dtype == torch.float32


def torch_batch(dataset):
    from torch_geometric.data import Batch

    return Batch.from_data_list([dataset[row] for row in range(3)])


def test_runs_train_and_test_it(config, head):
    (result,) = run(config(gnn={"head": "own_sum"}, optim={"max_epoch": 1}), verbosity=-1)
    assert set(result.test) >= {"loss", "ap"}
    assert not (result.folder.path / "model").exists()


def test_settings_of_the_readout_that_it_replaces_are_listed(config, head):
    load_config(config(gnn={"head": "own_sum", "act": "relu"}, samsa={"pool": "mean"}))
    assert unused_settings({"gnn.head", "gnn.act", "samsa.pool", "samsa.layers"}) == ["samsa.pool"]


def test_an_unknown_head_and_a_network_with_a_head_of_its_own_are_refused(config, head):
    with pytest.raises(ConfigError, match=r"gnn.head: got 'own_sums', expected one of") as error:
        load_config(config(gnn={"head": "own_sums"}))
    assert error.value.hint == "Did you mean 'own_sum'?"
    with pytest.raises(ConfigError, match=r"gnn.head: got 'own_sum', expected 'default' with the network gcn"):
        load_config(config(gnn={"head": "own_sum"}, model={"type": "gcn"}))


def test_heads_of_graphgym_are_not_the_users(head):
    for name in ("default", "graph", "node", "edge", "mlp_graph"):
        cfg.gnn.head = name
        assert own_head() is None
    cfg.gnn.head = "own_sum"
    assert own_head() is SumHead
