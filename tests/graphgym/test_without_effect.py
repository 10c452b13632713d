"""Settings without effect: found by changing them, and told with the reason."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from torch_geometric.data import Batch
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.checks import check_settings
from pyg_samsa.graphgym.config import all_keys, load_config, resolved
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.plan import build_network
from pyg_samsa.graphgym.settings import SETTINGS, value_of
from pyg_samsa.graphgym.without_effect import SIZES, describe_without_effect, unused_settings, why_without_effect

GROUPS = ("samsa", "gnn", "gt", "graphormer", "point_net", "sft", "flt", "performer", "model", "dataset")
OTHER = {"gnn.act": "gelu", "gnn.head": "san_graph", "gnn.layer_type": "ginconv", "gnn.stage_type": "skipsum"}
OTHER |= {"gnn.agg": "mean", "gnn.msg_direction": "both", "gnn.self_msg": "add", "gt.layer_type": "GINE+SFT"}
OTHER |= {"gt.dim_hidden": 24, "gt.n_heads": 8, "gt.layers": 3, "gt.dropout": 0.375, "gt.attn_dropout": 0.25}
OTHER |= {"model.graph_pooling": "mean", "model.edge_decoding": "concat", "samsa.pool": "mean", "samsa.local": "gcn"}
OTHER |= {"gnn.layers_post_mp": 3}
NOT_BUILT_FROM = ("dataset.", "model.")
TRIED = ("model.graph_pooling", "model.edge_decoding", "dataset.node_encoder_num_types")
FORMS = {
    "samsa": {"model.type": "samsa"},
    "gcn": {"model.type": "gcn"},
    "gcnii": {"model.type": "gcnii"},
    "gine": {"model.type": "gine"},
    "gatedgcn": {"model.type": "gatedgcn"},
    "mlp": {"model.type": "mlp"},
    "gps": {"model.type": "gps"},
    "gps by gt": {"model.type": "gps", "gt.layers": 2, "gt.dim_hidden": 8, "gt.dropout": 0.125},
    "gps with batch norms": {"model.type": "gps", "gt.batch_norm": True, "gnn.batchnorm": True},
    "gps with layer norms": {"model.type": "gps", "gt.layer_norm": True},
    "gps with biases": {"model.type": "gps", "gt.layer_type": "GINE+BiasedTransformer"},
    "graphormer": {"model.type": "graphormer", "gnn.layers_post_mp": 1},
    "graphormer with a deep head": {"model.type": "graphormer", "gnn.layers_post_mp": 2},
    "graphormer by degrees": {"model.type": "graphormer", "graphormer.node_degrees_only": True},
    "graphormer with a fixed head": {"model.type": "graphormer", "gnn.head": "graphormer_graph"},
    "san": {"model.type": "san", "gnn.layers_post_mp": 0},
    "san with a deep head": {"model.type": "san", "gnn.layers_post_mp": 2},
    "san on edges": {"model.type": "san", "gt.full_graph": False},
    "san with the head of SAN": {"model.type": "san", "gnn.head": "san_graph"},
    "san2": {"model.type": "san2"},
    "bag_of_features": {"model.type": "bag_of_features"},
}
# Read, but the values of a new network and its text do not depend on them.
ONLY_LATER = {"samsa.rezero", "samsa.checkpointing", "samsa.tau", "samsa.noise", "samsa.attn_backend"}
ONLY_LATER |= {"samsa.modality_vector", "samsa.importance", "samsa.sampling"}


def put(key, value):
    group, _, name = key.rpartition(".")
    cfg[group][name] = value


def another(key):
    """Return another value of a setting; None if there is none."""
    value, setting = value_of(key, cfg), SETTINGS.get(key)
    if key in OTHER:
        return OTHER[key]
    if setting is not None and (choices := [one for one in setting.option.choices if one not in (value, None)]):
        return choices[0]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value / 2 + 0.25 if isinstance(value, float) else None


def traces(batch):
    """Yield what a network is made of, and what it computes in evaluation and in training."""
    torch.manual_seed(0)
    network = build_network(cfg.share.dim_in, cfg.share.dim_out)
    yield repr(network)
    for training in (False, True):
        torch.manual_seed(1)
        with torch.no_grad():
            yield network.train(training)(batch.clone())[0]


def same(one, two):
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


@contextmanager
def changed(values):
    """Settings with other values, for as long as it lasts."""
    before = {key: value_of(key, cfg) for key in values}
    for key, value in values.items():
        put(key, value)
    yield
    for key, value in before.items():
        put(key, value)


def changes_the_network(values, before, batch):
    """Whether other values of settings change what a network is made of or computes; None if they are refused."""
    with changed(values):
        try:
            for key, value in values.items():
                if key in SETTINGS:
                    SETTINGS[key].check(value)
            check_settings()
            # What differs in the first place is not computed further.
            return not all(map(same, before, traces(batch)))
        except ConfigError:
            return None


@pytest.mark.parametrize("form", FORMS)
def test_exactly_the_settings_that_change_nothing_are_without_effect(form, config):
    load_config(
        config(
            samsa={"layers": 1, "dropout": 0.125},
            gnn={"dim_inner": 8, "layers_mp": 2, "dropout": 0.25, "batchnorm": False},
        )
    )
    cfg.graphormer.embed_dim, cfg.graphormer.num_layers, cfg.graphormer.dropout = 8, 1, 0.125
    cfg.graphormer.num_in_degrees, cfg.graphormer.num_out_degrees = 9, 9
    for key, value in FORMS[form].items():
        put(key, value)
    if form == "bag_of_features":
        cfg.samsa.bridge = SETTINGS["samsa.bridge"].default
    dataset = load_for_runner(progress=False)
    batch = Batch.from_data_list([dataset[row] for row in range(6)])
    before = list(traces(batch))
    values = {
        key: another(key)
        for key in all_keys()
        if key.partition(".")[0] in GROUPS
        and (not key.startswith(NOT_BUILT_FROM) or key in TRIED)
        and key not in ONLY_LATER
        and another(key) not in (None, value_of(key, cfg))
    }
    told = {}
    for key, value in values.items():
        # A setting is judged by the value that the user has written.
        with changed({key: value}):
            told[key] = unused_settings([key]) == [key]
    # Those that are told change nothing together, or, where they refuse each other, one at a time.
    together = changes_the_network({key: values[key] for key in values if told[key]}, before, batch) is False
    found = {
        key: False if together and told[key] else changes_the_network({key: value}, before, batch)
        for key, value in values.items()
    }
    assert not [key for key, changes in found.items() if changes is told[key]]
    assert None in found.values()


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        ({}, "samsa.channels", None),
        ({}, "optim.base_lr", None),
        ({}, "gpu_mem", "this runner does not read it"),
        ({}, "fingerprint.radius", "only `pyg-samsa baseline fingerprint` reads it"),
        ({}, "pe.dim", "pe.kind is none"),
        ({"pe.kind": "lap"}, "pe.dim", None),
        ({"pe.kind": "lap"}, "pe.steps", "pe.kind is lap, without +"),
        ({"pe.kind": "lap+rwse"}, "pe.steps", None),
        ({}, "dataset.node_encoder_name", "dataset.node_encoder is False"),
        ({"dataset.node_encoder": True}, "dataset.node_encoder_name", None),
        ({"dataset.node_encoder": True}, "dataset.node_encoder_num_types", "dataset.node_encoder_name is Atom"),
        ({}, "sft.leak", "samsa.attention is samsa"),
        ({"samsa.attention": "sft"}, "sft.leak", None),
        ({"model.type": "gcn"}, "samsa.layers", "the network gcn reads gnn.layers_mp"),
        ({"model.type": "gcn"}, "samsa.heads", "the network gcn does not read it"),
        ({"model.type": "gps"}, "samsa.heads", "the network gps reads gt.n_heads"),
        ({"model.type": "graphormer"}, "gt.n_heads", "the network graphormer reads graphormer.num_heads"),
        ({"model.type": "graphormer"}, "gnn.dim_inner", "the network graphormer reads graphormer.embed_dim"),
        ({"model.type": "point_net"}, "samsa.channels", "the network point_net reads point_net.width"),
        ({"model.type": "bag_of_features"}, "gnn.dim_inner", "the network bag_of_features reads samsa.channels"),
        ({"model.type": "samsa"}, "gnn.dropout", "the network samsa reads samsa.dropout"),
        ({"model.type": "gnn"}, "samsa.layers", "GraphGym's network gnn does not read it"),
        ({"model.type": "gnn", "gnn.layer_type": "samsaconv"}, "samsa.heads", None),
        ({"model.type": "gnn"}, "gnn.layers_pre_mp", None),
        ({"model.type": "gps", "gt.layers": 4, "gnn.layers_mp": 3}, "gnn.layers_mp", "gt.layers is 4"),
        ({"model.type": "gps", "gt.layers": 4, "gnn.layers_mp": 4}, "gnn.layers_mp", None),
        ({"model.type": "gps", "gt.dropout": 0.5}, "gnn.dropout", "gt.dropout is 0.5"),
        ({"dataset.task": "node"}, "model.graph_pooling", "predictions are those of nodes"),
        ({"model.graph_pooling": "add"}, "model.graph_pooling", "the network samsa reads samsa.pool"),
        ({"dataset.task": "graph"}, "model.edge_decoding", "predictions are those of graphs"),
        ({"predictor.members": "network"}, "boosting.trees", "predictor.members is network"),
        ({"predictor.members": "gp"}, "predictor.tree_inputs", "predictor.members is gp"),
        ({"predictor.members": "trees"}, "boosting.trees", None),
        ({}, "gaussian_process.noise", "there is no predictor"),
        ({"predictor.members": "trees"}, "samsa.layers", "no network is trained (predictor.members is trees)"),
        ({"predictor.members": "trees"}, "optim.max_epoch", "no network is trained (predictor.members is trees)"),
        ({"predictor.members": "trees"}, "dataset.descriptors", "no network is trained (predictor.members is trees)"),
        ({"predictor.members": "trees"}, "metric_best", None),
        ({"predictor.members": "trees"}, "train.auto_resume", None),
        ({"predictor.members": "trees"}, "predictor.refit", None),
        ({"predictor.members": "network"}, "predictor.refit", None),
        (
            {"predictor.members": "network", "model.type": "gcn"},
            "predictor.refit",
            "the network is not saved (because of model.type gcn)",
        ),
        ({"predictor.members": "all", "model.type": "gcn"}, "predictor.refit", None),
        ({"predictor.folds": 3}, "predictor.refit", "the models of predictor.folds are not fitted again"),
    ],
)
def test_the_reason_names_what_decides(settings, key, reason):
    cfg.dataset.task = "graph"
    cfg.model.type = "samsa"
    for name, value in settings.items():
        put(name, value)
    assert why_without_effect(key) == reason


def test_what_the_user_wrote_comes_first_and_with_its_reason(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: {type: gcn}\ngt: {layers: 4}\nsamsa: {heads: 8}\nround: 4\nseed: 2\n")
    lines = describe_without_effect(load_config(path, ["samsa.channels", "128", "seed", "3"]))
    assert lines == [
        "samsa.channels 128: the network gcn reads gnn.dim_inner",  # its default
        "gt.layers 4: the network gcn reads gnn.layers_mp",
        "round 4: this runner does not read it",  # its default
        "samsa.heads 8: the network gcn does not read it",
    ]


def test_settings_of_a_packaged_file_come_last_in_one_line():
    lines = describe_without_effect(load_config("csv", ["model.type", "san", "samsa.layers", "2"]))
    assert lines[0] == "samsa.layers 2: the network san reads gt.layers"  # the value of csv.yaml
    (others,) = lines[1:]
    assert others.startswith("csv.yaml: samsa.act, samsa.bridge, ")
    assert "samsa.layers" not in others
    assert describe_without_effect(load_config("csv")) == []


def test_the_configuration_of_a_run_names_every_setting_and_only_changed_ones_are_told(tmp_path):
    first = load_config("csv", ["model.type", "gcn", "gpu_mem", "True"])
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(resolved(first)))
    (line,) = describe_without_effect(load_config(path))
    assert line.startswith("config.yaml: gpu_mem, samsa.act, samsa.bridge, ")
    assert "gt." not in line


def test_without_a_network_only_what_the_user_wrote_is_told():
    loaded = load_config("csv", ["predictor.members", "descriptors", "optim.max_epoch", "9", "boosting.trees", "9"])
    assert describe_without_effect(loaded) == [
        "optim.max_epoch 9: no network is trained (predictor.members is descriptors)"
    ]


def test_defaults_of_graphgps_were_not_written_by_the_user(tmp_path):
    path = tmp_path / "gps.yaml"
    path.write_text("model: {type: GPSModel}\ngt: {layer_type: GCN+Transformer, dropout: 0.5}\ngnn: {dropout: 0.5}\n")
    assert describe_without_effect(load_config(path)) == []
    path.write_text("model: {type: GPSModel}\ngt: {layer_type: GCN+Transformer, dropout: 0.5}\ngnn: {dropout: 0.1}\n")
    assert describe_without_effect(load_config(path)) == ["gnn.dropout 0.1: gt.dropout is 0.5"]


@pytest.mark.parametrize(
    ("kind", "unused"),
    [
        ("samsa", ["gnn.act", "sft.leak"]),
        ("gnn", ["gt.layers", "samsa.channels", "samsa.heads", "sft.leak"]),  # its layer samsaconv reads them
        ("gcn", ["gt.layers", "samsa.channels", "samsa.heads", "sft.leak"]),
        ("gps", ["samsa.channels", "samsa.heads", "sft.leak"]),
        ("bag_of_features", ["gnn.act", "gt.layers", "samsa.heads", "sft.leak"]),
    ],
)
def test_settings_of_another_network_are_named(kind, unused):
    cfg.model.type = kind
    given = ["sft.leak", "samsa.heads", "samsa.channels", "optim.base_lr", "gnn.act", "gnn.head", "gt.layers"]
    assert unused_settings(given) == unused


ENCODING = ["graphormer.input_dropout", "graphormer.num_in_degrees", "graphormer.num_spatial_types"]
LAYERS = ["graphormer.dropout", "graphormer.mlp_dropout", "graphormer.num_heads", "graphormer.num_layers"]


@pytest.mark.parametrize(
    ("settings", "unused"),
    [
        ({"model.type": "gps"}, [*ENCODING, *LAYERS]),
        ({"model.type": "gps", "gt.layer_type": "GINE+Transformer"}, [*ENCODING, *LAYERS]),
        ({"model.type": "gps", "gt.layer_type": "GINE+BiasedTransformer"}, LAYERS),
        ({"model.type": "graphormer"}, []),
        ({"model.type": "graphormer", "graphormer.node_degrees_only": True}, ["graphormer.num_spatial_types"]),
        ({"model.type": "san"}, [*ENCODING, *LAYERS]),
    ],
)
def test_settings_of_graphormer_count_where_they_are_read(settings, unused):
    cfg.merge_from_list([part for pair in settings.items() for part in pair])
    assert unused_settings([*settings, *LAYERS, *ENCODING]) == sorted(unused)


@pytest.mark.parametrize("kind", ["san", "san2"])
def test_without_other_pairs_they_have_no_weight(kind):
    cfg.model.type, cfg.gt.full_graph = kind, False
    assert unused_settings(["gt.full_graph", "gt.gamma"]) == ["gt.gamma"]


@pytest.mark.parametrize("head", ["graphormer_graph", "ogb_code_graph", "san_graph"])
@pytest.mark.parametrize("kind", ["gcn", "gps", "graphormer", "san"])
def test_heads_that_have_a_fixed_number_of_layers_read_none(kind, head):
    cfg.model.type = kind
    assert unused_settings(["gnn.head", "gnn.layers_post_mp"]) == []
    cfg.gnn.head = head
    assert unused_settings(["gnn.head", "gnn.layers_post_mp"]) == ["gnn.layers_post_mp"]


def test_settings_of_features_are_unused_where_graphs_have_none():
    cfg.model.type = "samsa"
    given = ["samsa.graph_levels", "samsa.graph_hidden", "samsa.graph_dropout", "samsa.heads"]
    assert unused_settings(given) == sorted(given[:3])
    cfg.share.graph_channels = 4
    assert unused_settings(given) == []


def test_what_cannot_be_honoured_begins_with_the_command_line(tmp_path):
    path = tmp_path / "gps.yaml"
    path.write_text("model: {type: GPSModel}\ngt: {layer_type: GCN+Transformer}\ngnn: {layers_pre_mp: 1}\n")
    notes = load_config(path, ["dataset.node_encoder_bn", "True"]).translation.notes
    assert [note.split()[0] for note in notes] == ["dataset.node_encoder_bn", "gnn.layers_pre_mp"]


def test_the_documentation_names_the_settings_of_the_sizes():
    text = (Path(__file__).parents[2] / "docs" / "howto" / "baselines.md").read_text(encoding="utf-8")
    table = text.partition("| network | layers |")[2].partition("\n\n")[0]
    found = {}
    for row in table.splitlines()[2:]:
        names, *cells = (re.findall(r"`([\w.]+)`", cell) for cell in row.split("|")[1:-1])
        for name in names:
            found[name] = [cell[0] if cell else "" for cell in cells]
    assert found == {
        name: [sizes.get(size, "") for size in ("layers", "channels", "heads", "dropout")]
        for name, sizes in SIZES.items()
    }
