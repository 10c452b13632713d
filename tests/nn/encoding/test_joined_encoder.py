"""Encoders of positional encodings that options describe, alone and in networks."""

import copy
import inspect

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.node_encodings import node_encodings
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.hub import load_pretrained, save_pretrained
from pyg_samsa.nn import GNN, SAMSA, NodeTokenizer
from pyg_samsa.nn.encoding.joined_encoder import (
    EncodingOptions,
    JoinedEncoder,
    encoding_options,
    make_position_encoder,
    unread,
    with_positions,
    without_computed,
    without_defaults,
)
from pyg_samsa.nn.encoding.laplacian_encoder import LaplacianEncoder
from pyg_samsa.nn.encoding.positional import PositionalEncoder
from pyg_samsa.nn.encoding.structural_encoder import StructuralEncoder

SIZES = (4, 1, 6)
GRAPH = torch.repeat_interleave(torch.arange(3), torch.tensor(SIZES))
EDGES = torch.tensor([[0, 1, 2, 3, 5, 6, 7, 8, 9], [1, 2, 3, 0, 6, 7, 8, 9, 10]])
EDGES = torch.cat([EDGES, EDGES.flip(0)], dim=1)
# kind -> width, eigenvectors, options
KINDS = {
    "spectrum": (10, 5, {"model": "transformer", "heads": 2, "channels": 6, "post_layers": 1}),
    "spectrum+rwse": (13, 5, {"model": "deepset", "channels": 6, "walk_channels": 3, "walk_model": "mlp"}),
    "rwse": (4, 0, {"model": "mlp", "channels": 5, "norm": "none"}),
    "lap": (4, True, {"channels": 5}),
    "added": (13, 5, {"model": "deepset", "layers": 1, "norm": "batch"}),
}


def encodings(kind, laplacian="sym"):
    width, eigenvectors, _ = KINDS[kind]
    name, index = "spectrum+rwse" if kind == "added" else kind, RaggedIndex(torch.tensor([0, 4, 5, 11]))
    return node_encodings(name, width, EDGES, index, eigenvectors=int(eigenvectors), laplacian=laplacian)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_get_their_columns(kind):
    torch.manual_seed(0)
    width, eigenvectors, options = KINDS[kind]
    encoder = make_position_encoder(width, 16, eigenvectors, options).eval()
    pe = encodings(kind)
    columns = [2 * eigenvectors, width - 2 * eigenvectors] if "+" in kind or kind == "added" else [width]
    assert encoder.widths == columns
    found = [part(own, GRAPH, 3) for part, own in zip(encoder.encoders, pe.split(columns, dim=1), strict=True)]
    joined = sum(found) if kind == "added" else torch.cat(found, dim=1)
    torch.testing.assert_close(encoder(pe, GRAPH, 3), joined)
    kinds = [LaplacianEncoder] * (eigenvectors is not True and eigenvectors > 0)
    kinds += [StructuralEncoder] * (len(columns) - len(kinds))
    assert [type(part) for part in encoder.encoders] == kinds
    if kind == "lap":
        assert encoder.encoders[0].flip_signs == 4
    h = torch.randn(11, 16 if kind == "added" else 16 - joined.size(1))
    expected = h + joined if kind == "added" else torch.cat([h, joined], dim=1)
    torch.testing.assert_close(with_positions(h, encoder, pe, GRAPH, 3), expected)
    before = [weight.clone() for weight in encoder.parameters() if weight.dim() == 2]
    encoder.reset_parameters()
    after = [weight for weight in encoder.parameters() if weight.dim() == 2]
    assert not any(map(torch.equal, before, after))


def test_without_options_nothing_is_new():
    torch.manual_seed(0)
    encoder = make_position_encoder(4, 8, True)
    assert type(encoder) is PositionalEncoder
    assert encoder.flip_signs == 4
    h, pe = torch.randn(11, 8), torch.randn(11, 4)
    encoder.eval()
    assert torch.equal(with_positions(h, encoder, pe, GRAPH, 3), h + encoder(pe, GRAPH, 3))


DEFAULTS = {"channels": 0, "model": "linear", "norm": "batch", "layers": 2, "heads": 4, "post_layers": 0}
DEFAULTS |= {"walk_channels": 0, "walk_model": "linear", "walk_layers": 2, "walk_norm": "batch"}
DEFAULTS |= {"laplacian": "sym", "vector_norm": "l2"}


