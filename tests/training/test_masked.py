import copy
import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.nn import SAMSA, MaskedEncoder
from pyg_samsa.nn.encoding.feature_encoder import make_encoder
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.masked import (
    MaskedLoss,
    MaskedNetwork,
    MaskOptions,
    columns_of,
    fit_masked,
    width_of,
)
from pyg_samsa.training.mean_loss import MeanLoss
from pyg_samsa.training.start_from import start_from

SIZE = {"channels": 16, "num_layers": 2, "heads": 4, "num_samples": 4, "local": "gine"}


def masked_encoder(features):
    return MaskedEncoder(make_encoder("x", features, 16), len(columns_of(features)), 16)


def network(features, share=0.4, bridge=False, seed=0, edges=None, **options):
    torch.manual_seed(seed)
    columns, edge_columns = columns_of(features), columns_of(edges)
    options = {**SIZE, "bridge": bridge, "level": "token" if edges else "node", **options}
    if edges:
        options["edge_channels"] = masked_encoder(edges)
    model = SAMSA.from_options(masked_encoder(features), width_of([*columns, *edge_columns]), **options)
    with torch.no_grad():
        model.encoder.alpha.fill_(0.5)
    return MaskedNetwork(model, columns, MaskOptions(share), edge_columns=edge_columns).double()


def path(nodes, seed=0, features=(4, 3)):
    generator = torch.Generator().manual_seed(seed)
    x = torch.stack([torch.randint(0, size, (nodes,), generator=generator) for size in features], 1)
    edges = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1))


def bonds(nodes, seed=0, floats=False):
    """A path with features of its edges, the same in both directions."""
    graph, generator = path(nodes, seed), torch.Generator().manual_seed(seed)
    one = torch.randint(0, 3, (nodes - 1, 2), generator=generator)
    one = one.double() if floats else one
    graph.edge_attr = torch.cat([one, one])
    return graph


def cloud(points, seed=0):
    return Data(x=torch.randn(points, 3, dtype=torch.double, generator=torch.Generator().manual_seed(seed)))


def test_columns():
    assert columns_of(None) == []
    assert columns_of([2, 5]) == [2, 5]
    assert columns_of(1) == [None]
    assert width_of([2, None, 5]) == 8
    with pytest.raises(ConfigError, match="share: got 1"):
        MaskOptions(share=1.0)


