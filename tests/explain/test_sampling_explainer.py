import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.explain import Explainer

from pyg_samsa.errors import ConfigError
from pyg_samsa.explain import SamplingExplainer, token_importance
from pyg_samsa.nn import SAMSA

CONFIG = {"mode": "regression", "task_level": "graph", "return_type": "raw"}


def network():
    torch.manual_seed(0)
    model = SAMSA.from_options(4, 2, edge_channels=3, channels=16, num_layers=2, heads=2, num_samples=3)
    with torch.no_grad():
        model.encoder.alpha.fill_(0.6)
    return model.eval()


def explainer(model, algorithm, **options):
    settings = {
        "explanation_type": "model",
        "node_mask_type": "object",
        "edge_mask_type": "object",
        "model_config": CONFIG,
        **options,
    }
    return Explainer(model, algorithm=algorithm, **settings)


def graphs():
    torch.manual_seed(1)
    first = Data(
        x=torch.randn(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), edge_attr=torch.randn(4, 3)
    )
    second = Data(x=torch.randn(2, 4), edge_index=torch.tensor([[0, 1], [1, 0]]), edge_attr=torch.randn(2, 3))
    return [first, second]


@pytest.mark.parametrize("method", ["sampled", "occlusion"])
def test_masks_are_the_importance_of_tokens(method):
    model, (first, _) = network(), graphs()
    found = explainer(model, SamplingExplainer(method, output=1))(first.x, first.edge_index, edge_attr=first.edge_attr)
    (expected,) = token_importance(model, first, method, target=1)
    torch.testing.assert_close(found.node_mask[:, 0], expected.node)
    torch.testing.assert_close(found.edge_mask, expected.edge)
    found.validate(raise_on_error=True)


def test_a_batch_in_any_order():
    model, both = network(), graphs()
    batch = Batch.from_data_list(both)
    perm = torch.tensor([3, 0, 4, 2, 1])
    place = torch.empty_like(perm).scatter_(0, perm, torch.arange(5))
    found = explainer(model, SamplingExplainer())(
        batch.x[perm], place[batch.edge_index], edge_attr=batch.edge_attr, batch=batch.batch[perm], batch_size=2
    )
    expected = token_importance(model, both)
    torch.testing.assert_close(found.node_mask[:, 0], torch.cat([one.node for one in expected])[perm])
    torch.testing.assert_close(found.edge_mask, torch.cat([one.edge for one in expected]))


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="does not support"):
        explainer(network(), SamplingExplainer(), model_config={**CONFIG, "task_level": "node"})
    with pytest.raises(ValueError, match="does not support"):
        explainer(network(), SamplingExplainer(), node_mask_type="attributes")
    with pytest.raises(ConfigError, match="method"):
        SamplingExplainer("lime")
    first = graphs()[0]
    with pytest.raises(ConfigError, match="index"):
        explainer(network(), SamplingExplainer())(first.x, first.edge_index, edge_attr=first.edge_attr, index=0)


def test_features_of_whole_graphs_are_handed_over():
    torch.manual_seed(0)
    model = SAMSA.from_options(
        4, 2, edge_channels=3, channels=16, num_layers=2, heads=2, num_samples=3, graph_channels=2
    ).eval()
    both, features = graphs(), torch.tensor([[1.0, 2.0], [-3.0, 4.0]])
    batch = Batch.from_data_list(both)
    found = explainer(model, SamplingExplainer("occlusion"))(
        batch.x,
        batch.edge_index,
        edge_attr=batch.edge_attr,
        batch=batch.batch,
        batch_size=2,
        graph_features=features,
    )
    given = [Data(**graph.to_dict(), graph_features=features[[row]]) for row, graph in enumerate(both)]
    expected = token_importance(model, given, "occlusion")
    torch.testing.assert_close(found.node_mask[:, 0], torch.cat([one.node for one in expected]))
