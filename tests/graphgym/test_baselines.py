import logging
import re

import pandas as pd
import pytest
import torch
import yaml
from torch_geometric.data import Batch, Data
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.datasets import encodings
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run as runner
from pyg_samsa.functional.node_encodings import laplacian_eigenvectors
from pyg_samsa.graphgym.baselines import gnn_options
from pyg_samsa.graphgym.config import PACKAGED, load_config
from pyg_samsa.graphgym.plan import build_network
from pyg_samsa.graphgym.settings import GPS_LAYERS
from pyg_samsa.graphgym.share import describe
from pyg_samsa.graphgym.without_effect import unused_settings
from pyg_samsa.nn import num_parameters
from pyg_samsa.nn.models.message_passing import LAYERS
from pyg_samsa.task import Task

NETWORKS = LAYERS
EXACT = {"rtol": 0, "atol": 0}


@pytest.fixture(autouse=True)
def fresh_cfg():
    yield
    set_cfg(cfg)


@pytest.fixture
def small(config, tmp_path):
    def write(network, **changes):
        settings = {
            "model": {"type": network},
            "gnn": {"dim_inner": 8, "dropout": 0.1},
            "optim": {"max_epoch": 1, "scheduler": "none"},
            "dataset": {"dir": str(tmp_path / "data")},
        }
        for key, value in changes.items():
            settings[key] = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
        return config(**settings)

    return write


@pytest.mark.parametrize("network", NETWORKS)
def test_one_changed_line_trains_with_defaults(network, config, capsys):
    (result,) = runner.run(config(model={"type": network}, optim={"max_epoch": 1, "scheduler": "none"}))
    assert {"ap", "auc"} <= set(result.test)
    shown = capsys.readouterr().out
    assert re.search(
        rf"model +{network}( of GINE\+Transformer| on all pairs of nodes)? · \d+ layers · \d+ channels", shown
    )


@pytest.mark.parametrize(
    ("network", "name"),
    [("gcn", "regression"), ("gine", "binary"), ("gatedgcn", "multiclass"), ("gps", "multiclass-node")],
)
def test_every_task(network, name, small):
    task = name.partition("-")[0]
    task_type, best, loss = {
        "regression": ("regression", "mae", "l1"),
        "binary": ("classification", "auc", "bce"),
        "multiclass": ("classification", "accuracy", "cross_entropy"),
    }[task]
    dataset = {"name": name, "task_type": task_type, "task": "graph"}
    (result,) = runner.run(small(network, dataset=dataset, metric_best=best, model={"loss_fun": loss}), verbosity=-1)
    assert best in result.test
    assert len(pd.read_csv(result.folder.file("predictions_test.csv"))) >= 11


def test_encodings_are_cached_and_reach_the_network(small, tmp_path, monkeypatch):
    network, kind = "gine", "lap"
    config = small(network, pe={"kind": kind, "dim": 5})
    (first,) = runner.run(config, verbosity=-1)
    (cached,) = (tmp_path / "data" / "encodings").glob(f"{kind}-5-*.safetensors")
    made = cached.stat().st_mtime_ns
    seen = []
    forward = register.network_dict[network].forward
    monkeypatch.setattr(
        register.network_dict[network], "forward", lambda self, batch: (seen.append(batch), forward(self, batch))[1]
    )
    monkeypatch.setattr(encodings, "_compute", lambda *_: pytest.fail("computed again"))
    (second,) = runner.run(config, verbosity=-1)
    assert cached.stat().st_mtime_ns == made
    assert first.test == second.test
    for graph in seen[0].to_data_list():
        torch.testing.assert_close(
            graph.pe, torch.from_numpy(laplacian_eigenvectors(graph.edge_index.numpy(), graph.num_nodes, 5))
        )
    # The same without encodings is another network.
    (without,) = runner.run(small(network), verbosity=-1)
    assert without.parameters == first.parameters - 5 * 8 - 8 - 2 * 5


