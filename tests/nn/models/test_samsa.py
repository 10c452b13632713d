from __future__ import annotations

import copy
import json
import types

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import ToSparseTensor

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.nn import SAMSA, AtomEncoder
from pyg_samsa.nn.models import samsa
from pyg_samsa.nn.pair_decoder import EDGE_DECODINGS

SMALL = {"channels": 16, "num_layers": 2, "heads": 4, "num_samples": 4}


def random_data(nodes: int, edges: int) -> Data:
    edge_index = torch.randint(0, max(nodes, 1), (2, edges if nodes else 0))
    return Data(
        x=torch.randint(0, 2, (nodes, 9)),
        edge_index=edge_index,
        edge_attr=torch.randint(0, 2, (edge_index.size(1), 3)),
        num_nodes=nodes,
    )


def molecules(**kwargs) -> SAMSA:
    torch.manual_seed(0)
    model = (
        SAMSA.from_options([119, 5, 12, 12, 10, 6, 6, 2, 2], 3, edge_channels=[5, 6, 2], **{**SMALL, **kwargs})
        .double()
        .eval()
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                parameter.fill_(0.7)
    return model


def run(model: SAMSA, data: Data) -> torch.Tensor:
    return model(
        data.x,
        data.edge_index,
        data.edge_attr,
        getattr(data, "batch", None),
        batch_size=getattr(data, "num_graphs", None),
    )


@pytest.mark.parametrize("level", ["graph", "node"])
@pytest.mark.parametrize("sampling", ["hard", "soft", "replacement"])
@pytest.mark.parametrize("pool", ["attention", "mean"])
def test_a_graph_does_not_see_its_batch_mates(level, sampling, pool):
    model = molecules(level=level, context=level == "node", sampling=sampling, pool=pool, num_eval_samples=2)
    graphs = [random_data(*size) for size in [(6, 12), (1, 0), (30, 80), (3, 0)]]
    together = run(model, Batch.from_data_list(graphs))
    torch.testing.assert_close(together, torch.cat([run(model, graph) for graph in graphs]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("level", ["graph", "node"])
def test_permuting_nodes_permutes_predictions(level):
    model = molecules(level=level)
    data = random_data(20, 50)
    perm, edge_perm = torch.randperm(20), torch.randperm(50)
    place = torch.empty_like(perm).scatter_(0, perm, torch.arange(20))
    shuffled = Data(
        x=data.x[perm], edge_index=place[data.edge_index][:, edge_perm], edge_attr=data.edge_attr[edge_perm]
    )
    expected = run(model, data)
    torch.testing.assert_close(
        run(model, shuffled), expected if level == "graph" else expected[perm], rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("edge_decoding", EDGE_DECODINGS)
@pytest.mark.parametrize("bridge", [True, False])
def test_pairs_follow_their_nodes_and_do_not_see_batch_mates(edge_decoding, bridge):
    torch.manual_seed(0)
    options = {**SMALL, "level": "link", "edge_decoding": edge_decoding, "bridge": bridge}
    if bridge:
        options["num_eval_samples"] = 2
    model = SAMSA.from_options([119, 5, 12, 12, 10, 6, 6, 2, 2], 1, **options).double().eval()
    for name, parameter in model.named_parameters():
        if name.endswith("alpha"):
            torch.nn.init.constant_(parameter, 0.7)
    graphs = [random_data(*size) for size in [(6, 12), (1, 0), (0, 0), (30, 80), (3, 0)]]
    pairs = [[(0, 5), (5, 0), (2, 2)], [(0, 0)], [], [(29, 3), (1, 28)], []]
    for graph, own in zip(graphs, pairs, strict=True):
        graph.edge_attr = None
        graph.edge_label_index = torch.tensor(own, dtype=torch.long).reshape(-1, 2).T
    batch = Batch.from_data_list(graphs)

    def run_pairs(data):
        named = {"batch": data.get("batch"), "batch_size": getattr(data, "num_graphs", None)}
        return model(data.x, data.edge_index, edge_label_index=data.edge_label_index, **named)

    together = run_pairs(batch)
    assert together.shape == (6, 1)
    alone = torch.cat([run_pairs(graph) for graph in graphs])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)
    perm = torch.randperm(batch.num_nodes)
    place = torch.argsort(perm)
    moved = copy.copy(batch)
    moved.x, moved.batch = batch.x[perm], batch.batch[perm]
    moved.edge_index, moved.edge_label_index = place[batch.edge_index], place[batch.edge_label_index]
    torch.testing.assert_close(run_pairs(moved), together, rtol=0, atol=1e-10)
    nothing = Batch.from_data_list([random_data(0, 0)])
    nothing.edge_attr, nothing.edge_label_index = None, torch.empty(2, 0, dtype=torch.long)
    assert run_pairs(nothing).shape == (0, 1)


def test_empty_graphs_in_a_batch():
    model = molecules()
    data = Batch.from_data_list([random_data(4, 6), random_data(5, 4)])
    batch = torch.tensor([1] * 4 + [3] * 5)
    out = model(data.x, data.edge_index, data.edge_attr, batch, batch_size=6)
    assert out.shape == (6, 3)
    torch.testing.assert_close(out[[1, 3]], run(model, data), rtol=0, atol=1e-10)
    assert torch.equal(out[0], out[5])


def test_shared_scalar_is_one_parameter_and_starts_at_zero():
    model = SAMSA.from_options(3, 1, bridge=False, **SMALL)
    assert [name for name, _ in model.named_parameters() if name.endswith("alpha")] == ["encoder.alpha"]
    assert model.encoder.alpha.item() == 0
    own = SAMSA.from_options(3, 1, bridge=False, rezero="own", **SMALL)
    assert [name for name, _ in own.named_parameters() if name.endswith("alpha")] == [
        "encoder.blocks.0.alpha",
        "encoder.blocks.1.alpha",
    ]


def test_without_bridge_it_is_a_set_network():
    model = SAMSA.from_options(3, 2, bridge=False, **SMALL).eval()
    x, batch = torch.randn(10, 3), torch.tensor([0] * 4 + [1] * 6)
    assert model(x, batch=batch).shape == (2, 2)
    tokens = model.encode(x, batch=batch.flip(0))
    assert tokens.x.shape == (10, 16)
    assert tokens.edge_rows is None


def test_mean_and_spread_over_draws():
    model = molecules(num_eval_samples=4)
    data = random_data(6, 10)
    mean, spread = model.predict_with_spread(data.x, data.edge_index, data.edge_attr)
    torch.testing.assert_close(run(model, data), mean)
    assert (spread > 0).all()
    model.num_eval_samples = 1
    assert not torch.allclose(run(model, data), mean)
    assert (model.predict_with_spread(data.x, data.edge_index, data.edge_attr)[1] == 0).all()


def test_own_encoder_module_and_missing_edges():
    model = SAMSA.from_options(AtomEncoder(16), 1, **SMALL).eval()
    assert model(torch.zeros(3, 9, dtype=torch.long)).shape == (1, 1)


def test_every_weight_learns_once_the_scalar_moved():
    model = molecules(sampling="soft").train()
    run(model, Batch.from_data_list([random_data(20, 40), random_data(9, 12)])).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_checkpointing_keeps_less_and_changes_nothing():
    batch = Batch.from_data_list([random_data(20, 40), random_data(9, 12)])
    kept, gradients = [], []
    for checkpointing in (False, True):
        torch.manual_seed(1)
        model = molecules(dropout=0.2, drop_path=0.2, checkpointing=checkpointing).train()
        with torch.no_grad():
            model.encoder.alpha.fill_(0.5)
        saved = 0

        def pack(tensor):
            nonlocal saved
            saved += tensor.numel()
            return tensor

        torch.manual_seed(2)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = run(model, batch).square().sum()
        kept.append(saved)
        out.backward()
        gradients.append([weight.grad for weight in model.parameters()])
    assert kept[1] < 0.7 * kept[0]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_bfloat16_autocast():
    model = molecules(dropout=0.1, drop_path=0.2).float().train()
    with torch.autocast("cpu", torch.bfloat16):
        out = run(model, Batch.from_data_list([random_data(20, 40), random_data(9, 12)]))
    out.float().sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_compiled_gives_the_same_result():
    model = molecules()
    compiled = torch.compile(model, backend="eager")  # blocks are compiled with gradients in test_block.py
    for size in (6, 9):
        data = Batch.from_data_list([random_data(size, 12), random_data(3, 2)])
        with torch.no_grad():
            torch.testing.assert_close(run(compiled, data), run(model, data), rtol=0, atol=1e-10)


def test_reset_parameters_draws_anew():
    model = molecules()
    with torch.no_grad():
        model.tokenizer.bridge.raw_sigma.fill_(3.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.reset_parameters()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    constant = {name for name in before if name.endswith("norm.weight")}
    assert changed == set(before) - constant


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: SAMSA.from_options(0, 1), ConfigError, "in_channels"),
        (lambda: SAMSA.from_options("atom", 1), ConfigError, "in_channels"),
        (lambda: SAMSA.from_options([3, 0], 1), ConfigError, "cardinalities"),
        (lambda: SAMSA.from_options(3, 0), ConfigError, "out_channels"),
        (lambda: SAMSA.from_options(3, 1, num_layers=0), ConfigError, "num_layers"),
        (lambda: SAMSA.from_options(3, 1, level="edge"), ConfigError, "level"),
        (lambda: SAMSA.from_options(3, 1, pool="max"), ConfigError, "pool"),
        (lambda: SAMSA.from_options(3, 1, drop_path=1.0), ConfigError, "drop_path"),
        (lambda: SAMSA.from_options(3, None, **SMALL)(torch.randn(2, 3)), ConfigError, "readout"),
        (lambda: SAMSA.from_options(3, 1, **SMALL)(torch.randn(2, 4)), ShapeError, "x"),
        (lambda: SAMSA.from_options(3, 1, **SMALL)(None), ShapeError, "x"),
        (lambda: SAMSA.from_options(3, 1, **SMALL)((torch.randn(2, 3), torch.randn(1, 3))), ShapeError, "x"),
        (lambda: SAMSA.from_options(3, 1, **SMALL)(random_data(2, 2)), ShapeError, "x"),
        (
            lambda: SAMSA.from_options(3, 1, **SMALL)(torch.full((1, 3), 1e300, dtype=torch.float64)),
            NumericalError,
            "x",
        ),
        (lambda: SAMSA.from_options(3, 1, **SMALL)(torch.ones(2, 3), torch.zeros(2).long()), ShapeError, "edge_index"),
        (lambda: SAMSA.from_options(3, 1, attention_options={"support": 2}), ConfigError, "support"),
        (lambda: SAMSA(None, None), ConfigError, "tokenizer"),
        (lambda: SAMSA(molecules().tokenizer, molecules().encoder, "mean"), ConfigError, "readout"),
        (
            lambda: SAMSA.from_options(3, 1, **SMALL)(
                torch.ones(3, 3), torch.tensor([[0], [1]]), torch.zeros(3).long()
            ),
            ShapeError,
            "edge_attr",
        ),
        (lambda: SAMSA.from_options(3, 1, **SMALL)(torch.tensor([[1.0, float("nan"), 0.0]])), NumericalError, "x"),
        (
            lambda: SAMSA.from_options(3, 1, **SMALL)(torch.randn(2, 3), torch.tensor([[0.5], [1.0]])),
            ShapeError,
            "edge_index",
        ),
        (
            lambda: SAMSA.from_options(3, 1, edge_channels=2, **SMALL)(torch.randn(2, 3), torch.tensor([[0], [1]])),
            ShapeError,
            "edge_attr",
        ),
        (
            lambda: SAMSA.from_options(3, 1, edge_channels=2, **SMALL)(
                torch.randn(2, 3), torch.tensor([[0], [1]]), torch.randn(2, 2)
            ),
            ShapeError,
            "edge_attr",
        ),
        (
            lambda: SAMSA.from_options([4], 1, **SMALL)(torch.tensor([[4]])),
            ShapeError,
            "categorical feature 0 of row 0",
        ),
        (
            lambda: SAMSA.from_options(3, 1, **SMALL)(torch.randn(0, 3), batch=torch.empty(0, dtype=torch.long)),
            ShapeError,
            "batch",
        ),
    ],
)
def test_bad_input_is_named(call, error, name):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(f"{name}:")


def test_positions_tell_places_and_follow_their_nodes():
    model = SAMSA.from_options([5], 3, bridge=False, positions="sinusoidal", **SMALL).double().eval()
    with torch.no_grad():
        model.encoder.alpha.fill_(0.7)
    x, batch, perm = (
        torch.randint(0, 5, (9, 1)),
        torch.tensor([0] * 4 + [1] * 5),
        torch.tensor([4, 0, 5, 1, 6, 2, 7, 3, 8]),
    )
    out = model(x, batch=batch)
    torch.testing.assert_close(
        model(x[perm], batch=batch[perm]), out
    )  # dealt like cards: the order within each sequence is the same
    assert not torch.allclose(model(x.flip(0), batch=batch.flip(0).sort().values)[0], out[1])
    plain = SAMSA.from_options([5], 3, bridge=False, **SMALL).double().eval()
    torch.testing.assert_close(plain(x[:4].flip(0)), plain(x[:4]))


def test_context_and_categories_reach_every_node():
    model = (
        SAMSA.from_options(3, 4, bridge=False, level="node", context=True, num_categories=3, **SMALL).double().eval()
    )
    x, batch = torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    out = model(x, batch=batch, category=torch.tensor([0, 2]))
    assert out.shape == (7, 4)
    changed = model(x, batch=batch, category=torch.tensor([1, 2]))
    assert not torch.isclose(changed[:3], out[:3]).all(1).any()
    torch.testing.assert_close(changed[3:], out[3:])
    with pytest.raises(ShapeError, match="category"):
        model(x, batch=batch)
    with pytest.raises(ConfigError, match="context"):
        SAMSA.from_options(3, 4, context=True, **SMALL)
    with pytest.raises(ConfigError, match="towers"):
        SAMSA.from_options(3, 4, level="node", towers=2, **SMALL)


def test_interaction_of_two_towers():
    model = SAMSA.from_options(3, 4, bridge=False, towers=2, interaction="nli", **SMALL).double().eval()
    x, batch = torch.randn(9, 3, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3])
    tokens = model.encode(x, None, None, batch)
    pooled = model.readout.pool(tokens.x, tokens.index.batch, dim_size=4)
    pairs = [torch.cat([a, b, a * b, (a - b).abs()]) for a, b in (pooled[:2], pooled[2:])]
    torch.testing.assert_close(model(x, batch=batch), model.readout.head(torch.stack(pairs)))
    with pytest.raises(ConfigError, match="interaction"):
        SAMSA.from_options(3, 4, interaction="nli", **SMALL)
    with pytest.raises(ConfigError, match="interaction"):
        SAMSA.from_options(3, 4, towers=2, interaction="sum", **SMALL)


