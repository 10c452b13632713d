"""Every packaged configuration trains: one epoch of a small network on a stand-in for its data set."""

import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset

from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.datasets.features import Features
from pyg_samsa.experiments import run as runner
from pyg_samsa.graphgym import loader
from pyg_samsa.graphgym.config import cfg, find_config, load_config, packaged_configs
from pyg_samsa.task import Task

NAMES = [name for name in packaged_configs() if not name.startswith("grids/")]
SMALLER = {
    "optim.max_epoch": 1,
    "optim.num_warmup_epochs": 0.0,
    "optim.num_warmup_steps": 0,
    "optim.batch_accumulation": 1,
    "num_threads": 1,
    "num_workers": 0,
    "accelerator": "cpu",
    "train.batch_size": 4,
    "samsa.layers": 1,
    "samsa.channels": 16,
    "samsa.heads": 2,
    "samsa.num_samples": 4,
    "gnn.layers_mp": 1,
    "gt.layers": 1,
}
LABELS = {"peptides-functional": 10, "peptides-structural": 11, "peptides-embedded": 3}
SEQUENCES = {
    "cifar10-gray": (256, 10),
    "digits": (17, 10),
    "listops": (20, 10),
    "imdb": (256, 2),
    "imdb-embedded": (99, 2),
}
SEQUENCES |= {"imdb-embedded": (99, 2), "pathfinder": (256, 2), "aan": (256, 2), "news-pairs": (99, 2)}
CLOUDS = {"modelnet10": 10, "modelnet40": 40, "shapes": 8, "shapenetpart": 6, "shapes-parts": 6}
CONTACTS = {"contacts": ([4], [2]), "PCQM4Mv2Contact-shuffle": (ATOM_CARDINALITIES, BOND_CARDINALITIES)}
PARTS = [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_is_a_sentence_of_its_own(name):
    """``train --list`` prints it."""
    lines = find_config(name).read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if line.startswith("#")).rstrip().endswith(".")


class StandIn(InMemoryDataset):
    """Twelve random graphs with the features and targets of a data set."""

    def __init__(self, name, **options):
        super().__init__(None)
        self.kind, self.level, self.parts, self.pairs, self.edge_channels = "multiclass", "graph", (), False, None
        make = self.molecule if name in LABELS or name == "csv" else self.cloud if name in CLOUDS else self.sequence
        make = self.contacts if name in CONTACTS else make
        generator = torch.Generator().manual_seed(0)
        graphs = [make(name, number, generator, options) for number in range(12)]
        self._data, self.slices = self.collate(graphs)
        self.split_idx = {"train": torch.arange(8), "val": torch.arange(8, 10), "test": torch.arange(10, 12)}
        names = [str(number) for number in range(self.width)]
        self.task = Task(self.kind, names, self.level, self.parts, self.pairs)
        num_dims = self[0].pos.size(1) if "pos" in self[0] else 0
        self.features = Features(self.in_channels, self.edge_channels, num_dims)

    @property
    def graph_features(self):
        return self._data.get("graph_features")

    def molecule(self, name, number, generator, options):
        self.width = LABELS.get(name, 1)
        self.kind = "multilabel" if name in ("peptides-functional", "peptides-embedded") else "regression"
        self.in_channels, self.edge_channels = ATOM_CARDINALITIES, BOND_CARDINALITIES
        nodes = 4 + number % 3
        path = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
        edges = torch.cat([path, path.flip(0)], 1)
        y = torch.randn(1, self.width, generator=generator)
        y = (y > 0).float() if self.kind == "multilabel" else y
        x = torch.randint(2, (nodes, len(self.in_channels)), generator=generator)
        edge_attr = torch.randint(2, (edges.size(1), len(self.edge_channels)), generator=generator)
        return Data(x=x, edge_index=edges, edge_attr=edge_attr, y=y, smiles="C" * nodes)

    def contacts(self, name, number, generator, options):
        self.width, self.kind, self.level = 1, "binary", "link"
        self.in_channels, self.edge_channels = CONTACTS[name]
        nodes = 5 + number % 4
        path = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
        data = Data(x=torch.randint(2, (nodes, len(self.in_channels)), generator=generator))
        data.edge_index = torch.cat([path, path.flip(0)], 1)
        if self.edge_channels is not None:
            data.edge_attr = torch.randint(2, (2 * nodes - 2, len(self.edge_channels)), generator=generator)
        data.edge_label_index, data.edge_label = torch.tensor([[0, nodes - 1], [nodes - 1, 0]]), torch.ones(2)
        return data

    def sequence(self, name, number, generator, options):
        symbols, self.width = SEQUENCES[name]
        self.in_channels, self.pairs = [symbols], name in ("aan", "news-pairs")
        nodes = 5 + number % 4
        x = torch.randint(symbols, (nodes, 1), generator=generator)
        if options.get("lit"):
            x, self.in_channels = torch.randn(nodes, 15, generator=generator), 15
        data = Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.tensor([number % self.width]))
        if self.pairs:
            data.document = (torch.arange(nodes) > 2).long()
        return data

    def cloud(self, name, number, generator, options):
        self.width, self.in_channels = CLOUDS[name], 6
        pos = torch.randn(8, 3, generator=generator)
        normal = torch.nn.functional.normalize(torch.randn(8, 3, generator=generator), dim=1)
        data = Data(
            x=torch.cat([pos, normal], 1), pos=pos, normal=normal, edge_index=torch.empty(2, 0, dtype=torch.long)
        )
        data.y = torch.tensor([number % self.width])
        if self.width == 6:
            self.level, self.parts, self.category_names = "node", PARTS, ["a", "b", "c"]
            data.category = torch.tensor([number % 3])
            data.y = 2 * (number % 3) + torch.randint(2, (8,), generator=generator)
        return data


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_trains(name, tmp_path, monkeypatch):
    monkeypatch.setattr(loader.catalog, "knows", lambda format, name: True)
    monkeypatch.setattr(
        loader.catalog, "load", lambda format, name, root, progress, **options: StandIn(name, **options)
    )
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    load_config(name)
    changes = {**SMALLER, "out_dir": tmp_path, "dataset.dir": tmp_path}
    if cfg.model.type != "gps":
        changes["gt.layers"] = 0
    if cfg.train.tokens_per_batch:
        changes["train.tokens_per_batch"] = 40
    (result,) = runner.run(name, [word for pair in changes.items() for word in map(str, pair)], verbosity=-1)
    assert result.folder.last.is_file()
    best = "score" if cfg.tasks else cfg.metric_best if cfg.metric_best != "auto" else "mae"
    assert {"loss", best} <= set(result.test)
