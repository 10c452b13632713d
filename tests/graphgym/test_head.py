import pytest
import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import head


def test_heads_and_pooling(molecules):
    cfg.gnn.layers_post_mp, cfg.model.graph_pooling = 3, "attention"
    batch = molecules
    batch.x, batch.y = torch.randn(9, 8), None
    made = head.GraphHead(8, 2)
    assert made(batch)[0].shape == (3, 2)
    assert sum(isinstance(module, torch.nn.Linear) for module in made.mlp) == 3
    assert any("pool" in name for name, _ in made.named_parameters())
    assert head.InductiveNodeHead(8, 2)(batch)[0].shape == (9, 2)
    batch.edge_label_index, batch.edge_label = torch.tensor([[0], [1]]), torch.ones(1)
    pairs, target = head.InductiveEdgeHead(8, 1)(batch)
    assert (pairs.shape, target.tolist()) == ((1, 1), [1.0])
    for level, kind in (("graph", head.GraphHead), ("node", head.InductiveNodeHead), ("link", head.InductiveEdgeHead)):
        cfg.share.level = level
        assert type(head.default_head(8, 1)) is kind
    with pytest.raises(ConfigError, match="head 'graph'"):
        register.pooling_dict["attention"](batch.x, batch.batch)


@pytest.mark.parametrize("kind", [head.GraphHead, head.InductiveNodeHead])
def test_predictions_are_not_rounded_under_autocast(molecules, kind):
    cfg.gnn.layers_post_mp, cfg.model.graph_pooling = 2, "mean"
    batch, made = molecules, kind(8, 2).eval()
    batch.x, batch.y = torch.randn(9, 8).bfloat16(), None
    with torch.autocast("cpu", torch.bfloat16):
        found = made(batch)[0]
    batch.x = batch.x.float()
    assert torch.equal(found, made(batch)[0])