@pytest.mark.parametrize("bridge", [False, True])
@pytest.mark.parametrize("kind", ["path", "cloud"])
def test_evaluation_hides_the_same_whatever_the_order_and_the_batch(kind, bridge):
    graphs = [path(9, seed) for seed in range(4)] if kind == "path" else [cloud(9, seed) for seed in range(4)]
    made = network([4, 3] if kind == "path" else 3, bridge=bridge).eval()
    together = made(Batch.from_data_list(graphs))
    assert not together[1].isnan().all()
    assert together[1].isnan().any()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    for number, graph in enumerate(graphs):
        moved = copy.copy(graph)
        moved.x = graph.x[order]
        if kind == "path":
            moved.edge_index = torch.argsort(order)[graph.edge_index]
        rows = slice(9 * number, 9 * number + 9)
        for found, expected in zip(made(Batch.from_data_list([moved])), together, strict=True):
            torch.testing.assert_close(found, expected[rows][order], rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("training", [True, False])
def test_the_shares_are_those_of_the_options(training):
    made = network(3, share=0.3).train(training)
    batch = Batch.from_data_list([cloud(4000, 0)])
    hidden = made.hide(batch)[0]
    nodes = hidden.any(1)
    assert hidden.double().mean().item() == pytest.approx(0.15, abs=0.015)  # half of the floats of 30 %
    assert nodes.double().mean().item() == pytest.approx(0.3 * 7 / 8, abs=0.03)
    whole = network([4, 3], share=0.3).train(training)
    batch = Batch.from_data_list([path(300, seed) for seed in range(10)])
    hidden = whole.hide(batch)[0]
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    assert hidden[:, 0].double().mean().item() == pytest.approx(0.3, abs=0.06)


def test_training_draws_from_the_generator_of_torch():
    made, batch = network(3).train(), Batch.from_data_list([cloud(50)])
    torch.manual_seed(1)
    first = made.hide(batch)[0]
    assert not torch.equal(first, made.hide(batch)[0])
    torch.manual_seed(1)
    assert torch.equal(first, made.hide(batch)[0])


@pytest.mark.parametrize("bridge", [False, True])
def test_the_network_does_not_see_what_is_hidden(bridge):
    made, batch = network([4, 3], bridge=bridge).eval(), Batch.from_data_list([path(12, 1)])
    hidden = made.hide(batch)[0]
    assert hidden.any()
    other = copy.copy(batch)
    other.x = torch.where(hidden, (batch.x + 1) % 3, batch.x)
    # The same features are hidden, so that only their values differ.
    made.hide = lambda batch: (hidden, None)
    torch.testing.assert_close(made(other)[0], made(batch)[0], rtol=0, atol=0)
    assert not torch.equal(made(other)[1][hidden], made(batch)[1][hidden])


@pytest.mark.parametrize("training", [True, False])
def test_both_directions_of_an_edge_are_hidden_together(training):
    made = network([4, 3], bridge=True, edges=[3, 3], share=0.3).train(training)
    batch = Batch.from_data_list([bonds(60, seed) for seed in range(10)])
    nodes, edges = made.hide(batch)
    assert (nodes.shape, edges.shape) == ((600, 2), (1180, 2))
    directions = edges.view(10, 2, 59, 2)  # of each graph, one direction after the other
    assert torch.equal(directions[:, 0], directions[:, 1])
    assert torch.equal(edges[:, 0], edges[:, 1])
    assert edges[:, 0].double().mean().item() == pytest.approx(0.3, abs=0.08)
    # Which edges are hidden does not follow from which nodes are.
    first, second = nodes[batch.edge_index[0], 0], nodes[batch.edge_index[1], 0]
    for both in (first & second, ~first & ~second):
        assert edges[both, 0].double().mean().item() == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize("edges", [[3, 3], 2])
def test_tokens_of_edges_are_predicted_without_being_seen(edges):
    made = network([4, 3], bridge=True, edges=edges).eval()
    batch = Batch.from_data_list([bonds(12, seed, floats=edges == 2) for seed in range(3)])
    fit_masked(made, batch.x, batch.edge_attr)
    hidden = made.hide(batch)
    prediction, target = made(batch)
    assert prediction.shape == (36 + 66, 7 + (2 if edges == 2 else 6))
    assert torch.equal(target.isnan(), ~torch.block_diag(*hidden))
    scale = batch.edge_attr.double()
    if edges == 2:
        scale = (scale - scale.mean(0)) / scale.std(0, correction=0)
    torch.testing.assert_close(target[36:, 2:][hidden[1]], scale[hidden[1]])
    other = copy.copy(batch)
    other.edge_attr = torch.where(hidden[1], (batch.edge_attr + 1) % 3, batch.edge_attr)
    made.hide = lambda batch: hidden
    torch.testing.assert_close(made(other)[0], prediction, rtol=0, atol=0)
    seen = copy.copy(batch)
    seen.edge_attr = torch.where(hidden[1], batch.edge_attr, (batch.edge_attr + 1) % 3)
    assert not torch.allclose(made(seen)[0], prediction)


def test_edges_do_not_depend_on_the_order_and_the_batch():
    graphs = [bonds(9, seed) for seed in range(3)]
    made = network([4, 3], bridge=True, edges=[3, 3]).eval()
    prediction, target = made(Batch.from_data_list(graphs))
    generator = torch.Generator().manual_seed(5)
    for number, graph in enumerate(graphs):
        order, edge_order = torch.randperm(9, generator=generator), torch.randperm(16, generator=generator)
        moved = Data(
            x=graph.x[order],
            edge_index=torch.argsort(order)[graph.edge_index[:, edge_order]],
            edge_attr=graph.edge_attr[edge_order],
        )
        rows = torch.cat([9 * number + order, 27 + 16 * number + edge_order])
        for found, expected in zip(made(Batch.from_data_list([moved])), (prediction, target), strict=True):
            torch.testing.assert_close(found, expected[rows], rtol=1e-9, atol=1e-9, equal_nan=True)


def test_edges_without_features_are_named():
    made = network([4, 3], bridge=True, edges=[3, 3])
    with pytest.raises(DataError, match="edge_attr"):
        made(Batch.from_data_list([path(4)]))


def test_graphs_without_edges_have_tokens_of_nodes_only():
    lone = Data(x=torch.tensor([[1, 2]]), edge_index=torch.empty(2, 0, dtype=torch.long))
    lone.edge_attr = torch.empty(0, 2, dtype=torch.long)
    prediction, target = network([4, 3], bridge=True, edges=[3, 3]).eval()(Batch.from_data_list([lone]))
    assert prediction.shape == (1, 13)
    assert target.shape == (1, 4)


def test_the_reference_counts_nodes_and_edges():
    made = network([4, 3], bridge=True, edges=[3, 3])
    x, edge_attr = torch.tensor([[0, 0], [1, 0]]), torch.tensor([[0, 1], [0, 1], [1, 2], [1, 2]])
    assert fit_masked(made, x, edge_attr) == pytest.approx(3 * math.log(2) / 4)
    assert fit_masked(made, x) == pytest.approx(math.log(2) / 4)


def test_floats_are_predicted_in_units_of_their_deviation():
    made, batch = network(3).eval(), Batch.from_data_list([cloud(40)])
    reference = fit_masked(made, 5 + 3 * batch.x)
    torch.testing.assert_close(made.mean, (5 + 3 * batch.x).mean(0))
    batch.x = 5 + 3 * batch.x
    target = made(batch)[1]
    expected = (batch.x - batch.x.mean(0)) / batch.x.std(0, correction=0)
    known = ~target.isnan()
    torch.testing.assert_close(target[known], expected[known])
    assert reference == 1.0


def literal_loss(columns, pred, target):
    found = []
    for place, column in enumerate(columns):
        start = width_of(columns[:place])
        errors = []
        for row in range(len(target)):
            value = target[row, place]
            if value.isnan():
                continue
            if column is None:
                errors.append((pred[row, start] - value) ** 2)
            else:
                logits = pred[row, start : start + column]
                errors.append(logits.exp().sum().log() - logits[int(value)])
        if errors:
            found.append(sum(errors) / len(errors))
    return sum(found) / max(len(found), 1)


def example(columns, rows=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pred = torch.randn(rows, width_of(columns), dtype=torch.double, generator=generator)
    target = torch.stack(
        [torch.randint(0, column or 3, (rows,), generator=generator) for column in columns], 1
    ).double()
    return pred, target.masked_fill(torch.rand(target.shape, generator=generator) < 0.6, torch.nan)


@pytest.mark.parametrize("columns", [[4, None, 2], [None], [5]])
def test_the_loss_is_that_of_its_equation(columns):
    pred, target = example(columns)
    pred.requires_grad_()
    loss, expected = MaskedLoss(columns)(pred, target), literal_loss(columns, pred, target)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(loss, pred)[0], torch.autograd.grad(expected, pred)[0], rtol=1e-12, atol=1e-12
    )


def test_nothing_hidden_costs_nothing():
    pred, target = example([4, None])
    pred.requires_grad_()
    loss = MaskedLoss([4, None])(pred, target.fill_(torch.nan))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(pred.grad, torch.zeros_like(pred))


def test_the_loss_of_a_split_does_not_depend_on_its_batches():
    columns = [4, None, 2]
    pred, target = example(columns, rows=30)
    loss = MaskedLoss(columns)
    for sizes in ((30,), (1, 9, 20), (13, 17)):
        metric = MeanLoss(loss.average)
        for part, wanted in zip(pred.split(sizes), target.split(sizes), strict=True):
            metric.update(loss(part, wanted), part, wanted)
        assert metric.compute().item() == pytest.approx(loss(pred, target).item(), rel=1e-6)


def test_the_reference_is_the_loss_of_the_best_constant():
    made = network([4, 3])
    x = torch.tensor([[0, 0], [0, 1], [1, 1], [1, 1]])
    entropies = [math.log(2), -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))]
    assert fit_masked(made, x) == pytest.approx(sum(entropies) / 2)


