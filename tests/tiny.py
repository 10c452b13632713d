"""A tiny data set and its GraphGym loader, for tests in this and in other processes."""

import torch
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.graphgym import register

from pyg_samsa.datasets.features import Features
from pyg_samsa.task import Task


class Tiny(InMemoryDataset):
    """Sixty path graphs with categorical features; two of three labels follow from them."""

    def __init__(self, task="multilabel", level="graph"):
        super().__init__(None)
        generator = torch.Generator().manual_seed(0)
        self._data, self.slices = self.collate([self._graph(number, task, level, generator) for number in range(60)])
        self.split_idx = {"train": torch.arange(37), "val": torch.arange(37, 48), "test": torch.arange(48, 59)}
        names = {"multilabel": ["a", "b", "c"], "multiclass": ["no", "yes", "maybe"]}.get(task, ["value"])
        self.task, self.features = Task(task, names, level), Features([4, 4], [3])

    @staticmethod
    def _graph(number, task, level, generator):
        nodes = int(torch.randint(2, 9, (1,), generator=generator))
        x = torch.randint(0, 4, (nodes, 2), generator=generator)
        path = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
        edge_index = torch.cat([path, path.flip(0)], 1)
        edge_attr = torch.randint(0, 3, (edge_index.size(1), 1), generator=generator)
        means = x.float().mean(0)
        y = {
            "multilabel": torch.tensor([[float(means[0] > 1.5), float(means[1] > 1.5), float(number % 3 == 0)]]),
            "regression": means[:1][None],
            "multiclass": x[:, 0].clamp(max=2) if level == "node" else torch.tensor([number % 3]),
            "binary": torch.tensor([[float(means[0] > 1.5)]]),
        }[task]
        return Data(x=x, edge_index=edge_index, edge_attr=edge_attr, y=y, smiles=f"C{number}")


def load(format, name, dataset_dir):
    if format != "tiny":
        return None
    task, _, level = name.partition("-")
    dataset = Tiny(task, level or "graph")
    dataset._data["train_graph_index"], dataset.slices["train_graph_index"] = (
        dataset.split_idx["train"].clone(),
        torch.tensor([0, 37]),
    )
    dataset._data["val_graph_index"], dataset.slices["val_graph_index"] = (
        dataset.split_idx["val"].clone(),
        torch.tensor([0, 11]),
    )
    dataset._data["test_graph_index"], dataset.slices["test_graph_index"] = (
        dataset.split_idx["test"].clone(),
        torch.tensor([0, 11]),
    )
    return dataset


register.loader_dict["tiny"] = load