@pytest.mark.parametrize("level", ["graph", "node"])
def test_normalised_readouts(level):
    torch.manual_seed(0)
    model = SAMSA.from_options(3, 2, bridge=False, level=level, head_norm="batch", **SMALL)
    x, batch = torch.randn(9, 3), torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3])
    together = model(x, batch=batch)
    assert not torch.allclose(
        model(x[:5], batch=batch[:5]), together[: 5 if level == "node" else 2]
    )  # training sees the batch
    model.eval()
    out = model(x, batch=batch)
    torch.testing.assert_close(model(x[:5], batch=batch[:5]), out[: 5 if level == "node" else 2])  # evaluation does not
    again = copy.deepcopy(model)
    again.reset_parameters()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x, batch=batch), out)
    with pytest.raises(ConfigError, match="head_norm"):
        SAMSA.from_options(3, 2, head_norm="rows", **SMALL)


def test_towers_read_consecutive_graphs_together():
    model = SAMSA.from_options(3, 4, bridge=False, towers=2, **SMALL).double().eval()
    x, batch = torch.randn(9, 3, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, 3])
    out = model(x, batch=batch)
    assert out.shape == (2, 4)
    torch.testing.assert_close(model(x[5:], batch=batch[5:] - 2), out[1:])
    with pytest.raises(ShapeError, match="towers"):
        model(x[:6], batch=batch[:6])


