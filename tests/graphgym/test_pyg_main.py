"""The registered modules under the main sequence of PyG's own, unmodified GraphGym."""

import argparse
import json
import logging

import pytest
import torch
from torch_geometric import seed_everything
from torch_geometric.graphgym.config import cfg, dump_cfg, load_cfg, set_cfg, set_out_dir, set_run_dir
from torch_geometric.graphgym.logger import set_printing
from torch_geometric.graphgym.model_builder import create_model
from torch_geometric.graphgym.train import GraphGymDataModule, train
from torch_geometric.graphgym.utils.agg_runs import agg_runs
from torch_geometric.graphgym.utils.comp_budget import params_count
from torch_geometric.graphgym.utils.device import auto_select_device

from pyg_samsa.datasets.nodes.geom_gcn import GeomGCN
from pyg_samsa.graphgym import loader
from pyg_samsa.nn import SAMSA
from tests import geom_gcn_files

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def graphgym_main(tiny, monkeypatch):
    """Runs graphgym/main.py of PyG, with the catalogue holding the tiny data set."""
    monkeypatch.setattr(loader.catalog, "knows", lambda format, name: format == "samsa")
    monkeypatch.setattr(loader.catalog, "load", lambda format, name, root, **options: tiny.Tiny(*name.split("-")))
    handlers = logging.root.handlers[:]

    def main(path, repeat=1):
        args = argparse.Namespace(cfg_file=str(path), repeat=repeat, opts=[])
        set_cfg(cfg)
        load_cfg(cfg, args)
        set_out_dir(cfg.out_dir, args.cfg_file)
        dump_cfg(cfg)
        torch.set_num_threads(cfg.num_threads)
        for _ in range(args.repeat):
            set_run_dir(cfg.out_dir)
            set_printing()
            cfg.seed += 1
            seed_everything(cfg.seed)
            auto_select_device()
            datamodule = GraphGymDataModule()
            model = create_model()
            cfg.params = params_count(model)
            train(model, datamodule, logger=True)
        agg_runs(cfg.out_dir, cfg.metric_best)
        return model

    yield main
    for handler in logging.root.handlers:
        handler.close()
    logging.root.handlers = handlers


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("multilabel", {"metric_best": "ap", "custom_metrics": ["ap", "auc"]}),
        (
            "regression",
            {
                "dataset": {"task_type": "regression"},
                "model": {"loss_fun": "smoothl1"},
                "metric_best": "mae",
                "metric_agg": "argmin",
                "custom_metrics": ["mae", "r2"],
            },
        ),
        (
            "multiclass",
            {
                "dataset": {"task_type": "classification"},
                "metric_best": "f1_macro",
                "custom_metrics": ["f1_macro", "accuracy"],
            },
        ),
    ],
)
def test_network(graphgym_main, config, tmp_path, name, changes):
    changes = {
        **changes,
        "dataset": {**changes.get("dataset", {}), "format": "samsa", "name": name},
        "optim": {"max_epoch": 2},
    }
    model = graphgym_main(config(**changes), repeat=2)
    assert type(model.model.model) is SAMSA
    best = json.loads((tmp_path / "results" / "exp" / "agg" / "val" / "best.json").read_text())
    assert changes["metric_best"] in best
    test = json.loads((tmp_path / "results" / "exp" / "1" / "test" / "stats.json").read_text().splitlines()[-1])
    assert all(0 < abs(test[metric]) < 100 for metric in changes["custom_metrics"])


def test_layer_encoder_pooling_and_head_in_the_network_gnn(graphgym_main, config, monkeypatch):
    from torch_geometric.graphgym import register

    class Widen(torch.nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.lin = torch.nn.Linear(2, channels)

        def forward(self, batch):
            batch.x = self.lin(batch.x.float())
            return batch

    monkeypatch.setitem(register.node_encoder_dict, "Widen", Widen)
    dataset = {"format": "samsa", "name": "multilabel", "node_encoder": True, "node_encoder_name": "Widen"}
    gnn = {"layer_type": "samsaconv", "dim_inner": 8, "head": "mlp_graph", "layers_post_mp": 2, "layers_mp": 2}
    changes = {
        "dataset": dataset,
        "gnn": gnn,
        "model": {"type": "gnn", "graph_pooling": "attention"},
        "optim": {"max_epoch": 1},
    }
    model = graphgym_main(config(metric_best="ap", custom_metrics=["ap"], **changes))
    assert type(model.model.mp.layer0.layer).__name__ == "SAMSAConvLayer"
    assert type(model.model.post_mp).__name__ == "GraphHead"


def test_node_level_with_inductive_head(graphgym_main, config, tmp_path):
    dataset = {"format": "samsa", "name": "multiclass-node", "task_type": "classification"}
    changes = {"dataset": dataset, "gnn": {"head": "inductive_node"}, "optim": {"max_epoch": 1}}
    model = graphgym_main(config(metric_best="accuracy", custom_metrics=["accuracy"], **changes))
    assert model.model.model.readout.level == "node"
    test = json.loads((tmp_path / "results" / "exp" / "0" / "test" / "stats.json").read_text().splitlines()[-1])
    assert 0 < test["accuracy"] <= 1


def test_nodes_of_one_graph(config, graphgym_main, tmp_path, monkeypatch):
    geom_gcn_files.shrink(monkeypatch)
    geom_gcn_files.write(tmp_path, "cornell")
    monkeypatch.setattr(loader.catalog, "load", lambda format, name, root, **options: GeomGCN(tmp_path, "cornell"))
    dataset = {"format": "samsa", "name": "cornell", "task_type": "classification"}
    changes = {"dataset": dataset, "gnn": {"head": "inductive_node"}, "optim": {"max_epoch": 1}}
    graphgym_main(config(metric_best="accuracy", custom_metrics=["accuracy"], **changes))
    for split, nodes in (("train", 12), ("val", 7), ("test", 5)):
        last = (tmp_path / "results" / "exp" / "0" / split / "stats.json").read_text().splitlines()[-1]
        right = json.loads(last)["accuracy"] * nodes
        assert right == pytest.approx(round(right), abs=1e-3)


def test_loader_leaves_other_data_sets_to_others():
    set_cfg(cfg)
    cfg.share.in_channels = [9]
    assert loader.load_for_graphgym("PyG", "Cora", "nowhere") is None
    assert cfg.share.in_channels is None
