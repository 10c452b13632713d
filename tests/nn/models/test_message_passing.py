import pytest
import torch
from torch_geometric.nn import GCNConv, GINEConv, ResGatedGraphConv
from torch_geometric.nn.attention import PerformerAttention
from torch_geometric.utils import to_undirected

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.shortest_paths import batch_paths, edge_types
from pyg_samsa.nn import num_parameters
from pyg_samsa.nn.encoding.graphormer_encoding import GraphormerEncoding
from pyg_samsa.nn.models.gnn_blocks import _MaskedPerformer
from pyg_samsa.nn.models.message_passing import GNN, LAYERS
from pyg_samsa.nn.pair_decoder import EDGE_DECODINGS

KINDS = [
    {"layer": "gcn"},
    {"layer": "gcnii"},
    {"layer": "gine"},
    {"layer": "gatedgcn"},
    {"layer": "mlp"},
    {"layer": "gps", "local": "gine"},
    {"layer": "gps", "local": "gatedgcn", "norm": "layer"},
    {"layer": "gps", "attention": "performer"},
    {"layer": "gps", "attention": "biased", "use_graph_token": True},
    {"layer": "san", "gamma": 0.1},
    {"layer": "san", "full_graph": False, "norm": "layer", "residual": False},
    {"layer": "san2"},
    {"layer": "graphormer", "use_graph_token": False},
    {"layer": "graphormer", "use_graph_token": True, "final_norm": True},
    {"layer": "gine", "pe_role": "gate"},
    {"layer": "gatedgcn", "pe_role": "mapped_gate"},
    {"layer": "gatedgcn", "pe_role": "gate", "update_edges": True},
    {"layer": "gps", "local": "gine", "pe_role": "mapped_gate"},
    {"layer": "gps", "local": "gatedgcn", "pe_role": "mapped_gate", "update_edges": True},
    {"layer": "gps", "local": "gine", "attention": "biased", "use_graph_token": True, "pe_role": "gate"},
]
NAMES = ["gcn", "gcnii", "gine", "gatedgcn", "mlp", "gps", "gps-gated", "gps-performer", "gps-biased"]
NAMES += ["san", "san-sparse", "san2", "graphormer", "graphormer-token"]
NAMES += ["gine-gates", "gatedgcn-gates", "edges-gates", "gps-gates", "gps-edges-gates", "biased-gates"]
GATED = [options for options in KINDS if "pe_role" in options]
WITH_PATHS = [options for options in KINDS if "use_graph_token" in options]
SIZES = [5, 0, 1, 7, 3]


def graphs(sizes=SIZES, seed=0):
    """Random graphs side by side; the fourth has no edges, the last node of the first is isolated."""
    generator = torch.Generator().manual_seed(seed)
    parts, start = [], 0
    for number, size in enumerate(sizes):
        if size > 1 and number != 3:
            ends = torch.randint(0, size - 1, (2, 2 * size), generator=generator)
            parts.append(to_undirected(ends[:, ends[0] != ends[1]]) + start)
        start += size
    edge_index = torch.cat(parts, 1)
    batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    x = torch.randn(start, 3, generator=generator)
    edge_attr = torch.randint(0, 4, (edge_index.size(1), 2), generator=generator)
    return {
        "x": x,
        "edge_index": edge_index,
        "edge_attr": edge_attr,
        "batch": batch,
        "batch_size": len(sizes),
        "pe": torch.randn(start, 4, generator=generator),
    }


def network(double=True, outputs=2, **options):
    torch.manual_seed(0)
    options = {"edge_channels": [4, 4], "channels": 8, "num_layers": 2, "pe_channels": 4, **options}
    if options.get("layer") in ("gps", "graphormer", "san", "san2"):
        options.setdefault("heads", 2)
    biased = options.get("layer") == "graphormer" or options.get("attention") == "biased"
    if biased and "structure" not in options:
        token = options.pop("use_graph_token", True)
        kinds = options["edge_channels"]
        options["structure"] = GraphormerEncoding(8, 2, num_spatial_types=4, edge_types=kinds, use_graph_token=token)
        torch.nn.init.normal_(options["structure"].spatial.weight)
        if token and options.get("level", "graph") == "graph":
            options["pool"] = "graph_token"
    model = GNN(3, outputs, **options)
    return model.double() if double else model


