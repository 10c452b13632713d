"""Features of whole graphs beside the graph: scaling, and their way to the head."""

from __future__ import annotations

import math

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn import SAMSA, GraphFeatures

NAN = math.nan
SIZES = {"channels": 8, "num_layers": 2, "heads": 2, "num_samples": 4}


def fitted(*rows) -> GraphFeatures:
    torch.manual_seed(0)
    module = GraphFeatures(len(rows[0]), 8)
    module.fit(torch.tensor(rows))
    return module.eval()


def network(**options) -> SAMSA:
    torch.manual_seed(0)
    model = SAMSA.from_options(5, 2, graph_channels=3, **SIZES, **options)
    model.graph_features.fit(torch.randn(20, 3))
    return model.eval()


def graphs(*sizes):
    torch.manual_seed(1)
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return {"x": torch.randn(len(batch), 5), "batch": batch, "graph_features": torch.randn(len(sizes), 3)}


def test_scaled_features_have_mean_0_and_deviation_1_of_their_logarithm():
    module = fitted([0.0], [math.e - 1], [math.e**2 - 1])  # logarithms 0, 1, 2
    expected = torch.tensor([[-1.0], [0.0], [1.0]]) / math.sqrt(2 / 3)
    torch.testing.assert_close(module.scaled(torch.tensor([[0.0], [math.e - 1], [math.e**2 - 1]])), expected)
    negative = fitted([0.0], [1 - math.e], [1 - math.e**2])
    torch.testing.assert_close(negative.scaled(torch.tensor([[0.0], [1 - math.e], [1 - math.e**2]])), -expected)


def test_missing_values_do_not_count_and_are_0():
    module = fitted([1.0, 4.0], [3.0, NAN], [7.0, 2.0])
    alone = fitted([4.0], [2.0])
    assert module.scaled(torch.tensor([[3.0, NAN]]))[0, 1] == 0
    torch.testing.assert_close(
        module.scaled(torch.tensor([[0.0, 9.0]]))[0, 1], alone.scaled(torch.tensor([[9.0]]))[0, 0]
    )


@pytest.mark.parametrize("value", [0.1, 1e30, -7.0])
def test_features_without_variation_are_0(value):
    module = fitted([value, NAN], [value, NAN], [value, NAN])
    assert module.scaled(torch.tensor([[5.0, 3.0], [value, NAN]])).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_scaled_features_are_clipped():
    module = fitted([0.0], [1.0])
    found = module.scaled(torch.tensor([[3e38], [-3e38], [math.inf], [-math.inf]]))
    assert found.flatten().tolist() == [5.0, -5.0, 5.0, -5.0]


def test_the_scale_is_saved_and_kept_by_new_weights():
    module = fitted([1.0, 4.0], [3.0, 5.0])
    other = GraphFeatures(2, 8).eval()
    other.load_state_dict(module.state_dict())
    x = torch.tensor([[2.0, 9.0]])
    assert torch.equal(other(x), module(x))
    before, weight = module.scaled(x), module.net[1].weight.clone()
    module.reset_parameters()
    assert torch.equal(module.scaled(x), before)
    assert not torch.equal(module.net[1].weight, weight)


def test_dropout_only_in_training():
    module = GraphFeatures(50, 4, dropout=0.5)
    x = torch.randn(3, 50)
    assert not torch.equal(module(x), module(x))
    assert torch.equal(module.eval()(x), module(x))


def test_wrong_arguments():
    for arguments in ({"in_channels": 0, "channels": 4}, {"in_channels": 4, "channels": 4, "dropout": 1.0}):
        with pytest.raises(ConfigError):
            GraphFeatures(**arguments)
    with pytest.raises(ShapeError, match=r"graph_features: got \[2, 4\], expected \[graphs, 3\]"):
        GraphFeatures(3, 4)(torch.zeros(2, 4))
    with pytest.raises(ConfigError, match="at least one row"):
        GraphFeatures(3, 4).fit(torch.zeros(0, 3))


def test_the_head_sees_pooled_tokens_and_features():
    model, given = network(), graphs(3, 2)
    readout, features = model.readout, given.pop("graph_features")
    tokens = model.encode(**given)
    seen = readout.features(tokens, graph_features=features)
    pooled = readout.pool(tokens.x, tokens.index.batch, dim_size=2)
    torch.testing.assert_close(seen, torch.cat([pooled, model.graph_features(features)], dim=1))
    assert (model.inputs, readout.head.in_channels) == (frozenset({"code_keys", "graph_features"}), 16)


def test_predictions_do_not_depend_on_the_batch_and_follow_the_order_of_graphs():
    model, given = network(), graphs(3, 2, 4)
    together = model(**given)
    for graph in range(3):
        rows = given["batch"] == graph
        alone = model(given["x"][rows], graph_features=given["graph_features"][[graph]])
        torch.testing.assert_close(alone[0], together[graph])
    order = torch.tensor([2, 0, 1])
    rank = order.argsort()
    moved = model(given["x"], batch=rank[given["batch"]], graph_features=given["graph_features"][order])
    torch.testing.assert_close(moved, together[order])
    other = given | {"graph_features": given["graph_features"].flip(0)}
    assert not torch.allclose(model(**other)[0], together[0])


