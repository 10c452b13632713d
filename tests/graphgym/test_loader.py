import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.datasets.splits import split_sizes
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.experiments import run as runner
from pyg_samsa.graphgym import loader
from pyg_samsa.graphgym.plan import build_network


@pytest.fixture
def foreign(monkeypatch):
    """Registers a loader of somebody else that returns the given graphs."""
    set_cfg(cfg)

    def add(graphs, **settings):
        monkeypatch.setitem(
            register.loader_dict, "foreign", lambda format, name, folder: graphs if format == "foreign" else None
        )
        cfg.dataset.format, cfg.dataset.name = "foreign", "set"
        for key, value in settings.items():
            cfg.dataset[key] = value

    yield add
    set_cfg(cfg)


def graphs(y, count=20):
    return [Data(x=torch.ones(3, 2), edge_index=torch.empty(2, 0, dtype=torch.long), y=y(row)) for row in range(count)]


@pytest.mark.parametrize(
    ("y", "settings", "task", "level", "width"),
    [
        (lambda row: torch.tensor([row % 2]), {}, "binary", "graph", 1),
        (lambda row: torch.tensor([row % 3]), {}, "multiclass", "graph", 3),
        (lambda row: torch.tensor([[0.5, 1.0]]), {"task_type": "regression"}, "regression", "graph", 2),
        (lambda row: torch.tensor([[0.0, 1.0]]), {"task_type": "classification_multilabel"}, "multilabel", "graph", 2),
        (lambda row: torch.tensor([0, 1, 2]), {}, "multiclass", "node", 3),
    ],
)
def test_data_sets_that_say_nothing_are_described_and_split(foreign, y, settings, task, level, width):
    foreign(graphs(y), **settings)
    dataset = loader.load_for_runner()
    found = (dataset.task.kind, dataset.task.level, dataset.task.num_targets, dataset.features.in_channels)
    assert found == (task, level, width, 2)
    assert split_sizes(dataset.split_idx) == {"train": 16, "val": 2, "test": 2}
    assert sorted(torch.cat(list(dataset.split_idx.values())).tolist()) == list(range(20))
    assert (cfg.share.dim_in, cfg.share.dim_out, cfg.share.level) == (2, width, level)


def test_shares_must_sum_to_one(foreign):
    foreign(graphs(lambda row: torch.tensor([row % 2])), split=[0.5, 0.2])
    with pytest.raises(ConfigError, match=r"dataset\.split"):
        loader.load_for_runner()


def test_one_graph_cannot_be_split(foreign):
    foreign(graphs(lambda row: torch.tensor([0]), count=1))
    with pytest.raises(DataError, match="1 graphs"):
        loader.load_for_runner()


def test_a_data_set_that_nobody_has_is_named():
    set_cfg(cfg)
    for format, name in (("PyG", "Coraa"), ("OGB", "peptides-functionl"), ("samsa", "peptides-embeded")):
        cfg.dataset.format, cfg.dataset.name = format, name
        with pytest.raises(ConfigError, match=f"{name}|{format}"):
            loader.load_for_runner()


def test_options_reach_the_data_set(config, tiny, monkeypatch):
    seen = {}

    def load(format, name, root, **options):
        seen.update(options)
        return tiny.Tiny()

    monkeypatch.setattr(loader.catalog, "knows", lambda format, name: format == "samsa")
    monkeypatch.setattr(loader.catalog, "load", load)
    dataset = {"format": "samsa", "name": "peptides-embedded", "max_residues": 30, "subset": 100}
    runner.run(config(dataset=dataset, optim={"max_epoch": 1}), verbosity=-1)
    assert seen == {"max_residues": 30, "subset": 100, "progress": False}


@pytest.mark.parametrize(
    ("graphgym", "network_type"), [(True, "samsa"), (False, "samsa"), (False, "gcn"), (False, "gps")]
)
def test_descriptors_and_extra_columns_reach_networks(tmp_path, graphgym, network_type):
    pytest.importorskip("rdkit")
    table = tmp_path / "table.csv"
    table.write_text("smiles,T,y\n" + "".join(f"{'C' * size},{300 + size},{size}\n" for size in range(1, 13)))
    set_cfg(cfg)
    cfg.dataset.format, cfg.dataset.name, cfg.dataset.dir = "samsa", "csv", str(tmp_path)
    cfg.dataset.csv, cfg.dataset.target_columns, cfg.dataset.extra_columns = str(table), ["y"], ["T"]
    cfg.dataset.split, cfg.dataset.descriptors, cfg.model.type = [0.8, 0.1, 0.1], ["maccs"], network_type
    if graphgym:
        dataset = loader.load_for_graphgym("samsa", "csv", str(tmp_path))
    else:
        dataset = loader.load_for_runner(progress=False)
    assert dataset._data.graph_features.shape == (12, 168)
    assert dataset._data.graph_features[:, -1].tolist() == [300.0 + size for size in range(1, 13)]
    assert cfg.share.graph_channels == 168
    network = build_network(cfg.share.dim_in, cfg.share.dim_out)
    assert network.graph_features.in_channels == 168
    # Also GraphGym's own main sequence trains with features at the scale of the training graphs.
    train = torch.tensor([300.0 + size for size in range(1, 13)])[dataset.split_idx["train"]]
    torch.testing.assert_close(network.graph_features.center[-1], train.log1p().mean())
    plain = loader.load_for_runner(progress=False, encodings=False)
    assert plain[0].graph_features.shape == (1, 1)
    if not graphgym:
        assert network(dataset.make_batch([0, 1]))[0].shape == (2, 1)


@pytest.mark.parametrize(
    ("loss_fun", "censored", "named"),
    [("bounded_mse", None, "model.loss_fun"), ("mse", "bounds", "dataset.censored"), ("bounded_l1", "exact", "")],
)
def test_bounds_of_a_table_are_refused_in_the_loop_of_graphgym(tmp_path, loss_fun, censored, named):
    table = tmp_path / "table.csv"
    table.write_text("smiles,y\n" + "".join(f"{'C' * size},>{size}\n" for size in range(1, 13)))
    set_cfg(cfg)
    cfg.dataset.format, cfg.dataset.name, cfg.dataset.csv = "samsa", "csv", str(table)
    cfg.dataset.split, cfg.model.loss_fun, cfg.dataset.censored = [0.8, 0.1, 0.1], loss_fun, censored
    if not named:
        assert len(loader.load_for_graphgym("samsa", "csv", str(tmp_path))) == 12
        return
    with pytest.raises(ConfigError, match=f"{named}: got .*, expected no bounds in GraphGym's own training loop"):
        loader.load_for_graphgym("samsa", "csv", str(tmp_path))
    assert loader.load_for_runner(progress=False)[0].y_bound.item() == 1


def test_data_sets_can_be_loaded_without_their_labels(foreign):
    foreign(graphs(lambda row: torch.tensor([row % 3])), task_type="masked")
    cfg.model.type = "samsa"
    dataset = loader.load_for_runner()
    assert (dataset.task.kind, dataset.task.level, list(dataset.task.names)) == ("masked", "node", ["x0", "x1"])
    assert cfg.share.task == "masked"
    network = build_network(2, 2)
    assert type(network).__name__ == "MaskedNetwork"
    assert network.columns == [None, None]


def test_hidden_features_must_be_known(foreign):
    strange = [Data(x=torch.ones(3, 2).long(), y=torch.tensor([row % 2])) for row in range(20)]
    foreign(strange, task_type="masked")
    with pytest.raises(ConfigError, match=r"dataset\.task_type: got 'masked', expected another task"):
        loader.load_for_runner()
