import pytest
import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import plan
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.training.batch_network import BatchNetwork


def planned(path, opts=(), *, seed=0):
    loaded = load_config(path, opts)
    return plan.make_plan(loaded, load_for_runner(progress=False), seed=seed)


def plain(node):
    return {key: plain(value) if isinstance(value, dict) else value for key, value in node.items()}


def test_a_plan_holds_what_the_config_says(config):
    changes = {"train": {"batch_size": 4, "auto_resume": True}, "optim": {"weight_decay": 0.25, "max_epoch": 7}}
    found = planned(config(num_workers=2, tensorboard_each_run=True, **changes), seed=5)
    assert (found.name, found.seed, found.config["seed"]) == ("exp", 5, 5)
    assert (found.batches.batch_size, found.num_workers, found.resume) == (4, 2, True)
    assert (found.weight_decay, found.trainer.max_epochs, found.tensorboard) == (0.25, 7, True)
    assert (found.monitor, found.higher_is_better) == ("val_ap", True)
    assert set(found.metrics) >= {"ap"}
    assert found.description["data"] == "tiny multilabel · 37 train / 11 val / 11 test"
    assert found.description["task"] == "graph level · multilabel · 3 targets: a, b, c"
    assert found.description["model"] == "samsa · 2 layers · 8 channels · 2 heads · 4 sampled keys per head (hard)"


def test_the_network_of_a_plan_fits_the_data(config):
    found = planned(config())
    network = found.build_network()
    assert isinstance(network, BatchNetwork)
    options = network.model.options
    assert (options["in_channels"], options["edge_channels"], options["out_channels"]) == ([4, 4], [3], 3)
    assert options["num_layers"] == 2


def test_early_stopping_needs_a_validation_split(config):
    path = config()
    assert planned(path, ["train.patience", "4"]).trainer.patience == 4
    loaded = load_config(path, ["train.patience", "4"])
    dataset = load_for_runner(progress=False)
    dataset.split_idx = {"train": dataset.split_idx["train"]}
    with pytest.raises(ConfigError, match=r"train\.patience: got 4, expected 0, because nothing is validated"):
        plan.make_plan(loaded, dataset, seed=0)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("model.type", "gcn", "because of model.type gcn: only networks with model.type samsa are saved"),
        ("gnn.head", "own", "because of gnn.head own: only networks with gnn.head default are saved"),
    ],
)
def test_a_network_for_molecules_that_is_not_saved_is_told(tmp_path, monkeypatch, key, value, told):
    monkeypatch.setitem(register.head_dict, "own", torch.nn.Linear)
    path = tmp_path / "table.csv"
    path.write_text("smiles,y\n" + "".join(f"{'C' * n},{n}.5\n" for n in range(1, 31)))
    words = ["dataset.csv", str(path), "dataset.dir", str(tmp_path), "dataset.descriptors", "[]", "pe.kind", "none"]
    assert "saved" not in planned("csv", words).description
    shown = planned("csv", [*words, key, value]).description["saved"]
    assert shown == f"boosted trees and Gaussian processes, but not the network, {told} for pyg-samsa predict"
    alone = planned("csv", [*words, key, value, "predictor.members", "network"])
    assert alone.description["saved"] == f"no, {told} for pyg-samsa predict"
    assert f"because of {alone.unsaved}" == told
    without = planned("csv", [*words, key, value, "predictor.members", "trees"]).description
    assert not {"saved", "model"} & without.keys()


def test_categories_need_an_encoder_in_graphgyms_own_network(config):
    with pytest.raises(ConfigError, match=r"dataset\.node_encoder: got False, expected True with the network gnn"):
        planned(config(model={"type": "gnn"}))


