import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.graphgps import translate

BIAS = {
    "posenc_GraphormerBias.enable": True,
    "posenc_GraphormerBias.node_degrees_only": False,
    "posenc_GraphormerBias.num_spatial_types": 20,
    "posenc_GraphormerBias.num_in_degrees": 64,
    "posenc_GraphormerBias.num_out_degrees": 32,
}
GRAPHORMER = {
    "model.type": "Graphormer",
    "dataset.node_encoder_name": "TypeDictNode+GraphormerBias",
    **BIAS,
    "graphormer.num_layers": 12,
    "graphormer.num_heads": 8,
    "graphormer.embed_dim": 80,
    "graphormer.mlp_dropout": 0.1,
    "gnn.dim_inner": 80,
    "gnn.dropout": 0.0,
}
GPS = {
    "model.type": "GPSModel",
    "dataset.node_encoder_name": "TypeDictNode+GraphormerBias+RWSE",
    **BIAS,
    "posenc_RWSE.enable": True,
    "posenc_RWSE.kernel.times_func": "range(1,21)",
    "graphormer.use_graph_token": False,
    "gt.layer_type": "GINE+BiasedTransformer",
    "gt.n_heads": 4,
}


def values(leaves):
    return {key: taken.value for key, taken in translate(leaves).settings.items()}


def test_settings_of_graphormer():
    assert values(GRAPHORMER) == {
        "model.type": "graphormer",
        "dataset.node_encoder_name": "TypeDictNode",
        "graphormer.num_spatial_types": 20,
        "graphormer.num_in_degrees": 64,
        "graphormer.num_out_degrees": 32,
        "graphormer.node_degrees_only": False,
        **{key: value for key, value in GRAPHORMER.items() if key.startswith("graphormer.")},
    }
    assert translate(GRAPHORMER | {"dataset.edge_encoder": False}).notes == []


@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ({"gnn.dropout": 0.2}, ["gnn.dropout 0.2: the head has graphormer.dropout (0.1)"]),
        ({}, ["gnn.dropout 0.0: the head has graphormer.dropout (0.1)"]),
        ({"gnn.dropout": 0.1}, []),
        ({"gnn.dropout": 0.2, "gnn.layers_post_mp": 1}, []),
        ({"gnn.dropout": 0.2, "gnn.head": "graphormer_graph"}, []),
        ({"gnn.dropout": 0.2, "gnn.head": "san_graph"}, []),
    ],
)
def test_another_dropout_of_the_head_of_graphormer_is_listed(changes, noted):
    leaves = {**GRAPHORMER, "graphormer.dropout": 0.1, "gnn.head": "mlp_graph", "gnn.layers_post_mp": 3, **changes}
    assert translate(leaves).notes == noted


def test_settings_of_gps_with_biases():
    found = values(GPS | {"graphormer.num_layers": 3, "graphormer.num_heads": 4})
    of_encoding = {key: value for key, value in found.items() if key.startswith("graphormer.")}
    assert of_encoding == {
        "graphormer.use_graph_token": False,
        "graphormer.num_spatial_types": 20,
        "graphormer.num_in_degrees": 64,
        "graphormer.num_out_degrees": 32,
        "graphormer.node_degrees_only": False,
    }
    assert (found["model.type"], found["gt.layer_type"], found["pe.kind"]) == ("gps", GPS["gt.layer_type"], "rwse")
    assert found["dataset.node_encoder_name"] == "TypeDictNode"


SAN = {
    "model.type": "SANTransformer",
    "dataset.node_encoder_name": "LapPE",
    "posenc_LapPE.enable": True,
    "posenc_LapPE.eigen.max_freqs": 10,
    "posenc_LapPE.dim_pe": 4,
    "gt.full_graph": True,
    "gt.gamma": 0.1,
    "gt.residual": True,
    "gt.attn_dropout": 0.5,
    "gt.dim_hidden": 8,
    "gnn.dim_inner": 8,
}


