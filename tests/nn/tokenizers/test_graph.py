"""Tokens of nodes and edges from raw features."""

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import feature_keys
from pyg_samsa.nn import GraphTokenizer
from pyg_samsa.nn.tokenizers import graph

EDGES = torch.tensor([[0, 1, 3, 2], [1, 0, 2, 3]])


def test_it_is_the_bridge_of_encoded_features():
    torch.manual_seed(0)
    tokenizer = GraphTokenizer(8, 3, [4]).double().eval()
    x, kinds = torch.randn(4, 3, dtype=torch.float64), torch.tensor([[0], [3], [1], [1]])
    tokens = tokenizer(x, EDGES, kinds)
    h, e = tokenizer.node_encoder(x), tokenizer.edge_encoder(kinds)
    expected = tokenizer.bridge(h, EDGES, e, node_keys=feature_keys(x), edge_keys=feature_keys(kinds))
    torch.testing.assert_close(tokens.x, expected.x)
    assert tokens.x.shape == (8, 8)


def test_codes_depend_on_raw_features_and_not_on_weights():
    x = torch.randn(4, 3)
    draws = []
    for seed in range(2):
        torch.manual_seed(seed)
        tokenizer = GraphTokenizer(8, 3).eval()
        noise = tokenizer.bridge._noise
        tokenizer.bridge._noise = lambda *args, noise=noise: draws.append(noise(*args)) or draws[-1]
        tokenizer(x, EDGES)
    assert torch.equal(*draws)


def test_features_of_edges_are_required_if_there_are_edges():
    tokenizer, x = GraphTokenizer(8, 3, 2), torch.randn(4, 3)
    assert tokenizer(x).x.shape == (4, 8)
    with pytest.raises(ShapeError, match="edge_attr"):
        tokenizer(x, EDGES)
    with pytest.raises(ShapeError, match="one row per edge"):
        tokenizer(x, EDGES, torch.randn(3, 2))


@pytest.mark.parametrize("num_codes", [0, 1, 2])
def test_only_codes_are_drawn(num_codes):
    assert GraphTokenizer(8, 3, num_codes=num_codes).has_draws == (num_codes > 0)


@pytest.mark.parametrize(("training", "given", "computed"), [(False, False, 1), (False, True, 0), (True, False, 0)])
def test_keys_are_computed_only_where_codes_need_them(monkeypatch, training, given, computed):
    calls = []
    monkeypatch.setattr(graph, "feature_keys", lambda x: calls.append(x) or feature_keys(x))
    tokenizer = GraphTokenizer(8, 3).train(training)
    tokenizer(torch.randn(4, 3), EDGES, code_keys=torch.arange(4) if given else None)
    assert len(calls) == computed


def test_defaults(defaults):
    expected = {
        "num_codes": 1,
        "eval_codes": "structural",
        "sigma": 1.0,
        "positions": "none",
        "pe_channels": 0,
        "flip_signs": False,
    }
    assert expected.items() <= defaults(GraphTokenizer).items()