@pytest.mark.parametrize("name", [*DEFAULTS, "all"])
def test_a_default_that_is_given_is_none(name):
    options = DEFAULTS if name == "all" else {name: DEFAULTS[name]}
    assert EncodingOptions(**options).given() == {}
    assert without_defaults(options) == {}
    encoder = make_position_encoder(4, 8, 0, options)
    assert type(encoder) is PositionalEncoder
    assert encoder.state_dict().keys() == make_position_encoder(4, 8).state_dict().keys()
    model = SAMSA.from_options(3, 2, channels=16, num_layers=1, heads=2, pe_channels=4, pe_options=options)
    assert type(model.tokenizer.pe_encoder) is PositionalEncoder


def test_defaults_are_those_of_the_encoders():
    for make, names in ((LaplacianEncoder, ("layers", "heads", "post_layers")), (StructuralEncoder, ("model", "norm"))):
        for name in names:
            assert inspect.signature(make).parameters[name].default == DEFAULTS[name]
    assert inspect.signature(LaplacianEncoder).parameters["norm"].default == "none"
    assert EncodingOptions(model="deepset", norm="none", walk_norm="batch").given() == {"model": "deepset"}
    assert EncodingOptions(model="deepset", norm="batch").given() == {"model": "deepset", "norm": "batch"}
    assert EncodingOptions(norm="none").given() == {"norm": "none"}


def test_options_reach_the_encoders():
    options = {"model": "transformer", "layers": 3, "heads": 2, "post_layers": 2, "norm": "batch", "channels": 4}
    options |= {"walk_channels": 3, "walk_model": "mlp", "walk_layers": 4, "walk_norm": "none"}
    first, second = make_position_encoder(9, 16, 3, options).encoders
    assert len(first.encoder.layers) == 3
    assert first.encoder.layers[0].self_attn.num_heads == 2
    assert first.post.channel_list == [4, 8, 4]
    assert first.norm is not None
    assert second.encoder.channel_list == [3, 6, 6, 6, 3]
    assert second.norm is None
    assert make_position_encoder(6, 16, True, {"model": "deepset"}).encoders[0].num_frequencies == 3


def test_widths():
    own = EncodingOptions(model="deepset", channels=16, walk_channels=20)
    assert (own.width, own.is_spectrum, EncodingOptions().width) == (36, True, 0)
    assert own.given() == {"model": "deepset", "channels": 16, "walk_channels": 20}
    with pytest.raises(ShapeError, match=r"pe: .*\[11, 3\]"):
        JoinedEncoder([StructuralEncoder(2, 4), StructuralEncoder(1, 4)], [2, 1], False)(torch.ones(11, 2), GRAPH, 3)
    assert "widths=[2], concatenated=True" in repr(JoinedEncoder([StructuralEncoder(2, 4)], [2], True))


@pytest.mark.parametrize(
    "options",
    [
        {"model": "transformer", "layers": 3, "channels": 8, "post_layers": 4, "walk_channels": 2},
        {"model": "deepset", "channels": 8, "walk_channels": 5, "walk_model": "mlp", "walk_layers": 3},
        {"model": "mlp"},
        {"channels": 3},
    ],
)
def test_the_least_weights_are_no_more_than_there_are(options):
    encoder = make_position_encoder(9, 16, 3 if options.get("model") in ("transformer", "deepset") else 0, options)
    found = sum(weight.numel() for weight in encoder.parameters())
    least = EncodingOptions(**options).least_weights(16)
    assert found / 3 < max(least, 50) or least == 0
    assert least <= found


def test_options_without_effect():
    assert unread("transformer", "mlp") == ()
    assert unread("deepset") == ("heads", "walk_layers")
    assert unread(None)[:3] == ("layers", "heads", "post_layers")
    assert set(unread("mlp")) == {"heads", *unread(None)[2:]}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"models": "mlp"}, "pe_options"),
        ([1], "pe_options"),
        ({"model": "signnet"}, "model"),
        ({"channels": -1}, "channels"),
        ({"layers": 3}, "layers"),
        ({"model": "deepset", "heads": 3}, "heads"),
        ({"model": "mlp", "post_layers": 1}, "post_layers"),
        ({"model": "linear", "laplacian": "none"}, "laplacian"),
        ({"model": "deepset", "walk_layers": 3}, "walk_layers"),
        ({"model": "deepset", "walk_channels": 3}, "walk_channels"),
        ({"model": "deepset", "channels": 3, "walk_channels": 0}, "walk_channels"),
    ],
)
def test_bad_options_are_named(options, key):
    with pytest.raises(ConfigError) as caught:
        encoding_options(options)
    assert caught.value.key == ("pe_options: " * (key != "pe_options") + key)