@pytest.mark.parametrize("edges", [None, [3, 3]])
def test_other_networks_start_from_one_trained_without_labels(tmp_path, edges):
    bridge = edges is not None
    made = network([4, 3], seed=1, bridge=bridge, edges=edges).float()
    torch.manual_seed(2)
    new = BatchNetwork(SAMSA.from_options([4, 3], 2, edge_channels=edges, bridge=bridge, **SIZE))
    holder = nn.Module()
    holder.network = made
    source = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": holder.state_dict()}, source)
    # The head of another task is of no use, not even the layers of it that fit.
    assert start_from(new, source) == sorted(name for name in new.state_dict() if name.startswith("model.readout."))
    table = new.model.tokenizer.node_encoder.state_dict()
    for name, value in made.model.tokenizer.node_encoder.encoder.state_dict().items():
        assert torch.equal(table[name], value)
    if edges:
        table = new.model.tokenizer.edge_encoder.state_dict()
        for name, value in made.model.tokenizer.edge_encoder.encoder.state_dict().items():
            assert torch.equal(table[name], value)
    again = network([4, 3], seed=3, bridge=bridge, edges=edges).float()
    assert start_from(again, source) == []
    assert torch.equal(again.model.tokenizer.node_encoder.hidden, made.model.tokenizer.node_encoder.hidden)