def test_a_plan_is_not_changed_by_later_settings(config):
    found = planned(config())
    before = plain(dict(found.config))
    cfg.optim.max_epoch, cfg.train.batch_size = 99, 1
    assert (found.trainer.max_epochs, found.batches.batch_size) == (3, 8)
    assert plain(dict(found.config)) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"clip_norm": 1.0, "archive_every": None}),
        (["optim.clip_grad_norm", "False"], {"clip_norm": None}),
        (["optim.clip_grad_norm_value", "0.5"], {"clip_norm": 0.5}),
        (["train.ckpt_clean", "False", "train.ckpt_period", "3"], {"archive_every": 3}),
    ],
    ids=["default", "no clipping", "clipping", "archive"],
)
def test_trainer_options_follow_the_switches_of_graphgym(options, expected, config):
    load_config(config(), options)
    found = plan.trainer_options()
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(("best", "monitor", "higher"), [("mae", "val_mae", False), ("r2", "val_r2", True)])
def test_the_monitor_follows_the_main_metric(best, monitor, higher, config):
    dataset = {"name": "regression", "task_type": "regression"}
    found = planned(config(dataset=dataset, metric_best=best, model={"loss_fun": "l1"}))
    assert (found.monitor, found.higher_is_better) == (monitor, higher)
    assert found.config["metric_agg"] == ("argmax" if higher else "argmin")


def test_without_a_validation_split_nothing_is_monitored(config):
    loaded = load_config(config())
    dataset = load_for_runner(progress=False)
    dataset.split_idx = {**dataset.split_idx, "val": torch.empty(0, dtype=torch.long)}
    assert plan.make_plan(loaded, dataset, seed=0).monitor is None


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (
            {"samsa": {"layers": 1, "heads": 1}},
            "samsa · 1 layer · 8 channels · 1 head · 4 sampled keys per head (hard)",
        ),
        ({"samsa": {"attention": "full", "num_samples": None}}, "samsa with full · 2 layers · 8 channels · 2 heads"),
        (
            {"samsa": {"local": "gine"}},
            "samsa beside gine · 2 layers · 8 channels · 2 heads · 4 sampled keys per head (hard)",
        ),
        ({"model": {"type": "gcn"}}, "gcn · 2 layers · 16 channels"),
        (
            {"model": {"type": "gcn"}, "pe": {"kind": "rwse", "dim": 4}},
            "gcn · 2 layers · 16 channels · random walks of 4 steps",
        ),
        (
            {"model": {"type": "gcn"}, "pe": {"kind": "spectrum", "dim": 4}},
            "gcn · 2 layers · 16 channels · 4 Laplacian eigenvectors with eigenvalues",
        ),
        ({"model": {"type": "gine"}, "gnn": {"layers_mp": 1, "dim_inner": 24}}, "gine · 1 layer · 24 channels"),
        ({"model": {"type": "gps"}}, "gps of GINE+Transformer · 2 layers · 16 channels · 4 heads"),
        (
            {
                "model": {"type": "gps"},
                "gt": {"layer_type": "GCN+Performer", "layers": 3, "dim_hidden": 24, "n_heads": 2},
            },
            "gps of GCN+Performer · 3 layers · 24 channels · 2 heads",
        ),
        ({"model": {"type": "graphormer"}}, "graphormer · 6 layers · 80 channels · 4 heads"),
        (
            {"model": {"type": "san"}, "gt": {"layers": 5}},
            "san on all pairs of nodes · 5 layers · 16 channels · 4 heads",
        ),
        ({"model": {"type": "san2"}, "gt": {"full_graph": False}}, "san2 on edges · 2 layers · 16 channels · 4 heads"),
        ({"model": {"type": "bag_of_features"}}, "bag_of_features · 8 channels"),
        ({"model": {"type": "point_net"}}, "point_net · 1 times its channels"),
    ],
)
def test_the_header_names_the_network(model, shown, config):
    assert planned(config(**model)).description["model"] == shown


def test_unknown_networks_are_named():
    cfg.model.type = "sams"
    with pytest.raises(ConfigError, match=r"model\.type") as caught:
        plan.build_network(3, 1)
    assert "samsa" in caught.value.hint


def test_networks_of_the_registry_are_built_with_their_widths(monkeypatch):
    monkeypatch.setitem(register.network_dict, "probe", lambda dim_in, dim_out: (dim_in, dim_out))
    cfg.model.type = "probe"
    assert plan.build_network(3, 1) == (3, 1)


def test_weights_of_positive_labels_are_one_for_each_label(config):
    path = config(model={"loss_fun": "bce"})
    assert planned(path, ["model.pos_weight", "[1, 2, 3]"]).name == "exp"
    with pytest.raises(ConfigError, match=r"model\.pos_weight: got \[1, 2\], expected one number, or one for"):
        planned(path, ["model.pos_weight", "[1, 2]"])
