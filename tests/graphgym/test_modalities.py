"""Point clouds, parts, sequences and pairs through the runner, on sets small enough for a test."""

import json

import pandas as pd
import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score

from pyg_samsa import metrics
from pyg_samsa.datasets import FoldedPaths
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run as runner
from pyg_samsa.hub import load_pretrained, save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import MoleculePredictor
from pyg_samsa.task import Task
from pyg_samsa.training.run_record import read_run
from pyg_samsa.viz.report import write_report


@pytest.fixture
def small(tmp_path):
    def write(name, level="graph", **changes):
        content = {
            "out_dir": str(tmp_path / "results"),
            "num_threads": 1,
            "dataset": {
                "format": "samsa",
                "name": name,
                "dir": str(tmp_path),
                "task": level,
                "task_type": "classification",
            },
            "train": {"batch_size": 8},
            "model": {"type": "samsa", "loss_fun": "cross_entropy"},
            "samsa": {"layers": 1, "channels": 8, "heads": 2, "num_samples": 4, "bridge": False},
            "optim": {"optimizer": "adamW", "base_lr": 0.01, "max_epoch": 1},
        }
        for key, value in changes.items():
            content[key] = {**content.get(key, {}), **value} if isinstance(value, dict) else value
        path = tmp_path / "exp.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


CLOUDS = {"per_family": 4, "num_points": 24}


@pytest.mark.parametrize("network", ["samsa", "point_net"])
def test_clouds(small, network):
    (result,) = runner.run(
        small(
            "shapes",
            dataset=CLOUDS,
            model={"type": network},
            point_net={"width": 0.05},
            metric_best="accuracy",
            custom_metrics=["accuracy_macro"],
        )
    )
    assert set(result.test) >= {"accuracy", "accuracy_macro"}


