"""Point clouds, parts, sequences and pairs through the runner, on sets small enough for a test."""

import pandas as pd
import pytest
import torch
import yaml

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run as runner


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