def call(model, inputs, **changes):
    inputs = {**inputs, **changes}
    return model(
        **{
            key: value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
            for key, value in inputs.items()
        }
    )


def one_graph(inputs, number):
    nodes = (inputs["batch"] == number).nonzero().flatten()
    kept = torch.isin(inputs["edge_index"][0], nodes)
    start = int(nodes[0]) if len(nodes) else 0
    edges = inputs["edge_index"][:, kept] - start
    return {
        "x": inputs["x"][nodes],
        "edge_index": edges,
        "edge_attr": inputs["edge_attr"][kept],
        "pe": inputs["pe"][nodes],
    }


def trained(model, inputs):
    """One pass in training mode moves the statistics of batch norm away from their start."""
    model.train()
    call(model, inputs)
    return model.eval()


@pytest.mark.parametrize("level", ["graph", "node"])
@pytest.mark.parametrize("options", KINDS, ids=NAMES)
def test_evaluation_does_not_depend_on_batch_mates(options, level):
    inputs = graphs()
    model = trained(network(level=level, **options), inputs)
    together = call(model, inputs)
    for number, size in enumerate(SIZES):
        alone = call(model, one_graph(inputs, number))
        rows = slice(number, number + 1) if level == "graph" else (inputs["batch"] == number)
        assert alone.shape == ((1, 2) if level == "graph" else (size, 2))
        torch.testing.assert_close(alone, together[rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("level", ["graph", "node"])
@pytest.mark.parametrize("options", KINDS, ids=NAMES)
def test_node_order_does_not_matter(options, level):
    inputs = graphs()
    model = trained(network(level=level, **options), inputs)
    perm = torch.randperm(sum(SIZES), generator=torch.Generator().manual_seed(1))
    place = torch.argsort(perm)
    moved = call(
        model,
        inputs,
        x=inputs["x"][perm],
        pe=inputs["pe"][perm],
        batch=inputs["batch"][perm],
        edge_index=place[inputs["edge_index"]],
    )
    expected = call(model, inputs)
    torch.testing.assert_close(moved, expected if level == "graph" else expected[perm], rtol=0, atol=1e-12)


@pytest.mark.parametrize("edge_decoding", EDGE_DECODINGS)
@pytest.mark.parametrize("options", KINDS, ids=NAMES)
def test_pairs_follow_their_nodes_and_do_not_see_batch_mates(options, edge_decoding):
    inputs = graphs()
    pairs = torch.tensor([[0, 4, 6, 7, 13, 5], [3, 4, 12, 6, 15, 5]])
    model = network(outputs=1, level="link", edge_decoding=edge_decoding, **options)
    assert model.inputs - {"paths"} == {"pe", "edge_label_index"}
    model.train()
    call(model, inputs, edge_label_index=pairs)
    model.eval()
    expected = call(model, inputs, edge_label_index=pairs)
    assert expected.shape == (6, 1)
    perm = torch.randperm(sum(SIZES), generator=torch.Generator().manual_seed(1))
    place = torch.argsort(perm)
    moved = {name: inputs[name][perm] for name in ("x", "pe", "batch")}
    moved |= {"edge_index": place[inputs["edge_index"]], "edge_label_index": place[pairs]}
    torch.testing.assert_close(call(model, inputs, **moved), expected, rtol=0, atol=1e-12)
    for number in range(len(SIZES)):
        rows = inputs["batch"][pairs[0]] == number
        own = pairs[:, rows] - sum(SIZES[:number])
        alone = call(model, {**one_graph(inputs, number), "edge_label_index": own})
        torch.testing.assert_close(alone, expected[rows], rtol=0, atol=1e-12)
    assert call(model, inputs, edge_label_index=pairs[:, :0]).shape == (0, 1)
    with pytest.raises(ShapeError, match=r"the pair \(0, 6\)"):
        call(model, inputs, edge_label_index=torch.tensor([[0], [6]]))


@pytest.mark.parametrize("options", KINDS, ids=NAMES)
def test_gradients_are_finite_and_reach_every_weight(options):
    inputs = graphs()
    model = network(**options)
    call(model, inputs).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert bool(weight.grad.isfinite().all()), name


@pytest.mark.parametrize("options", KINDS, ids=NAMES)
def test_gradients_of_the_inputs(options):
    # Batch norm in evaluation mode and no ReLU kinks: finite differences agree.
    inputs = graphs([4, 0, 2])
    model = trained(network(activation="silu", **options), inputs)
    x = inputs["x"].double().requires_grad_()
    # GINE itself has a ReLU; a point of these is not on its kink.
    assert torch.autograd.gradcheck(lambda x: call(model, inputs, x=x), (x,), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("options", KINDS[: -len(GATED)], ids=NAMES[: -len(GATED)])
def test_no_edges_no_features_of_edges_no_nodes(options):
    x = torch.randn(4, 3).double()
    model = network(pe_channels=0, **options).eval()
    nothing = model(x, batch=torch.tensor([0, 0, 2, 2]), batch_size=4)
    none_either = model(
        x,
        torch.empty(2, 0, dtype=torch.long),
        torch.empty(0, 2, dtype=torch.long),
        torch.tensor([0, 0, 2, 2]),
        batch_size=4,
    )
    assert torch.equal(nothing, none_either)
    assert torch.equal(nothing[1], nothing[3])
    empty = model.train()(x[:0], batch=torch.empty(0, dtype=torch.long), batch_size=2)
    assert empty.shape == (2, 2)
    plain = network(pe_channels=0, edge_channels=None, **options).train()
    assert bool(plain(x, torch.tensor([[0, 1], [1, 0]])).isfinite().all())
    assert plain(x[:1]).shape == (1, 2)


@pytest.mark.parametrize("layer", ["gcn", "gine", "gatedgcn"])
def test_a_layer_is_conv_norm_activation_and_residual(layer):
    inputs = graphs()
    model = trained(network(layer=layer, num_layers=1, level="node", pe_channels=0), inputs)
    h = model.node_encoder(inputs["x"].double())
    conv, norm = model.layers[0].conv.conv, model.layers[0].norm
    assert isinstance(conv, {"gcn": GCNConv, "gine": GINEConv, "gatedgcn": ResGatedGraphConv}[layer])
    edges = () if layer == "gcn" else (model.edge_encoder(inputs["edge_attr"]),)
    after = h + torch.relu(norm(conv(h, inputs["edge_index"], *edges)))
    hidden, out = model.head.lins
    expected = out(torch.relu(hidden(after)))
    torch.testing.assert_close(call(model, inputs), expected, rtol=0, atol=1e-12)
    plain = trained(
        network(layer=layer, num_layers=1, level="node", pe_channels=0, residual=False, norm="none"), inputs
    )
    plain.load_state_dict(model.state_dict(), strict=False)
    expected = out(torch.relu(hidden(torch.relu(conv(h, inputs["edge_index"], *edges)))))
    torch.testing.assert_close(call(plain, inputs), expected, rtol=0, atol=1e-12)


def test_gcnii_leads_to_the_encoded_nodes():
    """Against the equation with a dense adjacency matrix."""
    inputs = graphs()
    model = trained(network(layer="gcnii", num_layers=3, level="node", norm="none"), inputs)
    count = len(inputs["x"])
    dense = torch.zeros(count, count, dtype=torch.double)
    for source, target in inputs["edge_index"].T.tolist():
        dense[target, source] += 1
    dense += torch.eye(count)
    scale = dense.sum(1).rsqrt()
    dense = scale[:, None] * dense * scale
    graph = inputs["batch"]
    h = first = model.node_encoder(inputs["x"].double()) + model.pe_encoder(inputs["pe"].double(), graph, len(SIZES))
    for layer in model.layers:
        h = h + torch.relu((0.8 * dense @ h + 0.2 * first) @ layer.conv.conv.weight1)
    torch.testing.assert_close(call(model, inputs), model.head(h), rtol=0, atol=1e-12)


def test_the_network_of_nodes_alone_reads_no_edges():
    inputs = graphs()
    model = trained(network(layer="mlp", level="node"), inputs)
    none = {"edge_index": None, "edge_attr": None}
    torch.testing.assert_close(call(model, inputs, **none), call(model, inputs), rtol=0, atol=0)


def test_edge_features_count_except_for_gcn():
    inputs = graphs()
    for layer in LAYERS:
        model = network(layer=layer).eval()
        changed = (inputs["edge_attr"] + 1) % 4
        same = torch.allclose(call(model, inputs), call(model, inputs, edge_attr=changed))
        assert same == (layer in ("gcn", "gcnii", "mlp")), layer


def test_performer_is_that_of_pyg_without_its_padding():
    ours, theirs = _MaskedPerformer(8, 2), PerformerAttention(8, 2)
    theirs.load_state_dict(ours.state_dict())
    x, real = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    torch.testing.assert_close(ours(x, real), theirs(x, real))
    padded, mask = torch.cat([x, torch.randn(2, 40, 8)], 1), torch.cat([real, torch.zeros(2, 40, dtype=torch.bool)], 1)
    torch.testing.assert_close(ours(padded, mask)[:, :5], ours(x, real))


def test_residuals_carry_the_node_itself_through_dropout():
    model = network(layer="gcn", dropout=0.999, pe_channels=0, num_layers=8).train()
    inputs = graphs()
    h = model.encode(inputs["x"].double(), inputs["edge_index"], batch=inputs["batch"])
    assert (
        torch.corrcoef(torch.stack([h.flatten(), model.node_encoder(inputs["x"].double()).flatten()]))[0, 1].abs()
        > 0.05
    )


@pytest.mark.parametrize(
    ("pool", "oracle"), [("mean", lambda h: h.mean(0)), ("add", lambda h: h.sum(0)), ("max", lambda h: h.amax(0))]
)
def test_pooling(pool, oracle):
    inputs = graphs()
    model = trained(network(pool=pool), inputs)
    h = model.encode(**{key: value.double() if key in ("x", "pe") else value for key, value in inputs.items()})
    rows = [h[inputs["batch"] == number] for number in range(len(SIZES))]
    pooled = torch.stack([oracle(row) if len(row) else torch.zeros(8).double() for row in rows])
    torch.testing.assert_close(call(model, inputs), model.head(pooled), rtol=0, atol=1e-12)


def test_signs_are_flipped_in_training_only_by_graph_and_column():
    inputs = graphs()
    model = network(flip_signs=True, norm="none", num_layers=1)
    model.pe_encoder.norm = torch.nn.Identity()
    seen = []
    model.pe_encoder.lin.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    torch.manual_seed(0)
    model.train()
    for _ in range(8):
        call(model, inputs)
    signs = torch.stack(seen) / inputs["pe"].double()
    assert torch.allclose(signs.abs(), torch.ones_like(signs))
    for number, size in enumerate(SIZES):
        of_graph = signs[:, inputs["batch"] == number]
        if size:
            assert torch.equal(of_graph, of_graph[:, :1].expand_as(of_graph))
            assert 0 < int((of_graph[:, 0] > 0).sum()) < of_graph[:, 0].numel()
    model.eval()
    call(model, inputs)
    assert torch.equal(seen[-1], inputs["pe"].double())


def test_the_head_sees_features_of_graphs():
    inputs = graphs()
    model = trained(network(graph_channels=3, head_layers=3), inputs | {"graph_features": torch.randn(len(SIZES), 3)})
    assert model.inputs == {"pe", "graph_features"}
    features = torch.randn(len(SIZES), 3, dtype=torch.float64)
    seen = []
    model.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    out = call(model, inputs, graph_features=features)
    pooled, encoded = seen[0].chunk(2, dim=1)
    torch.testing.assert_close(encoded, model.graph_features(features), rtol=0, atol=0)
    other = call(model, inputs, graph_features=features + 1)
    torch.testing.assert_close(seen[1][:, : pooled.size(1)], pooled, rtol=0, atol=0)
    assert bool((other != out).all())


def test_what_does_not_fit_is_named():
    inputs = graphs()
    with pytest.raises(ShapeError, match="pe"):
        call(network(), inputs, pe=None)
    with pytest.raises(ShapeError, match="edge_attr"):
        call(network(layer="gine"), inputs, edge_attr=None)
    with pytest.raises(ShapeError, match="edge_attr"):
        call(network(layer="gine"), inputs, edge_attr=inputs["edge_attr"][1:])
    for options, given in (
        ({}, torch.ones(len(SIZES), 2)),
        ({"graph_channels": 3}, None),
        ({"level": "node"}, torch.ones(1, 1)),
    ):
        with pytest.raises(ShapeError, match="graph_features"):
            call(network(**options), inputs, graph_features=given)
    with pytest.raises(NumericalError, match="pe"):
        call(network(), inputs, pe=inputs["pe"] * float("nan"))
    for options in (
        {"layer": "gin"},
        {"layer": "gps", "channels": 9},
        {"dropout": 1.0},
        {"num_layers": 0},
        {"pool": "sum"},
        {"layer": "gps", "attention": "flash"},
        {"layer": "gine", "mlp_dropout": 0.1},
        {"layer": "gine", "full_graph": False},
        {"layer": "san2", "gamma": 0.1},
        {"layer": "san", "full_graph": False, "gamma": 0.1},
        {"layer": "san", "gamma": -0.1},
        {"layer": "san", "attn_dropout": 0.1},
        {"layer": "gine", "structure": GraphormerEncoding(8, 2)},
        {"layer": "graphormer", "structure": None},
        {"layer": "graphormer", "structure": GraphormerEncoding(8, 4)},
        {"layer": "gps", "attention": "biased", "structure": None},
        {"layer": "gps", "attention": "biased", "structure": GraphormerEncoding(8, 2, node_degrees_only=True)},
        {"layer": "graphormer", "norm": "layer"},
        {"layer": "graphormer", "norm": "batch"},
        {"layer": "graphormer", "norm": "none"},
        {"norm": "group"},
        {"pool": "graph_token"},
        {"layer": "gine", "heads": 2},
        {"layer": "gps", "residual": False},
        {"level": "node", "pool": "add"},
        {"level": "node", "graph_channels": 2},
        {"graph_channels": -1},
        {"pe_channels": 0, "flip_signs": True},
    ):
        with pytest.raises(ConfigError, match=next(reversed(options))):
            network(**options)


@pytest.mark.parametrize("options", WITH_PATHS, ids=lambda options: options["layer"])
def test_paths_may_be_computed_before(options):
    inputs = graphs()
    model = trained(network(level="node", **options), inputs)
    index = RaggedIndex.from_sizes(SIZES)
    paths = batch_paths(inputs["edge_index"], index, 4, edge_types(inputs["edge_attr"], [4, 4]))
    assert "paths" in model.inputs
    torch.testing.assert_close(call(model, inputs, paths=paths), call(model, inputs), rtol=0, atol=0)
    wrong = paths.clone()
    wrong[:, 0] = 0
    assert not torch.allclose(call(model, inputs, paths=wrong), call(model, inputs))


def test_pairs_without_an_edge_share_one_vector():
    model = network(layer="san", gamma=0.5, num_layers=3)
    assert [name for name, _ in model.named_parameters() if "features" in name] == ["other_pairs.features"]
    inputs = graphs()
    model.eval()
    before = call(model, inputs)
    with torch.no_grad():
        model.other_pairs.features.mul_(-1)
    assert not torch.allclose(call(model, inputs), before)


def test_graphormer_is_its_parts():
    """The encoding, the layers, a norm, the graph token and one linear layer."""
    inputs = graphs()
    model = trained(network(layer="graphormer", final_norm=True, head_layers=1, pe_channels=0), inputs)
    index = RaggedIndex.from_sizes(SIZES)
    h, tokens, _, bias = model.structure(
        model.node_encoder(inputs["x"].double()), inputs["edge_index"], index, inputs["edge_attr"]
    )
    for layer in model.layers:
        h = layer(h, tokens, bias)
    expected = model.head.lins[0](model.final_norm(h)[tokens.ptr[:-1]])
    torch.testing.assert_close(call(model, inputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize("options", [{"layer": "graphormer"}, {"layer": "gps", "attention": "biased"}], ids=str)
def test_degrees_and_dropout_do_not_act_on_encodings_that_are_concatenated(options, token):
    torch.manual_seed(0)
    structure = GraphormerEncoding(5, 2, num_spatial_types=4, edge_types=[4, 4], use_graph_token=token)
    model = network(pe_options={"channels": 3}, structure=structure, **options)
    inputs, order = graphs(), torch.randperm(sum(SIZES))
    place = order.argsort()
    mixed = {**inputs, "edge_index": place[inputs["edge_index"]]}
    mixed |= {name: inputs[name][order] for name in ("x", "pe", "batch")}
    seen = []
    model.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    torch.testing.assert_close(call(model.eval(), mixed), call(model, inputs), rtol=0, atol=1e-12)
    expected, begin = [], 0
    features = model.node_encoder(inputs["x"].double())
    encodings = model.pe_encoder(inputs["pe"].double(), inputs["batch"], len(SIZES))
    for size in SIZES:
        expected += [torch.cat([structure.graph_token, torch.zeros(3).double()])] if token else []
        for node in range(begin, begin + size):
            out, into = (int((inputs["edge_index"][end] == node).sum()) for end in (0, 1))
            degrees = structure.in_degree.weight[into] + structure.out_degree.weight[out]
            expected.append(torch.cat([features[node] + degrees, encodings[node]]))
        begin += size
    torch.testing.assert_close(seen[1], torch.stack(expected), rtol=0, atol=1e-12)
    structure.dropout.p = 0.999999
    structure.train()
    call(model, inputs)
    dropped = torch.stack(expected)
    dropped[:, :5] = 0
    torch.testing.assert_close(seen[2], dropped, rtol=0, atol=1e-12)


def test_added_encodings_come_before_degrees_and_dropout():
    model, inputs, seen = network(layer="graphormer"), graphs(), []
    model.structure.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    call(model.eval(), inputs)
    encodings = model.pe_encoder(inputs["pe"].double(), inputs["batch"], len(SIZES))
    torch.testing.assert_close(seen[0], model.node_encoder(inputs["x"].double()) + encodings, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", ["gcn", "gps", "san"])
def test_layers_have_batch_norms_if_nothing_is_said(layer):
    def norms(**options):
        return [type(part).__name__ for part in network(layer=layer, **options).layers.modules()]

    assert norms() == norms(norm="batch") != norms(norm="layer")


@pytest.mark.parametrize("layer", ["graphormer", "san", "san2", "gcn", "gps"])
def test_the_activation_reaches_the_layers_that_have_no_own(layer):
    model = network(layer=layer, activation="silu")
    own = {"graphormer": torch.nn.GELU, "san": torch.nn.ReLU, "san2": torch.nn.ReLU}.get(layer)
    assert isinstance(model.head.act, torch.nn.SiLU)
    found = {type(part) for part in model.layers.modules()} & {torch.nn.GELU, torch.nn.ReLU, torch.nn.SiLU}
    assert own in found if own else torch.nn.SiLU in found
    assert (torch.nn.SiLU in found) == (own is None)


def test_new_weights():
    model = network(layer="gps")
    before = [weight.detach().clone() for weight in model.parameters() if weight.dim() > 1]
    model.reset_parameters()
    after = [weight for weight in model.parameters() if weight.dim() > 1]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert num_parameters(model) == sum(weight.numel() for weight in model.parameters())
    assert repr(model) == "GNN(8, layer='gps', num_layers=2, level='graph')"


def test_defaults(defaults):
    expected = {
        "layer": "gcn",
        "channels": 64,
        "num_layers": 4,
        "local": "gine",
        "attention": "multihead",
        "heads": 4,
        "attn_dropout": 0.0,
        "activation": "relu",
        "residual": True,
        "update_edges": False,
        "dropout": 0.0,
        "head_layers": 2,
        "head_shrinks": False,
        "pool": "mean",
        "level": "graph",
        "pe_channels": 0,
        "flip_signs": False,
        "graph_channels": 0,
    }
    assert expected.items() <= defaults(GNN).items()


@pytest.mark.parametrize("options", GATED, ids=NAMES[-len(GATED) :])
def test_distances_of_encodings_weight_messages(options):
    inputs = graphs()
    model = trained(network(**options), inputs)
    expected = call(model, inputs)
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    changed = call(model, inputs, pe=inputs["pe"].double() @ rotation)
    if options["pe_role"] == "gate":
        torch.testing.assert_close(changed, expected, rtol=0, atol=1e-12)
    else:
        assert not torch.allclose(changed, expected)
    assert not torch.allclose(call(model, inputs, pe=3 * inputs["pe"]), expected)
    assert model.pe_encoder is None
    assert "pe" in model.inputs
    # Nodes themselves do not see the encodings.
    alone = {"edge_index": torch.empty(2, 0, dtype=torch.long), "edge_attr": torch.empty(0, 2, dtype=torch.long)}
    torch.testing.assert_close(call(model, inputs, **alone), call(model, inputs, **alone, pe=3 * inputs["pe"]))
    with pytest.raises(ShapeError, match="pe: got None"):
        call(model, inputs, pe=None)
    nothing = {"x": torch.empty(0, 3), "pe": torch.empty(0, 4), "batch": torch.empty(0, dtype=torch.long), **alone}
    assert call(model, inputs, **nothing).shape == (len(SIZES), 2)
    before = [weight.clone() for weight in model.pe_distance.parameters()]
    model.reset_parameters()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.pe_distance.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "gcn"}, "pe_role: got 'gate', expected 'add' with other convolutions than gine or gatedgcn"),
        ({"layer": "gps", "local": "none"}, "pe_role: got 'gate', expected 'add' with other convolutions"),
        ({"layer": "gine", "pe_channels": 0}, "pe_role: got 'gate', expected the default 'add', because pe_channels"),
        ({"layer": "gine", "flip_signs": True}, "flip_signs: got True, expected the default False, because pe_role"),
        ({"layer": "gine", "pe_role": "gates"}, "pe_role: got 'gates', expected one of"),
    ],
)
def test_gates_without_messages_or_encodings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        network(**{"pe_role": "gate", **options})


@pytest.mark.parametrize("layer", ["graphormer", "san"])
def test_edges_between_two_graphs_are_named(layer):
    structure = GraphormerEncoding(8, 2) if layer == "graphormer" else None
    model = GNN(3, 1, layer=layer, channels=8, heads=2, structure=structure)
    with pytest.raises(ShapeError, match="an edge between two graphs of the batch"):
        model(torch.randn(2, 3), torch.tensor([[0], [1]]), batch=torch.tensor([1, 0]))