@pytest.mark.painted
@pytest.mark.parametrize(("network", "context"), [("samsa", False), ("samsa", True), ("point_net", False)])
def test_parts(small, network, context):
    path = small(
        "shapes-parts",
        "node",
        dataset=CLOUDS,
        model={"type": network},
        samsa={"context": context},
        point_net={"width": 0.05},
    )
    (result,) = runner.run(path)
    assert set(result.test) >= {"miou", "miou_category", "accuracy"}
    assert 0 < result.test["miou"] <= 1
    assert result.folder.file("parts.png").stat().st_size > 10_000
    table = pd.read_csv(result.folder.file("predictions_test.csv"))
    assert len(table) == 24 * (len(table) // 24) > 0


def test_normals_can_be_left_out(small):
    (result,) = runner.run(small("shapes", dataset={**CLOUDS, "normals": False}))
    assert result.folder.path.is_dir()


@pytest.mark.parametrize("bridge", [False, True])
def test_sequences_by_token_budget(small, bridge):
    sizes = {"min_length": 10, "max_length": 30, "num_train": 24, "num_val": 8, "num_test": 8}
    path = small(
        "listops", dataset=sizes, train={"tokens_per_batch": 100}, samsa={"positions": "sinusoidal", "bridge": bridge}
    )
    (result,) = runner.run(path)
    table = pd.read_csv(result.folder.file("predictions_test.csv"))
    assert sorted(table["row"]) == list(range(32, 40))


def test_parts_metrics_need_parts(small):
    with pytest.raises(ConfigError, match="metric_best"):
        runner.run(small("shapes", dataset=CLOUDS, metric_best="miou"))


def test_options_of_other_sets_are_refused(small):
    with pytest.raises(ConfigError, match="per_family"):
        runner.run(small("digits", dataset={"per_family": 3}))


def test_a_network_for_coordinates_refuses_symbols(small):
    with pytest.raises(ConfigError, match="point_net"):
        runner.run(small("digits", model={"type": "point_net"}))


def test_pairs_become_two_graphs_of_one_encoder():
    from torch_geometric.data import Batch, Data

    from pyg_samsa.nn import SAMSA
    from pyg_samsa.training.batch_network import BatchNetwork

    torch.manual_seed(0)
    model = (
        SAMSA.from_options(
            [9], 2, channels=8, num_layers=1, heads=2, num_samples=3, bridge=False, positions="sinusoidal", towers=2
        )
        .double()
        .eval()
    )
    documents = [torch.randint(0, 9, (n, 1)) for n in (3, 5, 2, 6)]
    pairs = [
        Data(
            x=torch.cat([a, b]),
            edge_index=torch.empty(2, 0, dtype=torch.long),
            document=torch.tensor([0] * len(a) + [1] * len(b)),
            y=torch.tensor([0]),
        )
        for a, b in (documents[:2], documents[2:])
    ]
    found, _ = BatchNetwork(model)(Batch.from_data_list(pairs))
    expected = model(torch.cat(documents), batch=torch.arange(4).repeat_interleave(torch.tensor([3, 5, 2, 6])))
    torch.testing.assert_close(found, expected)
    assert found.shape == (2, 2)


def test_lit_pixels_through_an_mlp_and_a_normalised_head(small):
    pictures = {
        "difficulty": "short",
        "lit": True,
        "num_train": 20,
        "num_val": 4,
        "num_test": 6,
        "node_encoder": True,
        "node_encoder_name": "MLPNode",
    }
    (result,) = runner.run(small("pathfinder", dataset=pictures, samsa={"head_norm": "batch"}, metric_best="accuracy"))
    weights = torch.load(result.folder.best, weights_only=True)["state_dict"]
    assert weights["network.node_encoder.encoder.0.weight"].shape == (32, 15)
    assert weights["network.model.readout.head.norm.module.num_batches_tracked"] == 3
    assert 0 <= result.test["accuracy"] <= 1


CONTACTS = {"longest": 12, "num_train": 16, "num_val": 6, "num_test": 6}


def pairs_run(small, network="samsa", decoding="dot", **changes):
    changes["model"] = {"type": network, "loss_fun": "bce", "edge_decoding": decoding}
    changes.setdefault("metric_best", "mrr")
    (result,) = runner.run(small("contacts", "edge", dataset=CONTACTS, **changes), verbosity=-1)
    return result


def test_pairs_of_nodes(small, tmp_path):
    result = pairs_run(small)
    assert set(result.test) == {"loss", *metrics.default_metrics(Task("binary", ["contact"], "link"))}
    summary = json.loads(result.folder.file("summary.json").read_text())
    assert summary["protocols"]["mrr"] == summary["protocols"]["hits@3"] == "raw"
    assert summary["protocols"]["mrr_filtered_noself"] == "filtered_noself"
    assert summary["task"]["level"] == "link"
    table = pd.read_csv(result.folder.file("predictions_test.csv"))
    assert table.columns.tolist() == ["row", "source", "target", "contact_true", "contact_pred"]
    assert table["row"].unique().tolist() == list(range(22, 28))
    dataset = FoldedPaths(tmp_path, **CONTACTS)
    for row, pairs in table[table["contact_true"] == 1].groupby("row"):
        assert set(zip(pairs["source"], pairs["target"], strict=True)) == set(
            map(tuple, dataset[row].edge_label_index.T.tolist())
        )
    assert roc_auc_score(table["contact_true"], table["contact_pred"]) == pytest.approx(result.test["auc"])
    text = write_report([read_run(result.folder.path)], tmp_path / "report.html").read_text()
    assert "averaged over their pairs" in text
    # Evaluation graph by graph gives the same values.
    again = pairs_run(small, train={"batch_size": 8, "eval_batch_size": 1})
    assert again.test == pytest.approx(result.test, rel=1e-5)


@pytest.mark.parametrize("decoding", ["concat", "cosine_similarity"])
@pytest.mark.parametrize("network", ["gcn", "gps"])
def test_pairs_of_nodes_with_other_networks(small, network, decoding):
    gnn = {"layers_mp": 1, "dim_inner": 8}
    result = pairs_run(small, network, decoding, gnn=gnn, custom_metrics=["hits@1_filtered", "ap"])
    assert set(result.test) == {"loss", "mrr", "hits@1_filtered", "ap"}


def test_networks_of_pairs_start_from_each_other_and_are_saved(small, tmp_path):
    first = pairs_run(small)
    second = pairs_run(small, train={"batch_size": 8, "start_from": str(first.folder.path)}, optim={"base_lr": 1e-9})
    assert second.val["loss"] == pytest.approx(first.val["loss"], abs=1e-5)
    torch.manual_seed(0)
    model = SAMSA.from_options([4], 1, level="link", edge_decoding="concat", channels=8, num_layers=1, heads=2).eval()
    loaded, _ = load_pretrained(save_pretrained(model, tmp_path / "saved", task=Task("binary", ["contact"], "link")))
    inputs = {"x": torch.tensor([[1], [2], [3]]), "edge_label_index": torch.tensor([[0, 2], [1, 0]])}
    assert torch.equal(loaded(**inputs), model(**inputs))
    with pytest.raises(ConfigError, match="one prediction per molecule"):
        MoleculePredictor.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("network", ["point_net", "bag_of_features"])
def test_networks_without_pairs_are_refused(small, network):
    with pytest.raises(ConfigError, match=f"model.type: got '{network}', .*pairs of nodes"):
        pairs_run(small, network)
