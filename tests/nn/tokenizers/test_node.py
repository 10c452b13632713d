"""One token per node."""

import numpy as np
import pytest
import torch

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional import sinusoidal_positions
from pyg_samsa.functional.node_encodings import laplacian_eigenvectors, return_probabilities
from pyg_samsa.nn import NodeTokenizer

BATCH = torch.tensor([1, 0, 1, 1, 0])


def features() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(5, 3, dtype=torch.float64)


def test_tokens_are_encoded_nodes_sorted_by_graph():
    tokenizer, x = NodeTokenizer(8, 3).double(), features()
    tokens = tokenizer(x, batch=BATCH, batch_size=3)
    assert tokens.index.sizes == [2, 3, 0]
    torch.testing.assert_close(tokens.x[tokens.node_rows], tokenizer.node_encoder(x))
    assert tokens.edge_rows is None


def test_places_are_counted_in_each_graph():
    tokenizer, x = NodeTokenizer(8, 3, positions="sinusoidal").double(), features()
    places = torch.tensor([0, 0, 1, 2, 1])
    expected = tokenizer.node_encoder(x) + sinusoidal_positions(places, 8, dtype=torch.float64)
    torch.testing.assert_close(tokenizer.encode_nodes(x, BATCH), expected)
    located = tokenizer.locate(tokenizer(x, batch=BATCH), None, None, None)
    assert located.pos[located.node_rows].flatten().tolist() == places.tolist()


def test_positional_encodings_are_added():
    tokenizer, x, pe = NodeTokenizer(8, 3, pe_channels=2).double(), features(), torch.randn(5, 2).double()
    expected = tokenizer.node_encoder(x) + tokenizer.pe_encoder(pe, BATCH, 2)
    torch.testing.assert_close(tokenizer.encode_nodes(x, BATCH, pe=pe), expected)
    assert tokenizer.inputs == {"pe"}
    with pytest.raises(ShapeError, match="pe"):
        tokenizer(x)


def test_given_positions_and_normals_follow_their_nodes():
    tokenizer, x = NodeTokenizer(8, 3).double(), features()
    tokens = tokenizer.locate(tokenizer(x, batch=BATCH), None, x, -x)
    assert torch.equal(tokens.pos[tokens.node_rows], x)
    assert torch.equal(tokens.normal[tokens.node_rows], -x)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"channels": 0}, "channels"), ({"positions": "learned"}, "positions"), ({"pe_channels": -1}, "pe_channels")],
    ids=str,
)
def test_bad_arguments_are_named(options, name):
    with pytest.raises(ConfigError, match=f"^{name}:"):
        NodeTokenizer(**{"channels": 8, "in_channels": 3, **options})


def test_bad_features_are_named():
    with pytest.raises(ShapeError, match="x"):
        NodeTokenizer(8, 3)(torch.zeros(5, 4))
    with pytest.raises(NumericalError, match="x"):
        NodeTokenizer(8, 3)(torch.full((5, 3), torch.nan))


@pytest.mark.parametrize("kind", ["lap", "lap1", "rwse"])
def test_encodings_are_computed_from_the_edges_if_none_are_passed(kind):
    tokenizer = NodeTokenizer(8, 3, pe_channels=2, pe_kind=kind).eval()
    batch = torch.tensor([1, 0, 1, 0, 1])
    edges = torch.tensor([[0, 2, 2, 4, 1, 3], [2, 0, 4, 2, 3, 1]])
    compute = {
        "lap": laplacian_eigenvectors,
        "lap1": lambda *graph: laplacian_eigenvectors(*graph, skip=0),
        "rwse": return_probabilities,
    }[kind]
    pe = torch.empty(5, 2)
    pe[batch == 1] = torch.from_numpy(compute(np.array([[0, 1, 1, 2], [1, 0, 2, 1]]), 3, 2))
    pe[batch == 0] = torch.from_numpy(compute(np.array([[0, 1], [1, 0]]), 2, 2))
    x = torch.randn(5, 3)
    passed, computed = (tokenizer(x, edges, batch=batch, pe=given).x for given in (pe, None))
    torch.testing.assert_close(computed, passed)
    assert tokenizer(x, batch=batch).x.shape == (5, 8)


def test_both_encodings_are_computed_side_by_side():
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    tokenizer = NodeTokenizer(8, 3, pe_channels=5, pe_kind="lap+rwse", flip_signs=2).eval()
    computed = [torch.from_numpy(laplacian_eigenvectors(edges.numpy(), 3, 2))]
    computed += [torch.from_numpy(return_probabilities(edges.numpy(), 3, 3))]
    x = torch.randn(3, 3)
    torch.testing.assert_close(tokenizer(x, edges).x, tokenizer(x, edges, pe=torch.cat(computed, 1)).x)
    for signs in (False, 0, 5):
        with pytest.raises(ConfigError, match="the number of eigenvectors among"):
            NodeTokenizer(8, 3, pe_channels=5, pe_kind="lap+rwse", flip_signs=signs)


def test_an_unknown_kind_of_encodings_is_refused():
    with pytest.raises(ConfigError, match="pe_kind"):
        NodeTokenizer(8, 3, pe_channels=2, pe_kind="signnet")


@pytest.mark.parametrize("options", [{"flip_signs": True}, {"pe_kind": "rwse"}], ids=str)
def test_options_of_encodings_without_encodings_are_refused(options):
    with pytest.raises(ConfigError, match="pe_channels is 0"):
        NodeTokenizer(8, 3, **options)


def test_features_of_edges_are_missing_or_not_one_for_each():
    tokenizer, x = NodeTokenizer(8, 3, edge_channels=2).double(), features()
    edge_index = torch.tensor([[0, 2, 3], [2, 3, 0]])
    with pytest.raises(ShapeError, match=r"^edge_attr: got None, expected features of 3 edges, because the network"):
        tokenizer(x, edge_index, batch=BATCH)
    with pytest.raises(ShapeError, match=r"^edge_attr: got \[2, 2\], expected \[3, ...\], one row per edge"):
        tokenizer(x, edge_index, torch.zeros(2, 2).double(), batch=BATCH)


def test_defaults(defaults):
    expected = {
        "positions": "none",
        "pe_channels": 0,
        "flip_signs": False,
    }
    assert expected.items() <= defaults(NodeTokenizer).items()