def floats(bridge=True):
    torch.manual_seed(0)
    return SAMSA.from_options(1, 2, edge_channels=1, bridge=bridge, local="gine", **SMALL).eval()


@pytest.mark.parametrize("bridge", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_floats_of_another_type_give_the_same(bridge, dtype):
    x, edges, attr = torch.tensor([[0.1], [-2.0], [3.0]]), torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0.3], [1.0]])
    x, attr, model = x.to(dtype), attr.to(dtype), floats(bridge)
    expected = model(x.float(), edges, attr.float())
    assert torch.equal(model(x, edges, attr), expected)
    assert torch.equal(model(x.flatten(), edges, attr.flatten()), expected)


@pytest.mark.parametrize("bridge", [True, False])
def test_a_sparse_matrix_takes_the_place_of_the_edges(bridge):
    graph = Data(
        x=torch.randn(4, 1), edge_index=torch.tensor([[0, 1, 2, 0], [1, 0, 3, 2]]), edge_attr=torch.randn(4, 1)
    )
    model = floats(bridge)
    expected = model(graph.x, graph.edge_index, graph.edge_attr)
    other = ToSparseTensor()(graph.clone())
    torch.testing.assert_close(model(other.x, other.adj_t, other.edge_attr), expected)
    values = ToSparseTensor(attr="edge_attr")(graph.clone().update({"edge_attr": graph.edge_attr.flatten()}))
    torch.testing.assert_close(model(values.x, values.adj_t), expected)