@pytest.mark.parametrize(("heads", "found"), [({"heads": 3}, 3), ({}, 4)])
@pytest.mark.parametrize("width", [{"channels": 10}, {}], ids=["concatenated", "added"])
def test_heads_that_do_not_divide_the_channels_of_the_encoding_are_named(heads, found, width):
    options = {"model": "transformer", **heads, **width}
    size = {"channels": 22, "num_layers": 1, "pe_channels": 10, "flip_signs": 5, "pe_options": options}
    text = f"pe_options: heads: got {found}, expected a divisor of {width.get('channels', 22)} channels of the encoding"
    for make in (
        lambda: SAMSA.from_options(3, 2, heads=2, **size),
        lambda: GNN(3, 2, **size),
        lambda: NodeTokenizer(22, 3, pe_channels=10, flip_signs=5, pe_options=options),
        lambda: make_position_encoder(10, 22, 5, options),
    ):
        with pytest.raises(ConfigError) as caught:
            make()
        assert str(caught.value) == text


@pytest.mark.parametrize("form", [{"laplacian": "none"}, {"vector_norm": "l1"}], ids=str)
def test_the_form_of_a_spectrum_that_is_passed_is_refused(form):
    options = {"model": "deepset", **form}
    size = {"channels": 16, "num_layers": 1, "pe_channels": 10, "flip_signs": 5, "pe_options": options}
    (name,) = form
    for make in (lambda **kind: SAMSA.from_options(3, 2, heads=2, **size, **kind), lambda: GNN(3, 2, **size)):
        with pytest.raises(ConfigError, match=f"pe_options: {name}: got '{form[name]}', expected nothing, because"):
            make()
    assert SAMSA.from_options(3, 2, heads=2, pe_kind="spectrum", **size).tokenizer.encoding.given() == options
    assert without_computed(options) == {"model": "deepset"}


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ((4, 16, 0, {"channels": 16}), "pe_options: channels"),
        ((4, 16, 0, {"model": "deepset"}), "flip_signs"),
        ((4, 16, 3, {"model": "deepset"}), "flip_signs"),
        ((5, 16, True, {"model": "deepset"}), "flip_signs"),
        ((4, 16, 2, {"model": "deepset", "walk_model": "mlp"}), "pe_options: walk_model"),
        ((6, 16, 2, {"model": "deepset", "channels": 4}), "pe_options: walk_channels"),
        ((4, 2**15, 2, {"model": "deepset", "layers": 100}), "pe_options"),
    ],
)
def test_options_that_do_not_fit_the_columns_are_named(arguments, key):
    with pytest.raises(ConfigError) as caught:
        make_position_encoder(*arguments)
    assert caught.value.key == key


def samsa(kind, **options):
    width, eigenvectors, given = KINDS[kind]
    size = {"channels": 16, "num_layers": 1, "heads": 2, "num_samples": 4, "pe_channels": width}
    size |= {"pe_options": given} | ({"flip_signs": eigenvectors} if eigenvectors else {})
    return SAMSA.from_options(3, 2, **{**size, **options})


def gnn(kind, layer):
    width, eigenvectors, given = KINDS[kind]
    return GNN(
        3, 2, layer=layer, channels=16, num_layers=1, pe_channels=width, flip_signs=eigenvectors, pe_options=given
    )