def test_settings_of_san():
    assert values(SAN) == {
        "model.type": "san",
        "dataset.node_encoder_name": "LinearNode",
        "pe.kind": "spectrum",
        "pe.dim": 10,
        "pe.model": "deepset",
        "pe.channels": 4,
        "pe.layers": 3,
        "pe.post_layers": 0,
        "pe.norm": "none",
        "pe.laplacian": "sym",
        "pe.vector_norm": "l2",
        "gt.layers": 3,
        "gt.n_heads": 8,
        "gt.dim_hidden": 8,
        "gt.dropout": 0.0,
        "gt.batch_norm": True,
        "gt.full_graph": True,
        "gt.gamma": 0.1,
        "gnn.dim_inner": 8,
        "gnn.batchnorm": True,
        "gnn.residual": True,
    }


@pytest.mark.parametrize(
    ("changes", "network", "gamma", "residual"),
    [
        ({"gt.layer_type": "SANLayer"}, "san", 0.1, True),
        ({"gt.layer_type": "SAN2Layer"}, "san2", None, True),
        ({"gt.full_graph": False}, "san", None, True),
        ({"gt.residual": False, "gnn.residual": True}, "san", 0.1, False),
    ],
)
def test_variants_of_san(changes, network, gamma, residual):
    found = values({**SAN, **changes})
    assert (found["model.type"], found.get("gt.gamma"), found["gnn.residual"]) == (network, gamma, residual)
    assert "gt.layer_type" not in found


def test_settings_that_are_not_used_are_dropped():
    unused = {**BIAS, "posenc_GraphormerBias.enable": False, "graphormer.use_graph_token": False}
    gps = {"model.type": "GPSModel", "gt.layer_type": "GCN+Transformer", "dataset.node_encoder_name": "LinearNode"}
    assert not any(key.startswith("graphormer.") for key in values(gps | unused))


def test_settings_of_this_package_stay():
    own = {"model.type": "graphormer", "graphormer.num_in_degrees": 9}
    assert values(own) == own


@pytest.mark.parametrize(
    ("leaves", "changes", "culprit"),
    [
        (GRAPHORMER, {"gnn.dim_inner": 64}, "graphormer.embed_dim"),
        (SAN, {"gnn.dim_inner": 64}, "gt.dim_hidden"),
        (SAN, {"gt.layer_type": "GINE+Transformer"}, "gt.layer_type"),
        (SAN, {"gt.layer_type": ["SANLayer"]}, "gt.layer_type"),
        (GRAPHORMER, {"posenc_GraphormerBias.enable": False, "dataset.node_encoder_name": "Atom"}, "encoder_name"),
        (GRAPHORMER, {"posenc_GraphormerBias.enable": False}, "encoder_name"),
        (GPS, {"gt.layer_type": "GINE+Transformer"}, "encoder_name"),
        (GPS, {"gt.layer_type": "GINE+SAMSA"}, "encoder_name"),
        (GPS, {"graphormer.num_heads": 8}, "graphormer.num_heads"),
        (GPS, {"dataset.node_encoder_name": "TypeDictNode+RWSE"}, "posenc_GraphormerBias.enable"),
    ],
)
def test_contradictions_are_named(leaves, changes, culprit):
    with pytest.raises(ConfigError) as caught:
        translate({**leaves, **changes})
    assert caught.value.key.endswith(culprit)


@pytest.mark.parametrize("network", ["graphormer", "Graphormer"])
def test_degrees_over_a_file_of_this_package(network):
    words = ["model.type", network, "posenc_GraphormerBias.num_in_degrees", "2", "graphormer.num_out_degrees", "9"]
    loaded = load_config("csv", words)
    assert (cfg.model.type, cfg.graphormer.num_in_degrees, cfg.graphormer.num_out_degrees) == ("graphormer", 2, 9)
    assert not loaded.translation.notes