def test_numbers_of_numpy_are_those_of_python():
    given = {"heads": np.int64(4), "dropout": np.float64(0.1), "bridge": np.True_, "attention": np.str_("samsa")}
    model = SAMSA.from_options(np.array([3, 2]), np.int64(1), edge_channels=np.int64(2), **given, channels=np.int32(16))
    assert json.loads(json.dumps(model.options))["in_channels"] == [3, 2]
    assert all(type(value) in (int, float, bool, str, list) for value in model.options.values())


@pytest.mark.parametrize("options", [{}, {"bridge": False}, {"head_norm": "batch"}, {"pool": "mean"}])
def test_many_empty_graphs_change_nothing(options):
    torch.manual_seed(0)
    model = SAMSA.from_options(3, 2, **SMALL, **options).eval()
    with torch.no_grad():
        model.encoder.alpha.fill_(0.5)
    x, edges = torch.randn(5, 3), torch.tensor([[0, 1, 3], [1, 0, 4]])
    alone = model(x, edges, batch=torch.tensor([0, 0, 0, 1, 1]), batch_size=3)
    far = model(x, edges, batch=torch.tensor([7, 7, 7, 40, 40]), batch_size=50)
    torch.testing.assert_close(far[[7, 40]], alone[:2])
    empty = [graph for graph in range(50) if graph not in (7, 40)]
    torch.testing.assert_close(far[empty], alone[2:].expand(48, -1))
    nothing = model(x[:0], batch=torch.empty(0, dtype=torch.long), batch_size=9)
    torch.testing.assert_close(nothing, alone[2:].expand(9, -1))
    model.train()(x, edges, batch=torch.tensor([7, 7, 7, 40, 40]), batch_size=50).sum().backward()
    assert all(weight.grad is not None for weight in model.readout.head.parameters())