def test_a_damaged_cache_is_told_and_made_again(small, tmp_path, caplog):
    config = small("gcn", pe={"kind": "rwse", "dim": 3})
    (first,) = runner.run(config, verbosity=-1)
    (cached,) = (tmp_path / "data" / "encodings").glob("*.safetensors")
    cached.write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        (second,) = runner.run(config, verbosity=-1)
    assert first.test == second.test
    assert sum("computed again" in line for line in caplog.messages) == 1


def test_a_resumed_run_is_the_whole_run(small, tmp_path):
    # Dropout and random signs go on where they stopped.
    network, kind = "gps", "lap"
    pe, whole = {"kind": kind, "dim": 3}, {"max_epoch": 2, "scheduler": "none"}
    (straight,) = runner.run(small(network, pe=pe, optim=whole, out_dir=str(tmp_path / "straight")), verbosity=-1)
    runner.run(small(network, pe=pe, optim={**whole, "max_epoch": 1}), verbosity=-1)
    (resumed,) = runner.run(small(network, pe=pe, optim=whole, train={"auto_resume": True}), verbosity=-1)
    expected, found = (pd.read_csv(result.folder.file("metrics.csv")) for result in (straight, resumed))
    assert found["epoch"].tolist() == [1, 2]
    pd.testing.assert_frame_equal(
        *(table[["train_loss", "val_loss", "val_ap"]] for table in (expected, found)), **EXACT
    )
    assert straight.test == resumed.test


def test_options_say_what_graphgym_and_graphgps_say(small):
    load_config(
        small(
            "gcn",
            gnn={
                "layers_mp": 5,
                "layers_post_mp": 3,
                "act": "swish",
                "batchnorm": False,
                "residual": False,
                "dropout": 0.25,
            },
        )
    )
    options = gnn_options("gcn")
    assert options == {
        "channels": 8,
        "num_layers": 5,
        "dropout": 0.25,
        "activation": "silu",
        "norm": "none",
        "residual": False,
        "update_edges": False,
        "head_layers": 3,
        "head_shrinks": False,
        "final_norm": False,
        "pool": "add",
        "pe_channels": 0,
        "flip_signs": False,
        "pe_role": "add",
    }
    gt = {
        "layer_type": "CustomGatedGCN+Performer",
        "layers": 3,
        "n_heads": 2,
        "dim_hidden": 12,
        "attn_dropout": 0.5,
        "layer_norm": True,
    }
    load_config(small("gps", gt=gt, pe={"kind": "lap", "dim": 4}))
    options = gnn_options("gps")
    wanted = {
        "local": "gatedgcn",
        "attention": "performer",
        "channels": 12,
        "num_layers": 3,
        "heads": 2,
        "dropout": 0.1,
        "norm": "layer",
    }
    assert {key: options[key] for key in wanted} == wanted
    assert (options["attn_dropout"], options["pe_channels"], options["flip_signs"]) == (0.5, 4, True)


@pytest.mark.parametrize(("network", "full"), [("san", True), ("san", False), ("san2", True)])
def test_san_has_the_settings_of_graphgps(network, full, small):
    gt = {"layers": 3, "n_heads": 2, "dim_hidden": 12, "dropout": 0.25, "full_graph": full, "gamma": 0.5}
    load_config(small(network, gt=gt, gnn={"residual": False}))
    options = gnn_options(network)
    weight = {"gamma": 0.5} if network == "san" and full else {}
    wanted = {"channels": 12, "num_layers": 3, "heads": 2, "dropout": 0.25, "norm": "batch", "residual": False}
    assert {key: options[key] for key in wanted} == wanted
    assert {key: options[key] for key in ("full_graph", "gamma") if key in options} == {"full_graph": full, **weight}
    assert unused_settings(["gt.gamma", "gt.full_graph"]) == ([] if weight else ["gt.gamma"])
    cfg.model.type = "gps"
    assert unused_settings(["gt.gamma", "gt.full_graph", "gt.layers"]) == ["gt.full_graph", "gt.gamma"]