def test_draws_of_codes_share_the_features():
    model, given = network(num_eval_samples=3), graphs(3, 2)
    mean, deviation = model.predict_with_spread(**given)
    torch.testing.assert_close(model(**given), mean)
    assert deviation.shape == (2, 2)


def test_features_must_be_passed_to_a_network_that_reads_them_and_only_to_it():
    given = graphs(3, 2)
    with pytest.raises(ShapeError, match=r"graph_features: got None, expected \[2, 3\]"):
        network()(given["x"], batch=given["batch"])
    with pytest.raises(ShapeError, match=r"got \[1, 3\], expected \[2, 3\]"):
        network()(given["x"], batch=given["batch"], graph_features=given["graph_features"][:1])
    with pytest.raises(ShapeError, match=r"graph_features: got \[2, 3\], expected None"):
        SAMSA.from_options(5, 2, **SIZES)(**given)
    for options in ({"level": "node"}, {"towers": 2}):
        with pytest.raises(ConfigError, match="graph_channels: got 3, expected 0"):
            SAMSA.from_options(5, 2, graph_channels=3, **SIZES, **options)


def with_levels() -> GraphFeatures:
    torch.manual_seed(0)
    module = GraphFeatures(2, 8, levels=5)
    module.fit(torch.tensor([[0.0, 5.0], [0, 5], [0, 5], [1, 5], [2, 5], [2, 5], [2, 5]]))
    return module.eval()


def test_levels_tell_counts_apart():
    module = with_levels()
    assert module.scaled(torch.zeros(1, 2)).shape == (1, 5)
    one, two, three = (module(torch.tensor([[count, 5.0]])) for count in (1.0, 2.0, 3.0))
    assert not torch.equal(one, two)
    assert torch.equal(two, three)  # no training graph has more than two
    assert torch.equal(module(torch.tensor([[1.0, 9.0]])), one)  # a feature that did not vary
    assert "levels=5" in repr(module)


def test_levels_are_saved_and_kept_by_new_weights():
    module = with_levels()
    other = GraphFeatures(2, 8, levels=5).eval()
    other.load_state_dict(module.state_dict())
    x = torch.tensor([[2.0, 9.0], [NAN, 5.0]])
    assert torch.equal(other(x), module(x))
    before = module.scaled(x)
    module.reset_parameters()
    assert torch.equal(module.scaled(x), before)
    half = with_levels().double()
    assert half(x.double()).dtype == torch.float64
    torch.testing.assert_close(half.scaled(x.double()).float(), before)


def test_levels_are_those_of_the_type_of_the_thresholds():
    features = 1e6 + 1e-3 * torch.arange(40, dtype=torch.float64)[:, None]
    module = GraphFeatures(1, 4, levels=3)
    module.fit(features)
    assert torch.equal(module.scaled(features), module.scaled(features.float()))


def test_networks_encode_features_by_levels():
    torch.manual_seed(0)
    model = SAMSA.from_options(5, 2, graph_channels=3, graph_levels=7, graph_hidden=20, **SIZES).eval()
    model.graph_features.fit(torch.randn(40, 3))
    assert model.readout.head.in_channels == 8 + 20
    found = model(**graphs(3, 4, 5))
    assert found.shape == (3, 2)
    alone = model(**{**graphs(3, 4, 5), "graph_features": torch.zeros(3, 3)})
    assert not torch.allclose(found, alone)


def test_features_have_a_dropout_of_their_own():
    def rates(**options):
        model = SAMSA.from_options(5, 2, graph_channels=3, dropout=0.4, **SIZES, **options)
        return model.graph_features.net[0].p, model.readout.head.net[2].p

    assert rates() == (0.4, 0.4)
    assert rates(graph_dropout=0.0) == (0.0, 0.4)


@pytest.mark.parametrize("options", [{"graph_levels": 3}, {"graph_hidden": 3}, {"graph_dropout": 0.1}])
def test_levels_without_features_are_refused(options):
    with pytest.raises(ConfigError, match="graph_channels is 0"):
        SAMSA.from_options(5, 2, **SIZES, **options)


@pytest.mark.parametrize(
    "options", [{"graph_levels": -1}, {"graph_hidden": 0}, {"graph_levels": 1.5}, {"graph_dropout": 1.0}]
)
def test_wrong_numbers_of_levels_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        SAMSA.from_options(5, 2, graph_channels=3, **SIZES, **options)


def test_defaults(defaults):
    expected = {
        "dropout": 0.0,
        "levels": 0,
    }
    assert expected.items() <= defaults(GraphFeatures).items()


@pytest.mark.parametrize("levels", [0, 6])
def test_the_training_rows_of_all_features_are_fitted(levels):
    features = torch.randint(0, 5, (40, 3), generator=torch.Generator().manual_seed(0)).float()
    rows = torch.arange(0, 40, 3)
    found, expected = (GraphFeatures(3, 4, levels=levels) for _ in range(2))
    found.fit(features, rows)
    expected.fit(features[rows])
    for name, value in expected.named_buffers():
        assert torch.equal(found.get_buffer(name), value)