NETWORKS = {
    "bridge": samsa,
    "nodes": lambda kind: samsa(kind, bridge=False, positions="sinusoidal"),
    "gps": lambda kind: gnn(kind, "gps"),
    "san": lambda kind: gnn(kind, "san"),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_networks_train_and_their_graphs_do_not_see_each_other(kind, make):
    torch.manual_seed(0)
    model, x, pe = make(kind).double(), torch.randn(11, 3).double(), encodings(kind)
    model(x, EDGES, batch=GRAPH, pe=pe).sum().backward()
    model.eval()
    out = model(x, EDGES, batch=GRAPH, pe=pe)
    assert not torch.allclose(model(x, EDGES, batch=GRAPH, pe=pe.flip(0).abs()), out)
    alone = EDGES[:, (EDGES >= 5).all(0)] - 5
    torch.testing.assert_close(model(x[5:], alone, pe=pe[5:]), out[2:], rtol=0, atol=1e-9)
    torch.testing.assert_close(copy.deepcopy(model)(x, EDGES, batch=GRAPH, pe=pe), out, rtol=0, atol=0)
    nothing = torch.empty(0, dtype=torch.long)
    empty = {"batch": nothing, "batch_size": 1, "pe": pe[:0]}
    assert model(x[:0], torch.empty(2, 0, dtype=torch.long), **empty).shape == (1, 2)


@pytest.mark.parametrize("kind", ["spectrum", "lap"])
def test_nodes_keep_their_precision(kind):
    width, eigenvectors, options = KINDS[kind]
    encoder = make_position_encoder(width, 16, eigenvectors, options).eval()
    for dtype in (torch.bfloat16, torch.float32):
        h = torch.ones(11, 16 - options["channels"], dtype=dtype)
        for autocast in (True, False):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                assert with_positions(h, encoder, encodings(kind), GRAPH, 3).dtype == dtype


def test_layers_after_the_sum_count_among_the_least_weights():
    options = EncodingOptions(model="deepset", channels=8, layers=1, post_layers=4)
    encoder = LaplacianEncoder(5, 8, layers=1, post_layers=4)
    assert options.least_weights(16) == sum(layer.weight.numel() for layer in encoder.post.lins[1:])


@pytest.mark.parametrize("make", [NETWORKS["bridge"], NETWORKS["gps"]], ids=["bridge", "gps"])
def test_encodings_take_channels_of_the_features(make):
    model = make("spectrum+rwse")
    encoder = getattr(model, "tokenizer", model).node_encoder
    assert encoder.out_features == 16 - 6 - 3


@pytest.mark.parametrize("bridge", [True, False])
@pytest.mark.parametrize("kind", ["spectrum", "spectrum+rwse", "rwse"])
def test_networks_compute_encodings_and_are_saved(kind, bridge, tmp_path):
    torch.manual_seed(0)
    laplacian = "none" if kind == "spectrum" else "sym"
    options = KINDS[kind][2] | ({"laplacian": laplacian} if kind == "spectrum" else {})
    model, x = samsa(kind, bridge=bridge, pe_kind=kind, pe_options=options).eval(), torch.randn(11, 3)
    out = model(x, EDGES, batch=GRAPH)
    torch.testing.assert_close(out, model(x, EDGES, batch=GRAPH, pe=encodings(kind, laplacian)))
    if laplacian != "sym":
        assert not torch.allclose(out, model(x, EDGES, batch=GRAPH, pe=encodings(kind)))
    # Nodes of several graphs may be mixed. Within a graph their order decides about signs of symmetric eigenvectors.
    order = torch.tensor([5, 0, 6, 1, 4, 7, 2, 8, 9, 3, 10])
    place = torch.argsort(order)
    torch.testing.assert_close(model(x[order], place[EDGES], batch=GRAPH[order]), out, rtol=1e-4, atol=1e-5)
    save_pretrained(model, tmp_path / "model")
    again, _ = load_pretrained(tmp_path / "model")
    assert torch.equal(again(x, EDGES, batch=GRAPH), out)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"pe_kind": "spectrum", "pe_options": None}, "pe_options: model"),
        ({"pe_kind": "rwse"}, "pe_options: model"),
        ({"pe_role": "gate", "local": "gine", "flip_signs": False}, "pe_options"),
        ({"pe_channels": 0, "flip_signs": False}, "pe_options"),
        ({"pe_options": {"model": "deepset", "channels": 16}}, "pe_options: channels"),
        ({"bridge": False, "coordinate_free": True, "attention": "sft", "num_samples": None}, "pe_options"),
    ],
)
def test_options_that_do_not_fit_a_network_are_named(options, key):
    with pytest.raises(ConfigError) as caught:
        samsa("spectrum", **options)
    assert caught.value.key == key


def test_options_that_do_not_fit_other_networks_are_named():
    for given in ({"pe_channels": 0}, {"pe_channels": 4, "pe_role": "gate", "layer": "gine"}):
        with pytest.raises(ConfigError, match="pe_options"):
            GNN(3, 2, pe_options={"channels": 2}, **given)
    with pytest.raises(ConfigError, match="pe_options: channels"):
        GNN(3, 2, channels=8, pe_channels=4, pe_options={"channels": 8})
    with pytest.raises(ConfigError, match="pe_options"):
        NodeTokenizer(8, 3, pe_options={"channels": 2})