def test_graphormer_has_settings_of_its_own(small):
    own = {"num_layers": 2, "embed_dim": 24, "num_heads": 3, "dropout": 0.1, "attention_dropout": 0.2}
    own |= {"mlp_dropout": 0.3, "input_dropout": 0.4, "num_spatial_types": 7, "num_in_degrees": 5}
    gnn = {"head": "graphormer_graph", "act": "gelu"}
    load_config(small("graphormer", graphormer=own, gnn=gnn, model={"graph_pooling": "graph_token"}))
    assert gnn_options("graphormer") == {
        "channels": 24,
        "num_layers": 2,
        "heads": 3,
        "dropout": 0.1,
        "attn_dropout": 0.2,
        "mlp_dropout": 0.3,
        "activation": "gelu",
        "residual": True,
        "update_edges": False,
        "head_layers": 1,
        "head_shrinks": False,
        "final_norm": True,
        "pool": "graph_token",
        "pe_channels": 0,
        "flip_signs": False,
        "pe_role": "add",
    }
    cfg.share.in_channels, cfg.share.level, cfg.share.task = [4], "graph", "multilabel"
    model = build_network(1, 3).model
    assert model.head.channel_list == [24, 3]
    assert model.structure.dropout.p == 0.4
    assert model.layers[0].attention.dropout == 0.2
    assert (model.layers[0].dropout.p, model.layers[0].mlp[3].p) == (0.1, 0.3)
    assert model.pool is None


def test_the_head_of_san_has_three_layers_that_halve_the_channels(small):
    load_config(small("gps", gnn={"head": "san_graph", "layers_post_mp": 1, "dim_inner": 16, "dropout": 0.5}))
    cfg.share.in_channels, cfg.share.level, cfg.share.task = [4], "graph", "multilabel"
    head = build_network(1, 3).model.head
    assert head.channel_list == [16, 8, 4, 3]
    assert head.dropout == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("name", "layer"), GPS_LAYERS.items())
def test_every_layer_of_gps_computes(name, layer, small):
    load_config(small("gps", gt={"layer_type": name, "layers": 1}))
    cfg.share.in_channels, cfg.share.edge_channels, cfg.share.level, cfg.share.task = 3, 2, "graph", "multilabel"
    model = build_network(3, 2).model
    (block,) = model.layers
    assert (block.conv is None) == (layer[0] == "none")
    assert block.attn_type == layer[1]
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    out = model(torch.randn(5, 3), edges, torch.randn(4, 2), torch.tensor([0, 0, 0, 1, 1]))
    out.sum().backward()
    assert all(weight.grad is not None for weight in block.parameters())
    model.reset_parameters()


@pytest.mark.parametrize(
    ("network", "settings", "named"),
    [
        ("gcn", {"gnn": {"act": "tanh"}}, r"gnn\.act"),
        ("gcn", {"model": {"graph_pooling": "median"}}, r"model\.graph_pooling"),
        ("gcn", {"gt": {"layer_type": "GINE+Transformer"}}, r"gt\.layer_type"),
        ("gps", {"gt": {"layer_norm": True, "batch_norm": True}}, r"gt\.layer_norm"),
        ("gps", {"gt": {"n_heads": 3}}, "a divisor of 8 channels"),
        ("gps", {"model": {"graph_pooling": "graph_token"}}, r"model\.graph_pooling"),
        ("graphormer", {"graphormer": {"num_heads": 3}}, r"graphormer\.num_heads"),
        ("san", {"gt": {"n_heads": 3}}, "a divisor of 8 channels"),
        ("san", {"gt": {"attn_dropout": 0.5}}, r"gt\.attn_dropout"),
        ("san", {"gt": {"layer_type": "GINE+Transformer"}}, r"gt\.layer_type"),
        ("samsa", {"gt": {"gamma": 0.5}}, r"gt\.gamma"),
        (
            "gps",
            {"gt": {"layer_type": "GINE+BiasedTransformer"}, "graphormer": {"node_degrees_only": True}},
            r"^graphormer\.node_degrees_only: got True.*\n.*gt\.layer_type GINE\+Transformer",
        ),
        ("graphormer", {"graphormer": {"num_in_degrees": 2}}, r"graphormer\.num_in_degrees: got 2"),
        (
            "graphormer",
            {"graphormer": {"use_graph_token": False}, "model": {"graph_pooling": "graph_token"}},
            r"model\.graph_pooling",
        ),
        ("gcn", {"pe": {"kind": "signnet"}}, r"pe\.kind"),
        ("samsa", {"gt": {"layer_type": "GINE+Transformer"}}, r"gt\.layer_type"),
        ("samsa", {"gnn": {"residual": False}}, r"gnn\.residual"),
        ("samsa", {"gnn": {"update_edges": True}}, r"gnn\.update_edges"),
        ("gine", {"gnn": {"update_edges": True}}, r"gnn\.update_edges"),
        ("gps", {"gnn": {"update_edges": True}}, r"gnn\.update_edges"),
        ("bag_of_features", {"pe": {"kind": "lap"}}, r"pe\.kind.*network bag_of_features"),
        ("bag_of_features", {"dataset": {"descriptors": ["maccs"]}}, r"dataset\.descriptors.*network bag_of_features"),
    ],
)
def test_contradictions_are_named(network, settings, named, small):
    with pytest.raises(ConfigError, match=named):
        runner.run(small(network, **settings), verbosity=-1)