def test_a_million_empty_graphs_cost_next_to_nothing():
    model = SAMSA.from_options(3, 1, channels=64, num_layers=1, heads=4, num_samples=32).eval()
    shapes = []
    model.encoder.blocks[0].conv.score.register_forward_hook(lambda *call: shapes.append(call[2].shape))
    model.readout.head.register_forward_hook(lambda module, given, out: shapes.append(out.shape))
    with torch.no_grad():
        out = model(torch.randn(2, 3), batch=torch.tensor([5, 999_999]), batch_size=1_000_000)
    assert out.shape == (1_000_000, 1)
    assert shapes[-1] == (3, 1)


@pytest.mark.parametrize(
    ("pe_channels", "role", "given"),
    [
        (0, "add", {"length": 2}),
        (3, "add", {"length": 2, "pe_channels": 3}),
        (3, "gate", {"length": 2, "pe_channels": 3, "pe_role": "gate"}),
    ],
)
def test_added_tokenizers_are_told_of_encodings_if_there_are_some(monkeypatch, pe_channels, role, given):
    seen = []
    monkeypatch.setattr(samsa, "make_tokenizer", lambda *_, **options: seen.append(options))
    options = {"tokenizer": "mine", "tokenizer_options": {"length": 2}, "channels": 8, "flip_signs": False}
    samsa._make_tokenizer(
        3, None, types.SimpleNamespace(**options, pe_channels=pe_channels, pe_role=role, pe_options=None)
    )
    assert seen == [given | ({"flip_signs": False} if pe_channels else {})]


@pytest.mark.parametrize(
    ("options", "encodes"),
    [({"bridge": False}, False), ({"bridge": False, "local": "gine"}, True), ({"bridge": True}, True)],
)
def test_features_of_edges_are_encoded_where_they_are_used(options, encodes):
    model = SAMSA.from_options([4], 1, edge_channels=3, **SMALL, **options)
    assert (model.tokenizer.edge_encoder is not None) is encodes
    edges = torch.tensor([[0, 1], [1, 0]])
    x, attr = torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 3)
    assert model(x, edges, attr).shape == (1, 1)
    if encodes:
        with pytest.raises(ShapeError, match="edge_attr"):
            model(x, edges)
    else:
        assert torch.equal(model.eval()(x, edges), model(x, edges, attr))