def test_biases_that_are_switched_off_are_named_before_data_are_read(small, monkeypatch):
    monkeypatch.setattr(runner, "load_for_runner", lambda *_, **__: pytest.fail("data were read"))
    settings = {"gt": {"layer_type": "GINE+BiasedTransformer"}, "graphormer": {"node_degrees_only": True}}
    with pytest.raises(ConfigError, match=r"graphormer\.node_degrees_only"):
        runner.run(small("gps", **settings), verbosity=-1)


def test_pairs_of_documents_are_refused(small):
    load_config(small("gcn"))
    pairs = SplitDataset(
        Prepared({}, {"x": torch.zeros(2)}, {}), Task("binary", ["related"], pairs=True), Features([4])
    )
    describe(pairs)
    with pytest.raises(ConfigError, match="pairs"):
        build_network(9, 10)


@pytest.mark.parametrize("network", ["gcn", "gine", "gatedgcn", "gps"])
def test_packaged_configurations_keep_to_the_benchmark(network):
    load_config(f"baselines/peptides_func_{network}")
    cfg.share.dim_in, cfg.share.level, cfg.share.task = 9, "graph", "multilabel"
    cfg.share.in_channels, cfg.share.edge_channels, cfg.share.dim_out = [119, 5, 12, 12, 10, 6, 6, 2, 2], [5, 6, 2], 10
    made = build_network(9, 10)
    assert 400_000 < num_parameters(made.model) < 500_000
    edges = torch.tensor([[0, 1], [1, 0]])
    data = Data(
        x=torch.zeros(2, 9).long(),
        edge_index=edges,
        edge_attr=torch.zeros(2, 3).long(),
        pe=torch.ones(2, cfg.pe.dim),
        y=torch.zeros(1, 10),
    )
    assert made.eval()(Batch.from_data_list([data]))[0].shape == (1, 10)
    assert (
        yaml.safe_load((PACKAGED / f"baselines/peptides_func_{network}.yaml").read_text())["model"]["type"] == network
    )


@pytest.mark.parametrize(
    ("network", "settings", "key"),
    [
        ("gcn", {"gnn.dim_inner": 10**6}, "gnn.dim_inner: got 1000000"),
        ("gcn", {"gnn.layers_mp": 10**12}, "gnn.layers_mp: got 1000000000000"),
        ("gps", {"gt.dim_hidden": 10**6}, "gt.dim_hidden: got 1000000"),
        ("gps", {"gt.layers": 10**12}, "gt.layers: got 1000000000000"),
        ("san", {"gt.dim_hidden": 10**6}, "gt.dim_hidden: got 1000000"),
        ("graphormer", {"graphormer.embed_dim": 10**6}, "graphormer.embed_dim: got 1000000"),
    ],
)
def test_networks_that_no_machine_holds_are_not_built(network, settings, key):
    for name, value in settings.items():
        group, _, last = name.partition(".")
        cfg[group][last] = value
    with pytest.raises(ConfigError, match=f"{key}, expected fewer: the weights of this network take at least"):
        gnn_options(network)
